"""DeadLetter: a message on the DLQ. Selection: which of them an operator asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from recording_worker.formats.dlq_headers import ERROR, REASON, STEP, Source, is_dlq_header, our_name, source_of
from recording_worker.formats.source import source_topic
from recording_worker.messages import Headers, Record


class Place(NamedTuple):
    """Where a dead letter is on the DLQ topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on the DLQ, and why it is there. What its headers don't say is empty."""

    place: Place
    timestamp_ms: int
    """When it was sent to the DLQ, ms since 1970."""
    source: Source | None
    reason: str
    step: str
    error: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    """The message's own headers, without those that were added on the way to the DLQ."""

    @property
    def identity(self) -> str:
        """The same for all letters of one message; a group that is rewound leaves several.

        The topic's id and the timestamps tell it from messages of an earlier topic with the same name.
        """
        if self.source is None:
            return f"{self.place} {self.timestamp_ms}"
        topic, partition, offset, timestamp_ms, topic_id = self.source
        return f"{source_topic(topic, topic_id)} {partition}:{offset} {timestamp_ms}"

    @property
    def token(self) -> str:
        return self.header("token")

    @property
    def session_id(self) -> str:
        return self.header("session_id")

    def header(self, name: str) -> str:
        """The text of a header, read as the worker reads it; empty if the header is not there."""
        return _texts(self.headers).get(name, "")

    def has_header(self, name: str) -> bool:
        return name in _texts(self.headers)


def read_dead_letter(record: Record) -> DeadLetter:
    """Read a record of the DLQ topic."""
    texts = _texts([(our_name(name), value) for name, value in record.headers])
    return DeadLetter(
        place=Place(record.partition, record.offset),
        timestamp_ms=record.timestamp_ms,
        source=source_of(record.headers),
        reason=texts.get(REASON, ""),
        step=texts.get(STEP, ""),
        error=texts.get(ERROR, ""),
        key=record.key,
        value=record.value,
        headers=[(name, value) for name, value in record.headers if not is_dlq_header(name)],
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are asked for. A letter must match every field that is set, by any of the field's values."""

    places: frozenset[Place] = frozenset()
    reasons: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    since_ms: int | None = None
    """Sent to the DLQ at this time or later."""
    until_ms: int | None = None
    """Sent to the DLQ before this time."""
    source_topics: frozenset[str] = frozenset()
    source_partitions: frozenset[int] = frozenset()
    source_offsets: range | None = None

    def matches(self, letter: DeadLetter) -> bool:
        return (
            (not self.places or letter.place in self.places)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.steps or letter.step in self.steps)
            and (not self.tokens or letter.token in self.tokens)
            and (not self.sessions or letter.session_id in self.sessions)
            and (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or letter.timestamp_ms < self.until_ms)
            and self._matches_source(letter.source)
        )

    def _matches_source(self, source: Source | None) -> bool:
        if source is None:
            return not self.source_topics and not self.source_partitions and self.source_offsets is None
        return (
            (not self.source_topics or source.topic in self.source_topics)
            and (not self.source_partitions or source.partition in self.source_partitions)
            and (self.source_offsets is None or source.offset in self.source_offsets)
        )


def _texts(headers: Headers) -> Mapping[str, str]:
    """Header → its text, as the step parse_headers reads it: null values are skipped, and the last one counts."""
    return {name.replace("\0", ""): _text(value) for name, value in headers if value is not None}


def _text(value: bytes) -> str:
    return value.decode(errors="replace").replace("\0", "")
