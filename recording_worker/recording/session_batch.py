"""SessionBatchManager and SessionBatchRecorder: what gathers until a flush, by partition and session."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import uuid_utils

from recording_worker._native import DecodedBatch, SessionBlock
from recording_worker.clock import Clock
from recording_worker.formats.accounts import Account
from recording_worker.lookups.teams.service import Team
from recording_worker.messages import OutputRecord
from recording_worker.outcome import Disposition
from recording_worker.recording.console_logs import ConsoleLogRecorder


class FlushReason(StrEnum):
    """Why a session batch is flushed."""

    SIZE = "size"
    AGE = "age"
    REVOKE = "revoke"
    STOP = "stop"


class Advance(NamedTuple):
    """How far one poll moves a partition: past its messages from `first` up to, not including, `end`."""

    first: int
    end: int
    ended: Counter[int]
    """Its messages by disposition."""


@dataclass(slots=True)
class SessionRecorder:
    """One session of one partition in one session batch."""

    team_id: int
    session_id: str
    partition: int
    retention: str
    """The period the session began with in this batch: "30d", "90d", "1y" or "5y"."""
    block: SessionBlock = field(default_factory=SessionBlock)
    console_logs: ConsoleLogRecorder = field(default_factory=ConsoleLogRecorder)


@dataclass(slots=True)
class PartitionBatch:
    """One partition's part of a session batch."""

    sessions: dict[tuple[int, str], SessionRecorder] = field(default_factory=dict)
    over_limit: set[tuple[int, str]] = field(default_factory=set)
    """Sessions that were dropped from this batch because they have too many events."""
    records: list[OutputRecord] = field(default_factory=list)
    """DLQ, overflow and warning records that leave together with the offsets."""
    first_offset: int | None = None
    next_offset: int = 0
    """The next offset to read once this batch is delivered."""
    ended: Counter[int] = field(default_factory=Counter)
    """Messages read, by disposition."""
    skipped: int = 0
    """Offsets that were gone from the log before they were read (`on_offset_gap`)."""
    discarded_messages: int = 0
    """Messages that were recorded and taken out again, because their session passed the event limit."""
    discarded_events: int = 0
    raw_bytes: int = 0

    @property
    def account(self) -> Account:
        """What became of the messages of this batch."""
        return Account(
            start=self.next_offset if self.first_offset is None else self.first_offset,
            next=self.next_offset,
            recorded=self.ended[Disposition.OK] - self.discarded_messages,
            dropped=self.ended[Disposition.DROP] + self.discarded_messages,
            redirected=self.ended[Disposition.REDIRECT],
            dlq=self.ended[Disposition.DLQ],
            skipped=self.skipped,
        )

    def advance(self, first: int, end: int) -> None:
        """Move the offset past the messages from `first` up to, not including, `end`."""
        if self.first_offset is None:
            self.first_offset = first
        self.next_offset = end

    def skip(self, first: int, end: int) -> None:
        """Move the offset past messages that are gone from the log."""
        self.advance(first, end)
        self.skipped += end - first

    def drop_over_limit(self, key: tuple[int, str]) -> None:
        """Take a session out of this batch and keep it out."""
        block = self.sessions.pop(key).block
        self.over_limit.add(key)
        self.discarded_messages += block.message_count
        self.discarded_events += block.event_count
        self.raw_bytes -= block.size


class SessionBatchRecorder:
    """One session batch: the sessions, records and offsets of its partitions."""

    def __init__(self, topic: str, max_events_per_session: int | None, started: float) -> None:
        self.batch_id = str(uuid_utils.uuid7())
        self.topic = topic
        self.started = started
        """When its first message came, monotonic seconds."""
        self.partitions: dict[int, PartitionBatch] = {}
        self._max_events_per_session = max_events_per_session

    @property
    def raw_bytes(self) -> int:
        """Bytes it holds: uncompressed lines, and the records that wait for the flush."""
        return sum(partition.raw_bytes for partition in self.partitions.values())

    @property
    def session_count(self) -> int:
        return sum(len(partition.sessions) for partition in self.partitions.values())

    @property
    def discarded_messages(self) -> int:
        """Messages that were recorded and taken out again, because their session passed the event limit."""
        return sum(partition.discarded_messages for partition in self.partitions.values())

    @property
    def discarded_events(self) -> int:
        return sum(partition.discarded_events for partition in self.partitions.values())

    def sessions(self) -> Iterable[SessionRecorder]:
        """Give all sessions, partition by partition, in the order they were first seen."""
        for partition in self.partitions.values():
            yield from partition.sessions.values()

    @property
    def offsets(self) -> dict[int, int]:
        """Partition → the next offset to read once this batch is delivered."""
        return {number: partition.next_offset for number, partition in self.partitions.items()}

    def record(self, number: int, offset: int, team: Team, retention: str, decoded: DecodedBatch, row: int) -> bool:
        """Add a decoded message to its session; return False if the session passed its event limit.

        `number` and `offset` say which message of the topic it is, `row` which one of `decoded`. A session over its
        limit stays out of this batch, and what was recorded of it before is taken out again.
        """
        partition = self.partition(number)
        key = (team.id, decoded.session_id(row))
        if key in partition.over_limit:
            return False
        session = partition.sessions.get(key)
        if session is None:
            session = partition.sessions[key] = SessionRecorder(team.id, key[1], number, retention)
        limit = self._max_events_per_session
        if limit is not None and session.block.event_count + decoded.event_count(row) > limit:
            partition.drop_over_limit(key)
            return False
        partition.raw_bytes += session.block.record(decoded, row, offset)
        if team.console_logs and (logs := decoded.console_logs(row)):
            session.console_logs.record(logs)
        return True

    def take(self, records: Iterable[tuple[int, OutputRecord]], advances: Mapping[int, Advance]) -> None:
        """Take over a poll's (partition, record) pairs, and move the offsets past its messages."""
        for number, record in records:
            partition = self.partition(number)
            partition.records.append(record)
            partition.raw_bytes += len(record.value or b"")
        for number, advance in advances.items():
            partition = self.partition(number)
            partition.advance(advance.first, advance.end)
            partition.ended.update(advance.ended)

    def partition(self, number: int) -> PartitionBatch:
        partition = self.partitions.get(number)
        if partition is None:
            partition = self.partitions[number] = PartitionBatch()
        return partition


class SessionBatchManager:
    """Holds the current session batch, and says when it is due for a flush."""

    def __init__(
        self, topic: str, clock: Clock, max_bytes: int, max_age: float, max_events_per_session: int | None
    ) -> None:
        self._topic = topic
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._max_events_per_session = max_events_per_session
        self._current: SessionBatchRecorder | None = None

    @property
    def current(self) -> SessionBatchRecorder:
        """The session batch that takes messages. It begins with the first access."""
        if self._current is None:
            self._current = SessionBatchRecorder(self._topic, self._max_events_per_session, self._clock.monotonic())
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
        """Whether the current batch has reached its size limit. Then nothing more may be read into it."""
        return self.raw_bytes >= self._max_bytes

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
        dropped = [self._current.partitions.pop(number, None) for number in partitions]
        return sum(len(partition.sessions) for partition in dropped if partition is not None)
