"""What commands print while they run and at their end: progress bars and figures. And how signals end them."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table


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
def signals_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what runs here like Ctrl-C does, so that it can clean up.

    This also works if a library turns what the signal raised into an error of its own, as confluent-kafka does.
    """
    raised: list[BaseException] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        raised.append(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))
        raise raised[-1]

    numbers = [signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell ignores it for background jobs
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    except Exception:
        if raised:
            raise raised[0] from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interruptible:
    """Ends what runs here on SIGINT, SIGTERM or SIGHUP, but lets what runs in `deferred` finish first.

    A second signal does not wait.
    """

    def __init__(self) -> None:
        self._is_deferring = False
        self._asked: int | None = None
        """The signal that came during `deferred`."""
        self._raised: SystemExit | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._raised is not None and isinstance(error, Exception):
            raise self._raised from None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        self._is_deferring = True
        try:
            yield
        finally:
            self._is_deferring = False
        self.check()

    def check(self) -> None:
        """End now if a signal came during `deferred`."""
        if self._asked is not None:
            self._end(self._asked)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._is_deferring and self._asked is None:
            self._asked = number
        else:
            self._end(number)

    def _end(self, number: int) -> NoReturn:
        self._raised = SystemExit(128 + number)
        raise self._raised


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(figure: object) -> str:
    return f"{figure:,}" if isinstance(figure, int | float) else str(figure)
