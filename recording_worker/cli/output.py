"""What the commands print: progress on a terminal, tables of figures; and how they end before their time."""

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
    """A progress bar on standard error, if that is a terminal.

    What it yields is told (how much of `total` was done, how many messages) since it was last told.
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

        def report(done: float, done_messages: int) -> None:
            nonlocal messages
            messages += done_messages
            progress.update(task, advance=done, messages=messages)

        yield report


def files_progress_bar(title: str, files: Iterable[Path]) -> AbstractContextManager[Callable[[float, int], None]]:
    """A progress bar by the bytes of these files."""
    total = sum(path.stat().st_size for path in files)
    return progress_bar(title, total, DownloadColumn(binary_units=True), TimeRemainingColumn())


def print_figures(title: str, figures: Mapping[str, object]) -> None:
    """A table of names and figures on standard output; a mapping among them becomes a row an entry."""
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
    """SIGTERM and SIGHUP end what runs here as Ctrl-C does, so that it cleans up behind itself.

    Also where a library makes an error of its own of what a signal raised within it, as confluent-kafka does.
    """
    raised: list[BaseException] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        raised.append(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))
        raise raised[-1]

    numbers = [signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell has it ignored in the background
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
    """As `signals_end`, and Ctrl-C as well; but what runs in `deferred` comes to its end first.

    A second signal does not wait for that.
    """

    def __init__(self) -> None:
        self._is_deferring = False
        self._asked: int | None = None
        """The signal that waits."""
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
        """End, where a signal waits."""
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
