"""RecordProducer: sends output records and waits until the brokers have them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from recording_worker import metrics
from recording_worker.batch import OutputRecord
from recording_worker.errors import FlushError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, client_config
from recording_worker.settings import Settings

log = structlog.get_logger()

_QUEUE_KIB = 64 * 1024
_LARGEST_MESSAGE = 100 * 1024 * 1024


def producer_config(settings: Settings) -> dict[str, Any]:
    """The configuration of a worker's producer. Raises ConfigError."""
    return client_config(
        settings,
        "producer",
        defaults={
            "linger.ms": 5,
            # the broker is the judge of what is too large: what came in must be able to go to the DLQ
            "message.max.bytes": _LARGEST_MESSAGE,
            "queue.buffering.max.kbytes": _QUEUE_KIB,
            # gives up, with a reason, before the worker is held for stuck
            "message.timeout.ms": max(1_000, round(settings.progress_deadline * 750)),
        },
        ours={"enable.idempotence": True, "acks": "all"},
    )


class RecordProducer:
    """Produces the records of a flush. Its queue is bounded; a full one makes `send` wait."""

    def __init__(self, settings: Settings) -> None:
        try:
            self._producer = Producer(producer_config(settings), logger=LIBRDKAFKA_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        self._failures: list[tuple[str, KafkaError]] = []

    def send(self, records: Sequence[OutputRecord]) -> None:
        """Produce the records and wait for every acknowledgement. Raises FlushError naming topic and error.

        A record that its topic never takes, being too large, is left out, logged and counted: the sender of a
        message could otherwise make its partition stand still for ever (ids and console messages have no bound).
        """
        self._failures.clear()
        for record in records:
            self._produce(record)
        # no time-out of its own: each record ends as acknowledged or failed within message.timeout.ms
        self._producer.flush()
        if self._failures:
            topic, error = self._failures[0]
            raise FlushError(
                f"{len(self._failures)} of {len(records)} records not accepted by Kafka; the first, for topic {topic}:"
                f" {error.str()}"
            )

    def _produce(self, record: OutputRecord) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=[*record.headers],
                    timestamp=record.timestamp_ms,
                    on_delivery=partial(self._on_delivery, record),
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as problem:
                if problem.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    _leave_out(record)
                    return
                raise FlushError(f"record for topic {record.topic} not accepted: {problem.args[0].str()}") from problem
            else:
                return

    def _on_delivery(self, record: OutputRecord, error: KafkaError | None, _message: KafkaMessage) -> None:
        if error is None:
            return
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            _leave_out(record)
        else:
            self._failures.append((record.topic, error))


def _leave_out(record: OutputRecord) -> None:
    """Say which record is lost; of a DLQ record its headers say where the message still is."""
    metrics.RECORDS_TOO_LARGE.labels(record.topic).inc()
    log.error(
        "record left out, too large for its topic",
        topic=record.topic,
        key=_shortened(record.key),
        bytes=len(record.value or b""),
        headers={key: _shortened(value) for key, value in record.headers if key.startswith("dlq-")},
    )


def _shortened(text: bytes | None) -> str:
    return (text or b"")[:100].decode(errors="replace")
