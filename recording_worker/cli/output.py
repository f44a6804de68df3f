"""What the commands print: progress on a terminal, tables of figures; and how they stop on SIGTERM."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

EXIT_SIGTERM = 128 + signal.SIGTERM


@contextmanager
def progress_bar(title: str, total_bytes: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal; told by (bytes done, messages done) since last."""
    columns = (
        TextColumn(title),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[messages]:,} messages"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total_bytes, messages=0)
        messages = 0

        def report(done_bytes: int, done_messages: int) -> None:
            nonlocal messages
            messages += done_messages
            progress.update(task, advance=done_bytes, messages=messages)

        yield report


def print_figures(title: str, figures: Mapping[str, object]) -> None:
    """A table of names and figures on standard output; a mapping among them becomes a row an entry."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, figure in figures.items():
        if isinstance(figure, Mapping):
            for reason, count in figure.items():
                table.add_row(f"{_words(name)}: {reason}", _text(count))
        else:
            table.add_row(_words(name), _text(figure))
    Console(file=sys.stdout).print(table)


@contextmanager
def sigterm_ends() -> Iterator[None]:
    """SIGTERM ends what runs here like Ctrl-C does, so that it cleans up behind itself."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        sys.exit(EXIT_SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(figure: object) -> str:
    return f"{figure:,}" if isinstance(figure, int | float) else str(figure)
