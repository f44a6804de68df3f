"""The audit topic: one record for each dead letter that was redriven or dropped, in one transaction with the act."""

import sqlite3
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Self

import orjson
from pydantic import TypeAdapter, ValidationError

from recording_worker.formats.ranges import KafkaTimeMs, Offset, Partition
from recording_worker.kafka.exclusive_producer import WrittenAt
from recording_worker.operations.dlq.dead_letter import DeadLetter

CLOCK_SKEW_MS = 3_600_000
"""How far the clocks of hosts may be apart."""


class Action(StrEnum):
    """What was done about a dead letter."""

    REDRIVE = "redrive"
    """Its message was sent back."""
    DROP = "drop"
    """It was marked as dealt with."""


class State(StrEnum):
    """Where a dead letter stands."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DROPPED = "dropped"
    UNKNOWN = "unknown"
    """The audit topic no longer covers all the time since the letter arrived: it may have been redriven."""


_MAX_TEXT = 200
"""How many characters of a text from outside are kept: a record must not be too large for its topic."""

_STATES = {Action.REDRIVE: State.REDRIVEN, Action.DROP: State.DROPPED}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What was done about a dead letter, by whom and when. Times in milliseconds since 1970."""

    action: Action
    by: str
    """user@host"""
    at_ms: KafkaTimeMs
    identity: str
    """The letter's (see `DeadLetter.identity`)."""
    dlq_topic: str
    dlq_partition: Partition
    dlq_offset: Offset
    reason: str
    token: str
    source_topic: str | None = None
    source_partition: Partition | None = None
    source_offset: Offset | None = None
    to_topic: str | None = None
    """Where the message was sent; None if it was dropped."""
    to_partition: Partition | None = None
    to_offset: Offset | None = None

    @classmethod
    def of(
        cls, letter: DeadLetter, action: Action, *, dlq_topic: str, by: str, at_ms: int, sent_to: WrittenAt | None
    ) -> Self:
        source = letter.source[:3] if letter.source is not None else (None, None, None)
        why = letter.reason[:_MAX_TEXT], letter.token[:_MAX_TEXT]
        to = sent_to or (None, None, None)
        return cls(action, by, at_ms, letter.identity, dlq_topic, *letter.place, *why, *source, *to)

    @property
    def state(self) -> State:
        """Where the letter has stood since."""
        return _STATES[self.action]

    def json(self) -> bytes:
        """The record's value."""
        return orjson.dumps(asdict(self))


_RECORD = TypeAdapter(AuditRecord)


def read_audit_record(value: bytes | None) -> AuditRecord:
    """Raises ValueError if the value is not an audit record."""
    try:
        return _RECORD.validate_json(value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from error


class AuditLog:
    """What was done about the letters of one DLQ topic. A temporary SQLite database, which spills to disk by itself.

    Fill it first, then ask.
    """

    def __init__(self, dlq_topic: str, horizon_ms: int = 0) -> None:
        """`horizon_ms`: records of what was done before this time may be gone; 0 if all are there."""
        self._dlq_topic = dlq_topic
        self._horizon_ms = horizon_ms
        self._sql = sqlite3.connect("", isolation_level=None)  # a temporary file, deleted when it is closed
        self._sql.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE handled (identity TEXT PRIMARY KEY, record BLOB) WITHOUT ROWID;"
            "CREATE TABLE claimed (identity TEXT PRIMARY KEY) WITHOUT ROWID"
        )

    def close(self) -> None:
        self._sql.close()

    def add(self, record: AuditRecord) -> None:
        """Take in a record; one of another DLQ topic is ignored."""
        if record.dlq_topic == self._dlq_topic:
            self._sql.execute("INSERT OR REPLACE INTO handled VALUES (?, ?)", (record.identity, record.json()))

    def claim(self, letter: DeadLetter) -> bool:
        """Note that a letter is being dealt with; return False if a letter of the same message is claimed already."""
        return self._sql.execute("INSERT OR IGNORE INTO claimed VALUES (?)", (letter.identity,)).rowcount == 1

    def record_of(self, letter: DeadLetter) -> AuditRecord | None:
        """What was done about a letter; None if nothing was."""
        query = "SELECT record FROM handled WHERE identity = ?"
        found = self._sql.execute(query, (letter.identity,)).fetchone()
        return None if found is None else read_audit_record(found[0])

    def state_of(self, letter: DeadLetter) -> State:
        """Where a letter stands."""
        record = self.record_of(letter)
        if record is not None:
            return record.state
        # if a message has two letters, the earlier may have been dealt with, at any time since the message arrived
        times = [letter.timestamp_ms, *([letter.source.timestamp_ms] if letter.source is not None else [])]
        arrived_ms = min((time for time in times if time >= 0), default=0)
        is_sure = not self._horizon_ms or arrived_ms >= self._horizon_ms + CLOCK_SKEW_MS
        return State.OPEN if is_sure else State.UNKNOWN
