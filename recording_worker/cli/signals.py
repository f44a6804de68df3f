"""How signals end a command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self


@contextmanager
def signals_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what runs here like Ctrl-C does, so that it can clean up.

    This also works if a library turns what the signal raised into an error of its own, as confluent-kafka does. What
    a signal raises in a finalizer Python only prints: then the command ends when what runs here is done.
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
    else:
        if raised:
            raise raised[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def until_signal() -> Iterator[None]:
    """Serve until a signal, which is the end that was asked for: the command goes on after it, and ends well."""
    with suppress(KeyboardInterrupt, SystemExit), signals_end():
        yield


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
