"""What supervisor and workers say to each other over a pipe. No Kafka message ever crosses it."""

import pickle
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Generic, NamedTuple, TypeVar

from recording_worker.dependencies import DependencyState
from recording_worker.errors import WorkerError
from recording_worker.formats.accounts import Account
from recording_worker.kafka.consumer import PartitionState


class Placement(NamedTuple):
    """A partition that a worker holds."""

    partition: int
    epoch: int
    """Counts up each time that a partition is given to a worker. What a worker says under an older epoch is stale."""
    offset: int
    """The next offset to read: where to begin, in an assignment; where to go on, after a flush."""
    account: Account | None = None
    """What became of messages before `offset` that no metadata record tells yet (see `formats.accounts`)."""
    topic_id: str = ""
    """The id of the topic whose offsets these are; empty if it is not known."""


# supervisor to worker


@dataclass(frozen=True, slots=True)
class Membership:
    """The supervisor's membership of the consumer group. Transactions commit offsets under it."""

    metadata: bytes
    """The group metadata as librdkafka writes it."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Read these partitions too."""

    placements: tuple[Placement, ...]
    isolated: tuple[int, ...] = ()
    """The ones to read message by message, with a Decoding before each (see `supervisor.crashes`)."""
    poison: dict[tuple[int, int], str] = field(default_factory=dict)
    """(partition, offset) of messages that must not be decoded → how a worker ended at them."""
    alone_before: dict[int, int] = field(default_factory=dict)
    """Isolated partition → the offset before which each message is flushed alone."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """Stop reading these, flush what is held for them, then say Released."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Discard:
    """Another host owns these already: forget what is held for them."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop reading, flush everything, exit 0."""


# worker to supervisor


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything a worker needs is built and checked."""


@dataclass(frozen=True, slots=True)
class BootFailed:
    """The worker can't start, and another try would not help."""

    error: WorkerError


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker ends with this fault."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Sent about every second, while the worker's loop turns."""

    partitions: dict[int, PartitionState]
    flushing: bool
    """Whether a flush is in flight."""
    trouble: str = ""
    """Why the worker is not ready: which teams or restrictions are older than they may be, or a delivery that is tried
    again and again. Empty if it is ready."""


@dataclass(frozen=True, slots=True)
class DependencyReport:
    """What the worker knows of its dependencies. A thread of its own sends it, so it says nothing of the loop."""

    states: tuple[DependencyState, ...]


@dataclass(frozen=True, slots=True)
class Flushing:
    """A flush begins. It holds the messages before these offsets that are not flushed yet."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Flushed:
    """A session batch is stored and Kafka has its records: its offsets may be committed, or are committed."""

    placements: tuple[Placement, ...]
    committed: bool
    """Whether the offsets were committed with the records, in one transaction."""
    sessions: int
    events: int
    bytes_written: int
    until: dict[int, int] = field(default_factory=dict)
    """Partition → the second since 1970 in which Kafka got its latest message, if any message says it."""


@dataclass(frozen=True, slots=True)
class Released:
    """The worker holds nothing for these any more."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Decoding:
    """The worker is about to decode the message at the placement's offset, and perhaps to flush it alone.

    Sent only for isolated partitions.
    """

    placement: Placement


@dataclass(frozen=True, slots=True)
class Decoded:
    """The worker has finished that message."""


@dataclass(frozen=True, slots=True)
class PartitionStopped:
    """The worker stopped reading a partition: messages would be left out, or it halted."""

    placement: Placement
    text: str
    halted: bool = False
    """Whether it stopped because too many of its messages go to the DLQ."""


ToWorker = Membership | Assign | Revoke | Discard | Stop
FromWorker = (
    Ready
    | BootFailed
    | Failed
    | Progress
    | DependencyReport
    | Flushing
    | Flushed
    | Released
    | Decoding
    | Decoded
    | PartitionStopped
)

Out = TypeVar("Out")
In = TypeVar("In")


class Channel(Generic[Out, In]):
    """One end of a pipe. Any thread may send; one thread receives.

    It pickles and polls itself, because workers report all the time. For each message multiprocessing would make a
    pickler that can pass on locks and sockets, and for each look a selector.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        """To wait on."""
        self._sending = threading.Lock()
        self._coming = select.poll()
        self._coming.register(connection, select.POLLIN)

    def send(self, message: Out) -> None:
        """Send, and wait while the pipe is full. Raises OSError if the other end is gone."""
        with self._sending:
            self.connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def try_send(self, message: Out) -> bool:
        """Send without waiting. Return False if the other end has stopped reading, or is gone."""
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
        """Yield the messages that are there; wait up to `timeout` seconds for the first.

        Raises EOFError once the other end is gone.
        """
        while self._coming.poll(timeout * 1000):
            try:
                yield pickle.loads(self.connection.recv_bytes())
            except OSError as error:  # the other end was killed, possibly in the middle of a message
                raise EOFError from error
            timeout = 0

    def close(self) -> None:
        self.connection.close()


SupervisorChannel = Channel[ToWorker, FromWorker]
WorkerChannel = Channel[FromWorker, ToWorker]
