"""Worker processes and pipes, as the supervisor's pool sees them. Stand-ins for parts of multiprocessing and select."""

import signal
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.simulation.scheduler import Event, Process, Scheduler, Signal

_FULL = 50
"""Messages that a pipe holds before it takes no more."""


class PipeEnd:
    """One end of a pipe."""

    other: "PipeEnd"

    def __init__(self, scheduler: Scheduler) -> None:
        self._coming: deque[bytes] = deque()
        self.closed = False
        self.heard = Signal(scheduler)

    def send_bytes(self, message: bytes) -> None:
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

    def wait(self, seconds: float) -> bool:
        """Wait until there is something to read. Return whether there is."""
        return self.is_readable or (seconds > 0 and self.heard.wait(seconds) and self.is_readable)

    def recv_bytes(self) -> bytes:
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

    def register(self, connection: PipeEnd, events: int) -> None:
        self._connection, self._events = connection, events

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Wait up to `timeout` milliseconds."""
        reads = self._events == Select.POLLIN
        is_ready = self._connection.wait(timeout / 1000) if reads else self._connection.takes_more
        return [(0, self._events)] if is_ready else []


class Select:
    """Stands in for the module `select`."""

    POLLIN = 1
    POLLOUT = 4
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


class Selector:
    """Stands in for a selector that waits for pipes and ends."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._data: dict[PipeEnd | Event, Any] = {}

    def register(self, source: PipeEnd | Event, _events: int, data: Any = None) -> None:
        self._data[source] = data

    def unregister(self, source: PipeEnd | Event) -> None:
        del self._data[source]

    def select(self, timeout: float) -> list[tuple[SimpleNamespace, int]]:
        if not any(map(_is_ready, self._data)):
            self._wait(timeout)
        return [(SimpleNamespace(data=data), 1) for source, data in self._data.items() if _is_ready(source)]

    def _wait(self, timeout: float) -> None:
        task = self._scheduler.task()
        signals = [each.signal if isinstance(each, Event) else each.heard for each in self._data]
        for each in signals:
            each.add(task)
        try:
            self._scheduler.wait(timeout)
        finally:
            for each in signals:
                each.remove(task)


def _is_ready(source: PipeEnd | Event) -> bool:
    return source.is_set() if isinstance(source, Event) else source.is_readable
