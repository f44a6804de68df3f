"""What supervisor and workers say to each other over a pipe. No message payload ever crosses it."""

import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Generic, NamedTuple, TypeVar

from recording_worker.errors import WorkerError
from recording_worker.formats.accounts import Account
from recording_worker.kafka.consumer import PartitionState


class Placement(NamedTuple):
    """A partition in a worker's hands."""

    partition: int
    epoch: int
    """Number of this hand-over, never used twice: what a worker says of an earlier one is known as stale by it."""
    offset: int
    """The next offset to read: of an assignment where to begin, of a flush where to go on from."""
    account: Account | None = None
    """What waits to be accounted for of the messages before `offset` (see `formats.accounts`)."""


# supervisor to worker


@dataclass(frozen=True, slots=True)
class Membership:
    """The supervisor's part in the consumer group, as librdkafka writes it: transactions commit offsets under it."""

    metadata: bytes


@dataclass(frozen=True, slots=True)
class Assign:
    """Read these partitions as well."""

    placements: tuple[Placement, ...]
    careful: tuple[int, ...] = ()
    """Those of them that are to be read message by message, each told of before (see `supervisor.crashes`)."""
    culprits: dict[tuple[int, int], str] = field(default_factory=dict)
    """(partition, offset) of messages that are not to be decoded → how a worker ended at them."""


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
    stale: str = ""
    """Which teams or restrictions are older than they may be, and why; empty where none are."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """A session batch is stored and its records are acknowledged: these offsets may be committed, or are."""

    placements: tuple[Placement, ...]
    committed: bool
    """Whether the offsets were committed with the records, in one transaction."""
    sessions: int
    events: int
    bytes_written: int


@dataclass(frozen=True, slots=True)
class Released:
    """Nothing is held of these any more."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Decoding:
    """The worker, told to be careful, now turns to the message at the placement's offset."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class Decoded:
    """It is through with that message."""


@dataclass(frozen=True, slots=True)
class PartitionStopped:
    """A partition can't go on without leaving messages out, or has halted; the worker reads it no more."""

    placement: Placement
    text: str
    halted: bool = False
    """Whether that is for too many of its messages being for the DLQ."""


ToWorker = Membership | Assign | Revoke | Discard | Stop
FromWorker = Ready | BootFailed | Progress | Flushed | Released | Decoding | Decoded | PartitionStopped

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
