"""SessionBatchManager and SessionBatchRecorder: what gathers until a flush. The sessions are in native code."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Self

import uuid_utils

from recording_worker._native import PartitionFigures, SessionBatch
from recording_worker.clock import Clock
from recording_worker.formats.accounts import Account
from recording_worker.formats.batch_file import MAX_INDEX_BYTES
from recording_worker.formats.session_keys import Session
from recording_worker.messages import OutputRecord
from recording_worker.outcome import Disposition, Reason
from recording_worker.settings.model import Settings

FULL_INDEX_BYTES = MAX_INDEX_BYTES // 4
"""A session batch is flushed when its index takes this much, some 15,000 sessions. The rest is for the last poll: an
index longer than MAX_INDEX_BYTES would not be read."""


_MAX_SECONDS = 4096
"""Different times of a partition's messages that a batch remembers: an hour of backlog. Senders choose the times."""


class FlushReason(StrEnum):
    """Why a session batch is flushed."""

    SIZE = "size"
    AGE = "age"
    MEMORY = "memory"
    REVOKE = "revoke"
    STOP = "stop"
    ISOLATION = "isolation"
    """A partition is isolated, so that few messages are flushed together."""


class Since(StrEnum):
    """From when the way of a message is measured."""

    CAPTURED = "captured"
    """The capture service took it: header `now`."""
    RECEIVED = "received"
    """Kafka has it, or its producer sent it: the record's timestamp."""

    __hash__ = str.__hash__  # an enum's own is Python, and runs for each second of a poll, several times


Seconds = Counter[tuple[Since, int]]
"""(since when, that second since 1970) → messages. Messages that don't say it are left out."""


Outcomes = Counter[tuple[int, int]]
"""(disposition, reason) → messages."""


class Advance(NamedTuple):
    """How far one poll moves a partition: past its messages from `first` up to, not including, `end`."""

    first: int
    end: int
    ended: Outcomes
    """Its messages by how they ended."""
    seconds: Seconds
    """Its messages by when they came."""
    warned: Counter[str]
    """The ingestion warnings about its messages, by type."""


class PartitionCounts(NamedTuple):
    """What is counted of a partition's part of a session batch once it is delivered."""

    ended: Outcomes
    """Messages by how they ended. The messages of a session over the event limit have ended for that."""
    held: PartitionFigures
    warned: Counter[str]
    """Ingestion warnings, by type."""


NO_COUNTS = PartitionCounts(Counter(), SessionBatch().total(), Counter())


@dataclass(slots=True)
class PartitionBatch:
    """One partition's part of a session batch, except its sessions."""

    records: list[OutputRecord] = field(default_factory=list)
    """DLQ, overflow and warning records that leave together with the offsets."""
    first_offset: int | None = None
    next_offset: int = 0
    """The next offset to read once this batch is delivered."""
    ended: Outcomes = field(default_factory=Counter)
    """Messages read, by how they ended when they were read."""
    warned: Counter[str] = field(default_factory=Counter)
    seconds: Seconds = field(default_factory=Counter)
    """Messages read, by when they came."""
    skipped: int = 0
    """Offsets that were gone from the log before they were read (`on_offset_gap`)."""
    record_bytes: int = 0

    def counts(self, held: PartitionFigures) -> PartitionCounts:
        """Return what is counted of it. `held`: its sessions."""
        ended = self.ended.copy()
        ended[Disposition.OK, Reason.NONE] -= held.discarded_messages
        ended[Disposition.DROP, Reason.SESSION_EVENT_LIMIT] += held.discarded_messages
        return PartitionCounts(ended, held, self.warned)

    def account(self, held: PartitionFigures) -> Account:
        """Return what became of the messages of this batch. `held`: its sessions."""
        by_disposition: Counter[int] = Counter()
        for (disposition, _), messages in self.counts(held).ended.items():
            by_disposition[disposition] += messages
        return Account(
            start=self.next_offset if self.first_offset is None else self.first_offset,
            next=self.next_offset,
            recorded=by_disposition[Disposition.OK],
            dropped=by_disposition[Disposition.DROP],
            redirected=by_disposition[Disposition.REDIRECT],
            dlq=by_disposition[Disposition.DLQ],
            skipped=self.skipped,
        )

    def advance(self, first: int, end: int) -> None:
        """Move the offset past the messages from `first` up to, not including, `end`."""
        if self.first_offset is None:
            self.first_offset = first
        self.next_offset = end

    def came(self, seconds: Seconds) -> None:
        """Count messages of a poll by when they came. If these are too many times, all count as the latest of them."""
        if len(self.seconds) + len(seconds) <= _MAX_SECONDS:
            self.seconds.update(seconds)
            return
        for since in {since for since, _ in seconds}:
            own = {second: messages for (each, second), messages in seconds.items() if each is since}
            self.seconds[since, max(own)] += sum(own.values())

    def skip(self, first: int, end: int) -> None:
        """Move the offset past messages that are gone from the log."""
        self.advance(first, end)
        self.skipped += end - first


class SessionLimits(NamedTuple):
    """What a session batch takes of one session; None sets no limit."""

    events: int | None = None
    """A session with more is dropped from the batch."""
    console_logs: int | None = None
    """Console messages that are stored. The others are only counted."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.max_events_per_session_per_batch, settings.max_console_logs_per_session_per_batch)


class SessionBatchRecorder:
    """One session batch: the sessions, records and offsets of its partitions."""

    def __init__(self, topic: str, limits: SessionLimits, started: float) -> None:
        self.batch_id = str(uuid_utils.uuid7())
        self.topic = topic
        self.started = started
        """When its first message came, monotonic seconds."""
        self.partitions: dict[int, PartitionBatch] = {}
        self.keys: dict[Session, bytes | None] = {}
        """Session → the key of its blocks; None if they are stored in the clear. Empty without encryption."""
        self.sessions = SessionBatch(limits.events, limits.console_logs)

    @property
    def raw_bytes(self) -> int:
        """Bytes it holds: uncompressed lines, and the records and index entries that its flush makes or sends."""
        return self.sessions.total().bytes + sum(partition.record_bytes for partition in self.partitions.values())

    @property
    def index_bytes(self) -> int:
        """What the index of each of its files takes at most, as JSON."""
        return self.sessions.total().index_bytes

    @property
    def session_count(self) -> int:
        return self.sessions.total().sessions

    @property
    def discarded_messages(self) -> int:
        """Messages that were recorded and taken out again, because their session passed the event limit."""
        return self.sessions.total().discarded_messages

    @property
    def offsets(self) -> dict[int, int]:
        """Partition → the next offset to read once this batch is delivered."""
        return {number: partition.next_offset for number, partition in self.partitions.items()}

    def counts(self) -> dict[int, PartitionCounts]:
        """Partition → what is counted of it once it is delivered."""
        return {number: part.counts(self.sessions.partition(number)) for number, part in self.partitions.items()}

    def accounts(self) -> dict[int, Account]:
        """Partition → what became of its messages."""
        return {number: part.account(self.sessions.partition(number)) for number, part in self.partitions.items()}

    def discard(self, number: int) -> int:
        """Drop a partition. Return how many sessions that drops."""
        self.partitions.pop(number, None)
        return self.sessions.discard(number)

    def take(self, records: Iterable[tuple[int, OutputRecord]], advances: Mapping[int, Advance]) -> None:
        """Take over a poll's (partition, record) pairs, and move the offsets past its messages."""
        for number, record in records:
            partition = self.partition(number)
            partition.records.append(record)
            partition.record_bytes += record.size
        for number, advance in advances.items():
            partition = self.partition(number)
            partition.advance(advance.first, advance.end)
            partition.ended.update(advance.ended)
            partition.warned.update(advance.warned)
            partition.came(advance.seconds)

    def partition(self, number: int) -> PartitionBatch:
        partition = self.partitions.get(number)
        if partition is None:
            partition = self.partitions[number] = PartitionBatch()
        return partition


class SessionBatchManager:
    """Holds the current session batch, and says when it is due for a flush."""

    def __init__(self, topic: str, clock: Clock, max_bytes: int, max_age: float, limits: SessionLimits) -> None:
        self._topic = topic
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._limits = limits
        self._current: SessionBatchRecorder | None = None

    @property
    def current(self) -> SessionBatchRecorder:
        """The session batch that takes messages. It begins with the first access."""
        if self._current is None:
            self._current = SessionBatchRecorder(self._topic, self._limits, self._clock.monotonic())
        return self._current

    @property
    def is_empty(self) -> bool:
        return self._current is None or not self._current.partitions

    @property
    def raw_bytes(self) -> int:
        return 0 if self._current is None else self._current.raw_bytes

    @property
    def session_count(self) -> int:
        return 0 if self._current is None else self._current.session_count

    @property
    def is_full(self) -> bool:
        """Whether the current batch has reached its size limit, or the index of its files has. Then nothing more may be
        read into it."""
        current = self._current
        return current is not None and (current.raw_bytes >= self._max_bytes or current.index_bytes >= FULL_INDEX_BYTES)

    def due(self) -> FlushReason | None:
        """Return why the current batch is due for a flush now, or None."""
        if self._current is None or self.is_empty:
            return None
        if self.is_full:
            return FlushReason.SIZE
        if self._clock.monotonic() - self._current.started >= self._max_age:
            return FlushReason.AGE
        return None

    def swap(self) -> SessionBatchRecorder:
        """Return the current batch. The next message begins a new one."""
        batch, self._current = self.current, None
        return batch

    def discard_partitions(self, partitions: Iterable[int]) -> int:
        """Drop these partitions from the current batch. Return how many sessions that drops."""
        if self._current is None:
            return 0
        return sum(self._current.discard(number) for number in partitions)
