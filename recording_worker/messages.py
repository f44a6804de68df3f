"""Kafka records as they come in and go out."""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, Self

from recording_worker._native import ByteColumn, HeaderColumn

Headers = Sequence[tuple[str, bytes | None]]
"""A message's headers, unchanged: (key, value) in order. A key may repeat, and a value may be null."""


def bytes_of(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return the bytes of a record's key, value and headers."""
    in_headers = sum(len(name) + len(content or b"") for name, content in headers)
    return len(key or b"") + len(value or b"") + in_headers


class Message(NamedTuple):
    """One Kafka record of the source topic, or one line of a message file."""

    partition: int
    offset: int
    timestamp_ms: int
    """Kafka timestamp in ms since 1970, or -1 if the record has none."""
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class MessageColumns:
    """Messages as columns: each has one entry per message, in order."""

    partitions: "array[int]"
    """Of type q, as are offsets and timestamps."""
    offsets: "array[int]"
    timestamps_ms: "array[int]"
    """Kafka timestamps in ms since 1970; -1 for none."""
    keys: ByteColumn
    values: ByteColumn
    headers: HeaderColumn

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Self:
        """Make columns of messages."""
        return cls(
            array("q", [message.partition for message in messages]),
            array("q", [message.offset for message in messages]),
            array("q", [message.timestamp_ms for message in messages]),
            ByteColumn([message.key for message in messages]),
            ByteColumn([message.value for message in messages]),
            HeaderColumn([message.headers for message in messages]),
        )

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, rows: slice) -> Self:
        """Return some of the messages."""
        return type(self)(*(column[rows] for column in self.columns))

    def __iter__(self) -> Iterator[Message]:
        """Give the messages."""
        return map(self.message, range(len(self)))

    def message(self, row: int) -> Message:
        """Return one message."""
        return Message(
            self.partitions[row],
            self.offsets[row],
            self.timestamps_ms[row],
            self.keys[row],
            self.values[row],
            self.headers[row],
        )

    def without(self, partitions: Collection[int]) -> Self:
        """Return the messages that are not of these partitions."""
        return self.of([message for message in self if message.partition not in partitions])

    def followed_by(self, others: "MessageColumns") -> Self:
        """Return these messages, then the others."""
        both = zip(self.columns, others.columns, strict=True)
        return type(self)(*(mine + theirs for mine, theirs in both))

    @property
    def columns(self) -> tuple[Any, ...]:
        """All columns, in the order of the constructor."""
        return self.partitions, self.offsets, self.timestamps_ms, self.keys, self.values, self.headers


NO_MESSAGES = MessageColumns.of(())


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

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        return bytes_of(self.key, self.value, self.headers)


class RecordChain:
    """Records of several sources, one source after the other. It can be iterated again if its sources can."""

    def __init__(self, sources: Iterable[Iterable[OutputRecord]]) -> None:
        self._sources = [*sources]

    def __iter__(self) -> Iterator[OutputRecord]:
        return chain.from_iterable(self._sources)

    def without(self, leaves_out: Callable[[str], bool]) -> "RecordChain":
        """Return these records except the records of some topics."""
        return RecordChain([_Others(self, leaves_out)])


class _Others:
    def __init__(self, records: RecordChain, leaves_out: Callable[[str], bool]) -> None:
        self._records = records
        self._leaves_out = leaves_out

    def __iter__(self) -> Iterator[OutputRecord]:
        return (record for record in self._records if not self._leaves_out(record.topic))


class Record(NamedTuple):
    """A record of an output topic, as a read_committed reader gets it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    headers: Headers
    value: bytes | None
    key: bytes | None = None

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition} at {self.offset}"
