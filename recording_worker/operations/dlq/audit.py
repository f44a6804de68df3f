"""What became of letters: a record each on the audit topic, written in one transaction with what was done."""

import sqlite3
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Self

import orjson
from pydantic import TypeAdapter, ValidationError

from recording_worker.operations.dlq.dead_letter import Letter

CLOCKS_MS = 3_600_000
"""How far the clocks of hosts may be apart."""


class Action(StrEnum):
    """What was done about a letter."""

    REDRIVE = "redrive"
    """Its message was sent back."""
    DROP = "drop"
    """It was marked as dealt with."""


class State(StrEnum):
    """Where a letter stands."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DROPPED = "dropped"
    UNKNOWN = "unknown"
    """The audit topic no longer holds all of the time since the letter came: it may have been redriven."""


_LONGEST = 200
"""Characters of a text from outside that are kept: a record must not be too large for its topic."""

_STATES = {Action.REDRIVE: State.REDRIVEN, Action.DROP: State.DROPPED}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What was done about a letter, by whom and when. Times in milliseconds since 1970."""

    action: Action
    by: str
    """user@host"""
    at_ms: int
    identity: str
    """Of the letter (see `Letter.identity`)."""
    dlq_topic: str
    dlq_partition: int
    dlq_offset: int
    reason: str
    token: str
    source_topic: str | None = None
    source_partition: int | None = None
    source_offset: int | None = None
    to_topic: str | None = None
    """Where the message was sent."""
    to_partition: int | None = None
    to_offset: int | None = None

    @classmethod
    def of(
        cls,
        letter: Letter,
        action: Action,
        *,
        dlq_topic: str,
        by: str,
        at_ms: int,
        to: tuple[str, int, int] | tuple[None, None, None] = (None, None, None),
    ) -> Self:
        source = letter.source[:3] if letter.source is not None else (None, None, None)
        why = letter.reason[:_LONGEST], letter.token[:_LONGEST]
        return cls(action, by, at_ms, letter.identity, dlq_topic, *letter.place, *why, *source, *to)

    @property
    def state(self) -> State:
        """Where the letter stands since then."""
        return _STATES[self.action]

    def json(self) -> bytes:
        """The record's value."""
        return orjson.dumps(asdict(self))


_RECORD = TypeAdapter(AuditRecord)


def read_audit_record(value: bytes | None) -> AuditRecord:
    """Raises ValueError where it is none."""
    try:
        return _RECORD.validate_json(value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from error


class Handled:
    """The letters of one DLQ topic that are dealt with. In a temporary SQLite database, which spills to disk by itself.

    Filled first, then asked.
    """

    def __init__(self, dlq_topic: str, horizon_ms: int = 0) -> None:
        """`horizon_ms`: of what was done before, records may be gone."""
        self._dlq_topic = dlq_topic
        self._horizon_ms = horizon_ms
        self._sql = sqlite3.connect("", isolation_level=None)  # a temporary file, gone when this is
        self._sql.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE handled (identity TEXT PRIMARY KEY, record BLOB) WITHOUT ROWID;"
            "CREATE TABLE taken (identity TEXT PRIMARY KEY) WITHOUT ROWID"
        )

    def close(self) -> None:
        self._sql.close()

    def add(self, record: AuditRecord) -> None:
        if record.dlq_topic == self._dlq_topic:
            self._sql.execute("INSERT OR REPLACE INTO handled VALUES (?, ?)", (record.identity, record.json()))

    def take(self, letter: Letter) -> bool:
        """Note that a letter is to be dealt with now; False where one of the same message is already."""
        return self._sql.execute("INSERT OR IGNORE INTO taken VALUES (?)", (letter.identity,)).rowcount == 1

    def record_of(self, letter: Letter) -> AuditRecord | None:
        """What was done about a letter, if anything was."""
        query = "SELECT record FROM handled WHERE identity = ?"
        found = self._sql.execute(query, (letter.identity,)).fetchone()
        return None if found is None else read_audit_record(found[0])

    def state_of(self, letter: Letter) -> State:
        """Where a letter stands."""
        record = self.record_of(letter)
        if record is not None:
            return record.state
        # of two letters of one message the earlier may be the one that was dealt with: that was after the message came
        times = [letter.timestamp_ms, *([letter.source.timestamp_ms] if letter.source is not None else [])]
        came_ms = min(time for time in times if time >= 0) if any(time >= 0 for time in times) else 0
        is_sure = not self._horizon_ms or came_ms >= self._horizon_ms + CLOCKS_MS
        return State.OPEN if is_sure else State.UNKNOWN
