"""PartitionConsumer: reads the partitions that a worker was given. It is no group member, and commits nothing."""

import logging
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import files
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaError

from recording_worker._native import KafkaConsumer
from recording_worker.errors import ConfigError, WorkerError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, client_config, is_fatal
from recording_worker.messages import MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.settings.choices import OnOffsetGap
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_MEMBERSHIP = ("group.remote.assignor", "session.timeout.ms", "heartbeat.interval.ms")
"""Properties of a group member. A worker is not in the group."""

_WATERMARK_TIMEOUT = 5.0

_FETCHED_INTERVAL_MS = 10_000
"""How often the client says how much it has fetched."""
_ERROR, _FETCHED = -1, -2
"""Levels of what the client says that is no line of its log (_native/kafka_consumer.hpp)."""
_LEVELS = (*[logging.CRITICAL] * 3, logging.ERROR, logging.WARNING, logging.INFO, logging.INFO, logging.DEBUG)
"""The levels of librdkafka's log, which it takes from syslog."""


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
    fetch_bytes = settings.budget.fetch_bytes
    config = client_config(
        settings,
        "consumer",
        defaults={
            # the bytes of the whole fetch queue, over all partitions; one fetch may exceed it
            "queued.max.messages.kbytes": max(1, fetch_bytes // 1024),
            "queued.min.messages": 1_000_000,
            "fetch.max.bytes": min(52_428_800, fetch_bytes),
            # a full queue is empty again long before the default second has passed
            "fetch.queue.backoff.ms": 20,
            "statistics.interval.ms": _FETCHED_INTERVAL_MS,
            # how soon a client that knows no leader of a partition asks again, in addition to its own retries.
            # The default is five minutes
            "topic.metadata.refresh.interval.ms": 10_000,
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
        self._poll_bytes = settings.budget.fetch_bytes
        self._metrics = metrics
        self._starts: dict[int, int] = {}
        self._on_gap = settings.on_offset_gap
        self._faults: list[PartitionFault] = []
        self._gaps: list[OffsetGap] = []
        config = consumer_config(settings)
        self._on_error = config.pop("error_cb")
        try:
            self._consumer = KafkaConsumer(
                librdkafka_file(), {name: _text(config[name]) for name in config}, self._topic
            )
        except ValueError as problem:
            raise ConfigError(f"Kafka client configuration: {problem}") from problem

    def assign(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions as well, from these offsets."""
        self._starts.update(offsets)
        self._metrics.expect(partition=map(str, offsets))
        self._consumer.assign({**offsets})

    def unassign(self, partitions: Iterable[int]) -> None:
        """Stop reading these. What was fetched and not consumed is dropped. Unassigned partitions are ignored."""
        mine = [partition for partition in partitions if self._starts.pop(partition, None) is not None]
        if mine:
            self._consumer.unassign(mine)
            self._gaps = [gap for gap in self._gaps if gap.partition not in mine]

    def consume(self, limit: int, timeout: float) -> MessageColumns:
        """Return up to `limit` messages, after `timeout` seconds at most. Raises WorkerError.

        Takes no more messages once they hold as many bytes as a fetch.
        A partition with a hole in its log is unassigned, and `take_faults` returns its fault.
        """
        columns, faults = self._consumer.poll(limit, self._poll_bytes, timeout)
        self._tell()
        for code, partition, text in faults:
            self._handle(KafkaError(code, text), partition)
        return MessageColumns(*columns)

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
        partitions = list(self._starts)
        states = {}
        for partition, position in zip(partitions, self._consumer.positions(partitions), strict=True):
            known = position if position >= 0 else self._starts[partition]
            try:
                _low, high = self._consumer.watermarks(partition)
            except OSError:  # nothing of the partition was fetched yet
                high = -1
            states[partition] = PartitionState(known, max(high, -1))
        return states

    def close(self) -> None:
        self._consumer.close()
        self._tell()

    def _tell(self) -> None:
        """Log what the client's threads have said, and take its reports."""
        for level, code, text in self._consumer.take_events():
            if level == _FETCHED:
                self._metrics.fetch_queue_bytes.set(int(text))
            elif level == _ERROR:
                self._on_error(KafkaError(code, text))
            else:
                LIBRDKAFKA_LOGGER.log(_LEVELS[level], "%s", text)

    def _handle(self, error: KafkaError, partition: int) -> None:
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
            log.warning("Kafka consumer", error=error.str(), topic=self._topic, partition=partition)

    def _jump(self, partition: int, error: KafkaError) -> bool:
        """Go on at the log's beginning or end if the settings say so and the log was cut. Return whether it goes on."""
        if self._on_gap is OnOffsetGap.STOP or error.code() not in _TRUNCATED:
            return False
        wanted = self.states()[partition].position
        try:
            low, high = self._consumer.watermarks(partition, _WATERMARK_TIMEOUT)
        except OSError as problem:
            log.warning("Kafka consumer", error=str(problem), partition=partition)
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
            low, high = self._consumer.watermarks(partition, _WATERMARK_TIMEOUT)
        except OSError as problem:
            holds = f"what the log holds is not known ({problem})"
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


def librdkafka_file() -> str:
    """Return the file name of the library that confluent-kafka has loaded: its own, or the system's."""
    brought = [file for file in files("confluent-kafka") or () if file.name.startswith("librdkafka")]
    return os.path.realpath(brought[0].locate()) if brought else "librdkafka.so.1"


def _text(value: object) -> str:
    """Write a property as librdkafka reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
