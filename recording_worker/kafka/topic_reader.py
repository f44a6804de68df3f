"""Reads ranges of a topic as a read_committed reader."""

import time
from collections.abc import Callable, Generator, Mapping
from operator import methodcaller
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from recording_worker.errors import BootError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error
from recording_worker.kafka.consumer import consumer_config
from recording_worker.messages import Headers, Record
from recording_worker.settings.model import Settings

_SILENCE_TIMEOUT = 60.0
"""Seconds without a record after which the broker counts as away."""
_RECORDS_AT_ONCE = 1000


class OffsetRange(NamedTuple):
    """Some offsets of a partition: from `start` up to, not including, `end`."""

    start: int
    end: int

    def intersection(self, other: "OffsetRange") -> "OffsetRange":
        """The offsets that are in both; an empty range if they share no offset."""
        start = max(self.start, other.start)
        return OffsetRange(start, max(start, min(self.end, other.end)))


def read_topic(
    settings: Settings, topic: str, ranges: Mapping[int, OffsetRange], report: Callable[[float, int], None]
) -> Generator[Record]:
    """Yield the committed records of these ranges, partition → range.

    `report` is called with how many offsets and records were passed since its last call. Raises BootError,
    ConfigError.
    """
    left = {number: wanted for number, wanted in ranges.items() if wanted.start < wanted.end}
    if not left:
        return
    positions = {number: wanted.start for number, wanted in left.items()}
    try:
        consumer = Consumer({**consumer_config(settings), "enable.partition.eof": True}, logger=LIBRDKAFKA_LOGGER)
    except KafkaException as problem:
        raise as_config_error(problem) from problem
    try:
        consumer.assign([TopicPartition(topic, number, start) for number, start in positions.items()])
        heard = time.monotonic()
        while left:
            # wait for the first one only: at the end there are no more
            messages: list[Any] = consumer.consume(1, 1.0)  # by its stubs a record may lack a partition
            if messages:
                messages += consumer.consume(_RECORDS_AT_ONCE - 1, 0)
            elif time.monotonic() - heard > _SILENCE_TIMEOUT:
                raise BootError(f"topic {topic}: the broker sends nothing more")
            for message in messages:
                number = message.partition()
                if number not in left:
                    continue
                end = left[number].end
                if message.error() is not None:
                    _raise_unless_end(topic, message)
                    reached = end
                else:
                    reached = min(message.offset() + 1, end)
                    if message.offset() < end:
                        yield record_of(message)
                report(reached - positions[number], int(message.error() is None))
                positions[number] = reached
                if reached >= end:
                    del left[number]
                    consumer.incremental_unassign([TopicPartition(topic, number)])
            if messages:
                heard = time.monotonic()  # now, because the caller may have taken its time over the records
    finally:
        consumer.close()


def _raise_unless_end(topic: str, message: Any) -> None:
    error = message.error()
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - public, though named so
        raise BootError(f"topic {topic} can't be read: {error.str()}")


def record_of(message: Any) -> Record:
    """Return what a consumer gave as a record."""
    _kind, timestamp_ms = message.timestamp()
    headers = _headers_of(message)
    return Record(
        message.topic(), message.partition(), message.offset(), timestamp_ms, headers, message.value(), message.key()
    )


_raw_headers = methodcaller("headers")
"""`message.headers()` through a call whose result the interpreter checks. If a header's name is no UTF-8,
confluent-kafka 2.16 returns a list with a null pointer in it; called directly in a warm loop, that ends the process."""


def _headers_of(message: Any) -> Headers:
    """Return a record's headers; none if the name of one is no UTF-8, because then the client gives none of them."""
    try:
        return [*(_raw_headers(message) or ())]
    except SystemError:
        return []
