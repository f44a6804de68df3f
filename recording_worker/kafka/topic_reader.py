"""Reads a topic from a given place to its present end, as a read_committed reader."""

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from recording_worker.errors import BootError
from recording_worker.kafka.admin import Admin, LogBounds
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error
from recording_worker.kafka.consumer import consumer_config, headers_of
from recording_worker.messages import Record
from recording_worker.settings.model import Settings

_SETTLE_SECONDS = 5.0
"""How long to wait for transactions that are under way."""
_PATIENCE = 60.0
"""Seconds without a record after which the topic is given up."""
_AT_ONCE = 1000


class Stretch(NamedTuple):
    """What of a partition is to be read: from `start` up to, not including, `end`."""

    start: int
    end: int


def settled_bounds(admin: Admin, topic: str) -> dict[int, LogBounds]:
    """The bounds of a topic's partitions; whatever was committed before this call is before their stable ends.

    Transactions that are under way get some seconds to end; one left open by a crash keeps the stable end back.
    """
    partitions = admin.partitions(topic)
    bounds = admin.log_bounds(topic, partitions) if partitions else {}
    deadline = time.monotonic() + _SETTLE_SECONDS
    now = bounds
    while any(now[number].stable_end < bounds[number].end for number in bounds):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
        now = admin.log_bounds(topic, partitions)
    return {number: now[number]._replace(end=bounds[number].end) for number in bounds}


def whole(bounds: Mapping[int, LogBounds]) -> dict[int, Stretch]:
    """All there is for a read_committed reader."""
    return {number: Stretch(bound.start, bound.stable_end) for number, bound in bounds.items()}


def first_retained_ms(settings: Settings, topic: str, bounds: Mapping[int, LogBounds], now_ms: int) -> int:
    """From when on all committed records of a topic are there, milliseconds since 1970; 0 where none was removed.

    A partition that is empty now may have held records until now. Raises BootError.
    """
    first = 0
    for number, stretch in whole(bounds).items():
        if stretch.start > 0:
            record = next(read_topic(settings, topic, {number: stretch}, lambda _done, _records: None), None)
            first = max(first, now_ms if record is None else record.timestamp_ms + 1)
    return first


def read_topic(
    settings: Settings, topic: str, stretches: Mapping[int, Stretch], report: Callable[[float, int], None]
) -> Generator[Record]:
    """The committed records of these stretches; `report` is told of (offsets, records) passed. Raises BootError."""
    left = {number: stretch for number, stretch in stretches.items() if stretch.start < stretch.end}
    if not left:
        return
    positions = {number: stretch.start for number, stretch in left.items()}
    try:
        consumer = Consumer({**consumer_config(settings), "enable.partition.eof": True}, logger=LIBRDKAFKA_LOGGER)
    except KafkaException as problem:
        raise as_config_error(problem) from problem
    try:
        consumer.assign([TopicPartition(topic, number, stretch.start) for number, stretch in left.items()])
        heard = time.monotonic()
        while left:
            # a first one is waited for, and no others: at the end there are none
            messages: list[Any] = consumer.consume(1, 1.0)  # by its stubs a record may lack a partition
            if messages:
                messages += consumer.consume(_AT_ONCE - 1, 0)
            elif time.monotonic() - heard > _PATIENCE:
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
                heard = time.monotonic()  # now: whoever takes the records may take his time
    finally:
        consumer.close()


def _raise_unless_end(topic: str, message: Any) -> None:
    error = message.error()
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - public, though named so
        raise BootError(f"topic {topic} can't be read: {error.str()}")


def record_of(message: Any) -> Record:
    """Return what a consumer gave as a record."""
    _kind, timestamp_ms = message.timestamp()
    headers = headers_of(message)
    return Record(
        message.topic(), message.partition(), message.offset(), timestamp_ms, headers, message.value(), message.key()
    )
