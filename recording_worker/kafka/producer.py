"""RecordProducer: sends output records and waits until the brokers have them."""

from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from recording_worker.batch import OutputRecord
from recording_worker.errors import FlushError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, client_config
from recording_worker.settings import Settings

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
        self._failures: list[tuple[str | None, KafkaError]] = []

    def send(self, records: Sequence[OutputRecord]) -> None:
        """Produce the records and wait for every acknowledgement. Raises FlushError naming topic and error."""
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
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as problem:
                raise FlushError(f"record for topic {record.topic} not accepted: {problem.args[0].str()}") from problem
            else:
                return

    def _on_delivery(self, error: KafkaError | None, message: KafkaMessage) -> None:
        if error is not None:
            self._failures.append((message.topic(), error))
