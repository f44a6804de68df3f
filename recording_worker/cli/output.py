"""What commands print while they run and at their end: progress bars, figures, and what goes to standard output."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from recording_worker.errors import WorkerError


@contextmanager
def progress_bar(title: str, total: float, *columns: ProgressColumn) -> Iterator[Callable[[float, int], None]]:
    """Show a progress bar on standard error, if that is a terminal.

    Yields a function to call with what was done since the last call: the amount out of `total`, and the messages.
    """
    console = Console(stderr=True)
    shown = (TextColumn(title), BarColumn(), *columns, TextColumn("{task.fields[messages]:,} messages"))
    with Progress(
        *shown,
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(title, total=total, messages=0)
        messages = 0

        def advance(done: float, done_messages: int) -> None:
            nonlocal messages
            messages += done_messages
            progress.update(task, advance=done, messages=messages)

        yield advance


def files_progress_bar(title: str, files: Iterable[Path]) -> AbstractContextManager[Callable[[float, int], None]]:
    """Show a progress bar over the bytes of these files."""
    total = sum(path.stat().st_size for path in files)
    return progress_bar(title, total, DownloadColumn(binary_units=True), TimeRemainingColumn())


def print_figures(title: str, figures: Mapping[str, object]) -> None:
    """Print a table of names and figures. A mapping among the figures becomes one row for each entry."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, figure in figures.items():
        if isinstance(figure, Mapping):
            for reason, count in figure.items():
                table.add_row(f"{_words(name)}: {reason}", _text(count))
        else:
            table.add_row(_words(name), _text(figure))
    console = Console(markup=False, highlight=False)
    console.print(title, soft_wrap=True)
    console.print(table)


@contextmanager
def standard_output() -> Iterator[None]:
    """Write to standard output. If the reader has gone (`| head`), end the command quietly with exit code 1.

    Raises WorkerError if it can't be written for another reason.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it exits
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        raise WorkerError(f"can't write to standard output: {error.strerror}") from error


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(figure: object) -> str:
    return f"{figure:,}" if isinstance(figure, int | float) else str(figure)
