"""Kafka records as they come in and go out."""

from typing import NamedTuple

Headers = list[tuple[str, bytes]]
"""A message's headers, unchanged: (key, value) in order. A key may repeat."""


class Message(NamedTuple):
    """One Kafka record of the source topic, or one line of a message file."""

    partition: int
    offset: int
    timestamp_ms: int
    """Kafka timestamp in ms since 1970, or -1 if the record has none."""
    key: bytes | None
    value: bytes | None
    headers: Headers


class OutputRecord(NamedTuple):
    """One record to produce, together with the offsets of the partition it came from."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    """Timestamp to produce with; 0 lets the broker's clock decide."""
    as_it_came: bool = False
    """Whether key and value are an input message passed on unchanged (DLQ, overflow), and not JSON made here."""


class Record(NamedTuple):
    """A record of an output topic, as a read_committed reader gets it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    headers: list[tuple[str, bytes]]
    value: bytes | None
    key: bytes | None = None

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition} at {self.offset}"
