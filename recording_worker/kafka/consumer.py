"""PartitionConsumer: reads the partitions that a worker was given. It is no group member, and commits nothing."""

from array import array
from collections.abc import Callable, Iterable, Mapping
from operator import methodcaller
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from recording_worker.errors import WorkerError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, client_config, is_fatal
from recording_worker.messages import Headers, MessageColumns, RawHeaders
from recording_worker.metrics import Metrics
from recording_worker.settings.model import OnOffsetGap, Settings

log = structlog.get_logger()

_MEMBERSHIP = ("group.remote.assignor", "session.timeout.ms", "heartbeat.interval.ms")
"""Properties of a group member. A worker is not in the group."""

_WATERMARK_TIMEOUT = 5.0

_STOPPING_ERRORS = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - public, though named so
        KafkaError._LOG_TRUNCATION,  # noqa: SLF001
        KafkaError._BAD_MSG,  # noqa: SLF001
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)
"""Errors after which messages would be missing. The partition stops."""

_TRUNCATED = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
"""Errors of a log whose beginning was removed."""


def consumer_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of a worker's consumer. Raises ConfigError."""
    queue_kib = max(1, settings.fetch_queue_bytes // 1024)
    config = client_config(
        settings,
        "consumer",
        defaults={
            # the bytes of the whole fetch queue, over all partitions; one fetch may exceed it
            "queued.max.messages.kbytes": queue_kib,
            "queued.min.messages": 1_000_000,
            "fetch.max.bytes": min(52_428_800, queue_kib * 1024),
            # a full queue is empty again long before the default second has passed
            "fetch.queue.backoff.ms": 20,
        },
        ours={
            "group.id": settings.group_id,
            # a hole in the log is reported, never skipped
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        },
    )
    for name in _MEMBERSHIP:
        config.pop(name, None)
    return config


class PartitionFault(NamedTuple):
    """A partition that can't go on without skipping messages."""

    partition: int
    offset: int
    """The next offset to read."""
    text: str


class OffsetGap(NamedTuple):
    """Offsets that were removed from the log before they were read: from `start` to `end`, without `end`."""

    partition: int
    start: int
    end: int


class PartitionState(NamedTuple):
    """How far a partition has been read."""

    position: int
    """The next offset to read."""
    high: int
    """The log's end (high watermark), or -1 if it is not known yet."""


class PartitionConsumer:
    """Reads assigned partitions from given offsets."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._topic = settings.topic
        self._metrics = metrics
        self._starts: dict[int, int] = {}
        self._on_gap = settings.on_offset_gap
        self._faults: list[PartitionFault] = []
        self._gaps: list[OffsetGap] = []
        try:
            self._consumer = Consumer(consumer_config(settings), logger=LIBRDKAFKA_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem

    def assign(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions as well, from these offsets."""
        self._starts.update(offsets)
        self._consumer.incremental_assign([self._at(partition, offset) for partition, offset in offsets.items()])

    def unassign(self, partitions: Iterable[int]) -> None:
        """Stop reading these. What was fetched and not consumed is dropped. Unassigned partitions are ignored."""
        mine = [partition for partition in partitions if self._starts.pop(partition, None) is not None]
        if mine:
            self._consumer.incremental_unassign([self._at(partition) for partition in mine])
            self._gaps = [gap for gap in self._gaps if gap.partition not in mine]

    def consume(self, limit: int, timeout: float) -> MessageColumns:
        """Return up to `limit` messages, after `timeout` seconds at most. Raises WorkerError.

        A partition with a hole in its log is unassigned, and `take_faults` returns its fault.
        """
        records = self._consumer.consume(limit, timeout)
        errors = [*map(KafkaMessage.error, records)]
        if [error for error in errors if error is not None]:
            for error, record in zip(errors, records, strict=True):
                if error is not None:
                    self._handle(error, record)
            records = [record for error, record in zip(errors, records, strict=True) if error is None]
        return _columns(records)

    def take_faults(self) -> list[PartitionFault]:
        """Return the partitions that stopped since the last call."""
        faults, self._faults = self._faults, []
        return faults

    def take_gaps(self) -> list[OffsetGap]:
        """Return what was skipped since the last call."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def states(self) -> dict[int, PartitionState]:
        """Return how far each assigned partition has been read. The broker is not asked."""
        states = {}
        for at in self._consumer.position([self._at(partition) for partition in self._starts]):
            position = at.offset if at.offset >= 0 else self._starts[at.partition]
            _low, high = self._consumer.get_watermark_offsets(self._at(at.partition), cached=True)
            states[at.partition] = PartitionState(position, max(high, -1))
        return states

    def close(self) -> None:
        self._consumer.close()

    def _handle(self, error: KafkaError, message: KafkaMessage) -> None:
        partition = message.partition()
        if is_fatal(error):
            raise WorkerError(f"Kafka consumer: {error.str()}")
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:  # librdkafka reports it once, and retries for ever
            raise WorkerError(f"topic {self._topic} can't be read: {error.str()}")
        if error.code() in _STOPPING_ERRORS and partition in self._starts:
            if not self._jump(partition, error):
                self._faults.append(self._fault(partition, error))
                self.unassign([partition])
        else:
            # librdkafka retries by itself
            log.warning("Kafka consumer", error=error.str(), topic=message.topic(), partition=partition)

    def _jump(self, partition: int, error: KafkaError) -> bool:
        """Go on at the log's beginning or end if the settings say so and the log was cut. Return whether it goes on."""
        if self._on_gap is OnOffsetGap.STOP or error.code() not in _TRUNCATED:
            return False
        wanted = self.states()[partition].position
        try:
            low, high = self._consumer.get_watermark_offsets(self._at(partition), timeout=_WATERMARK_TIMEOUT)
        except KafkaException as problem:
            log.warning("Kafka consumer", error=problem.args[0].str(), partition=partition)
            return False
        there = low if self._on_gap is OnOffsetGap.EARLIEST else high
        if there < wanted:  # the log ends before: going back would read again what is recorded
            return False
        log.error("offsets skipped: they are gone from the log", partition=partition, wanted=wanted, going_on_at=there)
        self._metrics.offsets_skipped.labels(partition).inc(there - wanted)
        self.unassign([partition])
        self.assign({partition: there})
        self._gaps.append(OffsetGap(partition, wanted, there))
        return True

    def _fault(self, partition: int, error: KafkaError) -> PartitionFault:
        wanted = self.states()[partition].position
        advice = ""
        try:
            low, high = self._consumer.get_watermark_offsets(self._at(partition), timeout=_WATERMARK_TIMEOUT)
        except KafkaException as problem:
            holds = f"what the log holds is not known ({problem.args[0].str()})"
        else:
            holds = (
                f"the log holds offsets {low} to {high - 1}" if high > low else f"the log is empty, next offset {high}"
            )
            if wanted < low:
                advice = "; on_offset_gap says where to go on without what is gone"
            elif wanted > high:
                advice = "; recording-worker rewind sets the group back to what is there"
        text = f"partition {partition} stopped: offset {wanted} comes next, but {holds} ({error.str()}){advice}"
        return PartitionFault(partition, wanted, text)

    def _at(self, partition: int, offset: int = 0) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset)


_raw_headers = methodcaller("headers")
"""`message.headers()` through a call whose result the interpreter checks. If a header's name is no UTF-8,
confluent-kafka 2.16 returns a list with a null pointer in it; called directly in a warm loop, that ends the process."""


def headers_of(message: Any) -> Headers:
    """Return a record's headers; none if the name of one is no UTF-8, because then the client gives none of them."""
    try:
        return [(key, value or b"") for key, value in _raw_headers(message) or ()]
    except SystemError:
        return []


# by the stubs a record may lack a partition and an offset
_partition: Callable[[Any], int] = KafkaMessage.partition  # type: ignore[assignment]
_offset: Callable[[Any], int] = KafkaMessage.offset  # type: ignore[assignment]


def _columns(records: list[Any]) -> MessageColumns:
    """Make columns of the client's records. The loops run in C, because a call per record and column costs more."""
    headers: list[RawHeaders] = []
    coming = map(_raw_headers, records)
    while len(headers) < len(records):
        try:
            headers.extend(coming)
        except SystemError:  # see headers_of; asked again, the client would give the list with the null pointer
            headers.append(None)
    return MessageColumns(
        array("q", map(_partition, records)),
        array("q", map(_offset, records)),
        array("q", [timestamp if kind else -1 for kind, timestamp in map(KafkaMessage.timestamp, records)]),
        [*map(KafkaMessage.key, records)],
        [*map(KafkaMessage.value, records)],
        headers,
    )
