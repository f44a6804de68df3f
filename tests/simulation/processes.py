"""Worker processes and pipes, as the supervisor's pool sees them. Stand-ins for parts of multiprocessing and select."""

import signal
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.simulation.scheduler import Event, Process, Scheduler, Signal

_FULL = 50
"""Messages that a pipe holds before it takes no more."""


class PipeEnd:
    """One end of a pipe."""

    other: "PipeEnd"

    def __init__(self, scheduler: Scheduler) -> None:
        self._coming: deque[Any] = deque()
        self.closed = False
        self.heard = Signal(scheduler)

    def send(self, message: object) -> None:
        if self.other.closed:
            raise BrokenPipeError
        self.other._coming.append(message)
        self.other.heard.notify()

    @property
    def takes_more(self) -> bool:
        return self.other.closed or len(self.other._coming) < _FULL

    @property
    def is_readable(self) -> bool:
        return bool(self._coming) or self.other.closed

    def poll(self, timeout: float) -> bool:
        return self.is_readable or (timeout > 0 and self.heard.wait(timeout) and self.is_readable)

    def recv(self) -> object:
        if not self._coming:
            raise EOFError
        return self._coming.popleft()

    def close(self) -> None:
        self.closed = True
        self.other.heard.notify()

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class Poller:
    """Stands in for select.poll."""

    def register(self, connection: PipeEnd, _events: int) -> None:
        self._connection = connection

    def poll(self, _timeout: int) -> list[tuple[int, int]]:
        return [(0, 1)] if self._connection.takes_more else []


class Select:
    """Stands in for the module `select`."""

    POLLOUT = 1
    poll = Poller


class Handle:
    """A worker's process: stands in for multiprocessing.Process."""

    def __init__(
        self, scheduler: Scheduler, pid: int, process: Process, target: Callable[..., None], args: tuple[Any, ...]
    ) -> None:
        self._scheduler = scheduler
        self.pid = pid
        self.process = process
        self._target, self._args = target, args
        self.sentinel = Event(scheduler)

    @property
    def exitcode(self) -> int | None:
        return self.process.code

    def start(self) -> None:
        pipe: PipeEnd = self._args[3]

        def ended() -> None:
            pipe.close()
            self.sentinel.set()

        def run() -> None:
            self._target(*self._args)
            self._scheduler.end(self.process, 0)

        self.process.at_end.append(ended)
        self._scheduler.spawn(self.process, run)

    def kill(self) -> None:
        self._scheduler.end(self.process, -signal.SIGKILL)

    def join(self, timeout: float) -> None:
        self.sentinel.wait(timeout)

    def close(self) -> None: ...


class Context:
    """Stands in for a context of multiprocessing."""

    def __init__(self, scheduler: Scheduler, started: Callable[[Handle, int], None]) -> None:
        """`started` gets each process that is made, and the number of its worker."""
        self._scheduler = scheduler
        self._started = started

    def Pipe(self) -> tuple[PipeEnd, PipeEnd]:  # noqa: N802
        ours, theirs = PipeEnd(self._scheduler), PipeEnd(self._scheduler)
        ours.other, theirs.other = theirs, ours
        return ours, theirs

    def Process(self, *, target: Callable[..., None], args: tuple[Any, ...], name: str) -> Handle:  # noqa: N802
        process = Process(name)
        handle = Handle(self._scheduler, args[2], process, target, args)
        self._started(handle, args[2])
        return handle


def wait(scheduler: Scheduler, waitables: list[PipeEnd | Event], timeout: float) -> list[PipeEnd | Event]:
    """Stand in for multiprocessing.connection.wait."""

    def ready() -> list[PipeEnd | Event]:
        return [each for each in waitables if (each.is_set() if isinstance(each, Event) else each.is_readable)]

    task = scheduler.task()
    if found := ready():
        return found
    signals = [each.signal if isinstance(each, Event) else each.heard for each in waitables]
    for each in signals:
        each.add(task)
    try:
        scheduler.wait(timeout)
    finally:
        for each in signals:
            each.remove(task)
    return ready()
