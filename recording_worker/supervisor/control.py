"""What supervisor and workers say to each other over a pipe. No message payload ever crosses it."""

import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, NamedTuple, TypeVar

from recording_worker.errors import WorkerError
from recording_worker.kafka.consumer import PartitionState


class Placement(NamedTuple):
    """A partition in a worker's hands."""

    partition: int
    epoch: int
    """Number of this hand-over, never used twice: what a worker says of an earlier one is known as stale by it."""
    offset: int
    """The next offset to read: of an assignment where to begin, of a flush where to go on from."""


# supervisor to worker


@dataclass(frozen=True, slots=True)
class Assign:
    """Read these partitions as well."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Revoke:
    """Stop reading these, flush what is held of them, then say Released."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Discard:
    """These belong to somebody else already: forget what is held of them."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop reading, flush everything, exit 0."""


# worker to supervisor


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a worker needs is built and checked."""


@dataclass(frozen=True, slots=True)
class BootFailed:
    """The worker can't start, nor would another try help."""

    error: WorkerError


@dataclass(frozen=True, slots=True)
class Progress:
    """Sent about every second, while the worker's loop turns."""

    partitions: dict[int, PartitionState]
    flushing: bool
    """Whether a flush is in flight."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """A session batch is stored and its records are acknowledged: these offsets may be committed."""

    placements: tuple[Placement, ...]
    sessions: int
    events: int
    bytes_written: int


@dataclass(frozen=True, slots=True)
class Released:
    """Nothing is held of these any more."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class PartitionStopped:
    """A partition can't go on without leaving messages out; the worker reads it no more."""

    placement: Placement
    text: str


ToWorker = Assign | Revoke | Discard | Stop
FromWorker = Ready | BootFailed | Progress | Flushed | Released | PartitionStopped

Out = TypeVar("Out")
In = TypeVar("In")


class Channel(Generic[Out, In]):
    """One end of a pipe. Any thread may send; one thread receives."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        """To wait on."""
        self._sending = threading.Lock()

    def send(self, message: Out) -> None:
        """Waits while the pipe is full. Raises OSError where the other end is gone."""
        with self._sending:
            self.connection.send(message)

    def try_send(self, message: Out) -> bool:
        """Send without waiting; False where the other end has stopped reading, or is gone."""
        poller = select.poll()
        poller.register(self.connection, select.POLLOUT)
        # writable means at least half of the socket's buffer is free, which is many messages
        if not any(events & select.POLLOUT for _, events in poller.poll(0)):
            return False
        try:
            self.send(message)
        except OSError:
            return False
        return True

    def receive(self, timeout: float = 0) -> Iterator[In]:
        """The messages that are there, waiting for a first one. Raises EOFError once the other end is gone."""
        while self.connection.poll(timeout):
            try:
                yield self.connection.recv()
            except OSError as error:  # the other end was killed, maybe in the middle of a message
                raise EOFError from error
            timeout = 0

    def close(self) -> None:
        self.connection.close()


SupervisorChannel = Channel[ToWorker, FromWorker]
WorkerChannel = Channel[FromWorker, ToWorker]
