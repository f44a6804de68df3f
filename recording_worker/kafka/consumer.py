"""PartitionConsumer: how a worker reads what it was given. It is no member of the group and commits nothing."""

from collections.abc import Iterable, Mapping
from operator import methodcaller
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from recording_worker.errors import WorkerError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, client_config, is_fatal
from recording_worker.messages import Headers, Message
from recording_worker.metrics import Metrics
from recording_worker.settings.model import OnOffsetGap, Settings

log = structlog.get_logger()

_MEMBERSHIP = ("group.remote.assignor", "session.timeout.ms", "heartbeat.interval.ms")
"""Properties of a group member, which a worker is not."""

_WATERMARK_TIMEOUT = 5.0

_STOPPING_ERRORS = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - public, though named so
        KafkaError._LOG_TRUNCATION,  # noqa: SLF001
        KafkaError._BAD_MSG,  # noqa: SLF001
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)
"""Errors after which messages would be missing: the partition stops."""

_CUT = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
"""Those that a log gives whose beginning was cut off."""


def consumer_config(settings: Settings) -> dict[str, Any]:
    """The configuration of a worker's consumer. Raises ConfigError."""
    queue_kib = max(1, settings.fetch_queue_bytes // 1024)
    config = client_config(
        settings,
        "consumer",
        defaults={
            # the whole fetch queue's bytes, over all partitions; one fetch may overshoot it
            "queued.max.messages.kbytes": queue_kib,
            "queued.min.messages": 1_000_000,
            "fetch.max.bytes": min(52_428_800, queue_kib * 1024),
            # a full queue is empty again long before the default second has passed
            "fetch.queue.backoff.ms": 20,
        },
        ours={
            "group.id": settings.group_id,
            # a hole in the log is reported, never skipped over
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        },
    )
    for name in _MEMBERSHIP:
        config.pop(name, None)
    return config


class PartitionFault(NamedTuple):
    """A partition that can't go on without leaving messages out."""

    partition: int
    offset: int
    """The next offset that was wanted."""
    text: str


class OffsetGap(NamedTuple):
    """Offsets that were gone from the log when they were to be read: from `start` up to, not including, `end`."""

    partition: int
    start: int
    end: int


class PartitionState(NamedTuple):
    """How far a partition has been read."""

    position: int
    """The next offset to read."""
    high: int
    """The log's end (high watermark), or -1 where it is not known yet."""


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
        """Stop reading these; what of them was fetched and not consumed is dropped. Others are ignored."""
        mine = [partition for partition in partitions if self._starts.pop(partition, None) is not None]
        if mine:
            self._consumer.incremental_unassign([self._at(partition) for partition in mine])
            self._gaps = [gap for gap in self._gaps if gap.partition not in mine]

    def consume(self, most: int, timeout: float) -> list[Message]:
        """Up to `most` messages, waiting at most `timeout` seconds for them. Raises WorkerError.

        A partition with a hole in its log is unassigned; `take_faults` tells of it.
        """
        messages = []
        for message in self._consumer.consume(most, timeout):
            error = message.error()
            if error is None:
                messages.append(_convert(message))
            else:
                self._handle(error, message)
        return messages

    def take_faults(self) -> list[PartitionFault]:
        """The partitions that stopped since this was last asked."""
        faults, self._faults = self._faults, []
        return faults

    def take_gaps(self) -> list[OffsetGap]:
        """What was jumped over since this was last asked."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def states(self) -> dict[int, PartitionState]:
        """How far each assigned partition has been read, as far as the client knows without asking the broker."""
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
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:  # librdkafka would say so once, and try on for ever
            raise WorkerError(f"topic {self._topic} can't be read: {error.str()}")
        if error.code() in _STOPPING_ERRORS and partition in self._starts:
            if not self._jump(partition, error):
                self._faults.append(self._fault(partition, error))
                self.unassign([partition])
        else:
            # librdkafka goes on trying by itself
            log.warning("Kafka consumer", error=error.str(), topic=message.topic(), partition=partition)

    def _jump(self, partition: int, error: KafkaError) -> bool:
        """Go on at the log's beginning or end where that was asked for and the log is cut; False where not."""
        if self._on_gap is OnOffsetGap.STOP or error.code() not in _CUT:
            return False
        wanted = self.states()[partition].position
        try:
            low, high = self._consumer.get_watermark_offsets(self._at(partition), timeout=_WATERMARK_TIMEOUT)
        except KafkaException as problem:
            log.warning("Kafka consumer", error=problem.args[0].str(), partition=partition)
            return False
        there = low if self._on_gap is OnOffsetGap.EARLIEST else high
        if there < wanted:  # a log that ends before: going back would read anew what others have recorded
            return False
        log.error("offsets skipped: they are gone from the log", partition=partition, wanted=wanted, going_on_at=there)
        self._metrics.offsets_skipped.labels(partition).inc(there - wanted)
        self.unassign([partition])
        self.assign({partition: there})
        self._gaps.append(OffsetGap(partition, wanted, there))
        return True

    def _fault(self, partition: int, error: KafkaError) -> PartitionFault:
        wanted = self.states()[partition].position
        way_on = ""
        try:
            low, high = self._consumer.get_watermark_offsets(self._at(partition), timeout=_WATERMARK_TIMEOUT)
        except KafkaException as problem:
            holds = f"what the log holds is not known ({problem.args[0].str()})"
        else:
            holds = (
                f"the log holds offsets {low} to {high - 1}" if high > low else f"the log is empty, next offset {high}"
            )
            if wanted < low:
                way_on = "; on_offset_gap says where to go on without what is gone"
            elif wanted > high:
                way_on = "; recording-worker rewind sets the group back to what is there"
        text = f"partition {partition} stopped: offset {wanted} is to be read next, but {holds} ({error.str()}){way_on}"
        return PartitionFault(partition, wanted, text)

    def _at(self, partition: int, offset: int = 0) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset)


_raw_headers = methodcaller("headers")
"""`message.headers()` by way of a call whose result the interpreter checks. confluent-kafka 2.16 returns a list with a
null pointer in it where a header's name is no UTF-8; called directly, in a loop that is warm, that ends the process."""


def headers_of(message: Any) -> Headers:
    """A record's headers; none where the name of one is no UTF-8, for then the client gives none of them."""
    try:
        return [(key, value or b"") for key, value in _raw_headers(message) or ()]
    except SystemError:
        return []


def _convert(message: Any) -> Message:
    """A record as the pipeline takes it. (Any: by its stubs a record may lack a partition and an offset.)"""
    kind, timestamp = message.timestamp()
    return Message(
        message.partition(),
        message.offset(),
        timestamp if kind else -1,
        message.key(),
        message.value(),
        headers_of(message),
    )
