"""RecordProducer: sends output records and waits until the brokers have them."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from recording_worker.errors import BootError, FlushError
from recording_worker.formats.dlq_headers import PREFIX
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, client_config
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Delivery, Settings

log = structlog.get_logger()

_QUEUE_KIB = 64 * 1024
_MAX_MESSAGE_BYTES = 100 * 1024 * 1024
_TOPIC_CREATION_TIMEOUT = 2.0
"""Seconds that brokers which create missing topics get to create one."""

REPORT_ERRORS = {"delivery.report.only.error": True}
"""For a producer with `produce_all`: no Python runs for a record that is delivered."""

_OUTPUTS = ("metadata_topic", "console_logs_topic", "warnings_topic", "dlq_topic", "overflow_topic")


def producer_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of a worker's producer. Raises ConfigError."""
    return client_config(
        settings,
        "producer",
        defaults={
            "linger.ms": 5,
            # the broker decides what is too large: every message that came in must be able to go to the DLQ
            "message.max.bytes": _MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": _QUEUE_KIB,
            # gives up, with a reason, before the worker counts as stuck
            "message.timeout.ms": max(1_000, round(settings.progress_deadline * 750)),
        },
        # at_least_once is also for brokers that don't know producer ids
        ours={"enable.idempotence": settings.delivery is Delivery.EXACTLY_ONCE, "acks": "all"},
    )


def check_outputs(settings: Settings, timeout: float) -> None:
    """Check that the topics that a worker writes to exist, or that the brokers create them.

    A missing right to write shows only at the first write, but a missing right to describe a topic shows here.
    Raises BootError and ConfigError.
    """
    names = [*_OUTPUTS, *(["backfill_topic"] if settings.lag_shed_after is not None else [])]
    try:
        producer = Producer(producer_config(settings), logger=LIBRDKAFKA_LOGGER)
    except KafkaException as problem:
        raise as_config_error(problem) from problem
    try:
        errors = {name: _topic_error(producer, getattr(settings, name), timeout) for name in names}
    except KafkaException as problem:
        raise BootError(f"Kafka can't be asked about topics: {problem.args[0].str()}") from problem
    problems = [
        f"topic {getattr(settings, name)} ({name}) can't be written to: {error.str()}"
        for name, error in errors.items()
        if error is not None
    ]
    if problems:
        raise BootError("\n".join(problems))


def _topic_error(producer: Producer, topic: str, timeout: float) -> KafkaError | None:
    """Return what is wrong with a topic, or None. The question may make brokers create it, which takes a moment."""
    deadline = time.monotonic() + _TOPIC_CREATION_TIMEOUT
    while True:
        error: KafkaError | None = producer.list_topics(topic, timeout=timeout).topics[topic].error
        if error is None or error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
            return error
        time.sleep(0.1)


class Failure(NamedTuple):
    """A record that was not accepted, or an equal one."""

    record: OutputRecord
    error: KafkaError


class RecordProducer:
    """Produces the records of a flush. Its queue is bounded: `send` waits while it is full."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        try:
            self._producer = Producer({**producer_config(settings), **REPORT_ERRORS}, logger=LIBRDKAFKA_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        self._metrics = metrics

    def send(self, records: Iterable[OutputRecord]) -> None:
        """Produce the records and wait for every acknowledgement. Raises FlushError, which names topic and error.

        A record that is too large for its topic is left out, logged and counted. Otherwise the sender of a message
        could stop its partition for ever: ids and console messages have no bound.
        """
        failures = self._send(records)
        # a broker refuses all records that it gets at once; sent alone, each shows whether it is too large
        for record in take_too_large(failures):
            alone = self._send([record])
            if take_too_large(alone):
                leave_out(record, self._metrics)
            failures += alone
        if failures:
            record, error = failures[0]
            raise FlushError(
                f"{len(failures)} records not accepted by Kafka; the first, for topic {record.topic}: {error.str()}"
            )

    def _send(self, records: Iterable[OutputRecord]) -> list[Failure]:
        failures: list[Failure] = []
        produce_all(self._producer, records, failures)
        # needs no time-out: each record is acknowledged or fails within message.timeout.ms
        self._producer.flush()
        return failures


def produce_all(producer: Producer, records: Iterable[OutputRecord], failures: list[Failure]) -> None:
    """Hand records to the producer, and wait while its queue is full. Failures, also later ones, go to `failures`.

    A failure may hold a copy of its record: most records share one report, which reads the record from the message. A
    report of its own for each record would take more time than handing it over.
    """

    def report(error: KafkaError | None, message: KafkaMessage) -> None:
        if error is not None:
            topic = message.topic()
            assert topic is not None
            failures.append(Failure(OutputRecord(topic, message.key(), message.value(), [], 0), error))

    shared: dict[str, Any] = {"on_delivery": report}
    for record in records:
        topic, key, value, headers, timestamp_ms, as_it_came = record
        options = shared
        # a report gets no headers, and can't tell an empty key from none
        if headers or timestamp_ms or as_it_came or not key or not value:
            own = _report_on(record, failures)
            options = {"on_delivery": own, "headers": [*headers], "timestamp": timestamp_ms}
        while True:
            try:
                producer.produce(topic, value, key, **options)
            except BufferError:
                producer.poll(0.1)
            except KafkaException as problem:
                failures.append(Failure(record, problem.args[0]))
                break
            else:
                break


def _report_on(record: OutputRecord, failures: list[Failure]) -> Callable[[KafkaError | None, KafkaMessage], None]:
    def report(error: KafkaError | None, _message: KafkaMessage) -> None:
        if error is not None:
            failures.append(Failure(record, error))

    return report


def take_too_large(failures: list[Failure]) -> list[OutputRecord]:
    """Remove the records that were refused for their size from the failures, and return them."""
    found = [failure for failure in failures if failure.error.code() == KafkaError.MSG_SIZE_TOO_LARGE]
    failures[:] = [failure for failure in failures if failure.error.code() != KafkaError.MSG_SIZE_TOO_LARGE]
    return [failure.record for failure in found]


def leave_out(record: OutputRecord, metrics: Metrics) -> None:
    """Count and log a record that is lost; of a DLQ record its headers say where the message still is."""
    metrics.records_too_large.labels(record.topic).inc()
    log.error(
        "record left out, too large for its topic",
        topic=record.topic,
        key=_shortened(record.key),
        bytes=len(record.value or b""),
        headers={key: _shortened(value) for key, value in record.headers if key.startswith(PREFIX)},
    )


def _shortened(text: bytes | None) -> str:
    return (text or b"")[:100].decode(errors="replace")
