"""SessionBatchManager and SessionBatchRecorder: what accumulates until a flush, per partition and session."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import uuid_utils

from recording_worker._native import SessionBlock
from recording_worker.batch import MessageBatch, OutputRecord
from recording_worker.clock import Clock
from recording_worker.recording.console_logs import ConsoleLogRecorder
from recording_worker.teams.service import Team


class FlushReason(StrEnum):
    """Why a session batch is flushed."""

    SIZE = "size"
    AGE = "age"
    REVOKE = "revoke"
    STOP = "stop"


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
    """What a session batch holds of one partition."""

    sessions: dict[tuple[int, str], SessionRecorder] = field(default_factory=dict)
    over_limit: set[tuple[int, str]] = field(default_factory=set)
    """Sessions dropped from this batch for having too many events."""
    records: list[OutputRecord] = field(default_factory=list)
    """DLQ, overflow and warning records that leave together with the offsets."""
    next_offset: int = 0
    """The offset to go on from once this batch is delivered."""
    messages: int = 0
    raw_bytes: int = 0


class SessionBatchRecorder:
    """One session batch: the sessions, records and offsets of its partitions."""

    def __init__(self, topic: str, max_events_per_session: int | None, started: float) -> None:
        self.batch_id = str(uuid_utils.uuid7())
        self.topic = topic
        self.started = started
        """Monotonic seconds at the first message."""
        self.partitions: dict[int, PartitionBatch] = {}
        self._max_events_per_session = max_events_per_session

    @property
    def raw_bytes(self) -> int:
        """Bytes held: uncompressed lines, and the records that wait for the flush."""
        return sum(partition.raw_bytes for partition in self.partitions.values())

    @property
    def session_count(self) -> int:
        return sum(len(partition.sessions) for partition in self.partitions.values())

    def sessions(self) -> Iterable[SessionRecorder]:
        """All sessions, partition by partition, in the order they were first seen."""
        for partition in self.partitions.values():
            yield from partition.sessions.values()

    @property
    def offsets(self) -> dict[int, int]:
        """Partition → the offset to go on from once this batch is delivered."""
        return {number: partition.next_offset for number, partition in self.partitions.items()}

    def record(self, batch: MessageBatch, row: int) -> SessionRecorder | None:
        """Add a row's events to its session; None where that puts the session over its event limit.

        Then the session is taken out of this batch, with what was recorded of it before, and stays out.
        """
        decoded, team = batch.decoded, batch.teams[row]
        assert decoded is not None
        assert team is not None
        assert team.retention is not None
        partition = self._partition(batch.partitions[row])
        key = (team.id, decoded.session_id(row))
        if key in partition.over_limit:
            return None
        session = partition.sessions.get(key)
        if session is None:
            session = SessionRecorder(team.id, key[1], batch.partitions[row], team.retention)
            partition.sessions[key] = session
        limit = self._max_events_per_session
        if limit is not None and session.block.event_count + decoded.event_count(row) > limit:
            partition.raw_bytes -= session.block.size
            partition.over_limit.add(key)
            del partition.sessions[key]
            return session  # type: ignore[return-value]
        partition.raw_bytes += session.block.record(decoded, row, batch.offsets[row])
        if team.console_logs:
            session.console_logs.record(decoded.console_logs(row))
        return session

    def _partition(self, number: int) -> PartitionBatch:
        partition = self.partitions.get(number)
        if partition is None:
            partition = self.partitions[number] = PartitionBatch()
        return partition
