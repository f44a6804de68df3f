"""RecordProducer: sends output records and waits until the brokers have them."""

from collections import Counter
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from recording_worker.errors import FlushError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, client_config
from recording_worker.kafka.refusals import Failure, Refusals, count_redated, is_dated, take_innocent, take_refused
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.settings.choices import Delivery
from recording_worker.settings.model import Settings

_QUEUE_KIB = 64 * 1024
_LINGER_MS = 250
"""To flush and to commit sends at once what waits. While a worker still hands over records, full requests are enough:
with 5 ms, librdkafka's thread takes twice the CPU time."""
_MAX_MESSAGE_BYTES = 100 * 1024 * 1024
REPORT_ERRORS = {"delivery.report.only.error": True}
"""For a producer with `produce_all`: no Python runs for a record that is delivered."""


def producer_config(settings: Settings, linger_ms: int = _LINGER_MS) -> dict[str, Any]:
    """Return the configuration of a worker's producer. Raises ConfigError.

    `linger_ms`: how long a record may wait for others that fill its request. Short for who does not flush.
    """
    return client_config(
        settings,
        "producer",
        defaults={
            "linger.ms": linger_ms,
            # the broker decides what is too large: every message that came in must be able to go to the DLQ
            "message.max.bytes": _MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": _QUEUE_KIB,
            # gives up, with a reason, before the worker counts as stuck
            "message.timeout.ms": max(1_000, round(settings.progress_deadline * 750)),
        },
        # at_least_once is also for brokers that don't know producer ids
        ours={"enable.idempotence": settings.delivery is Delivery.EXACTLY_ONCE, "acks": "all"},
    )


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

        What becomes of a record that its topic refuses: see `refusals`.
        """
        failures = self._send(records)
        refused = take_refused(failures)
        dated = [failure.record for failure in refused if is_dated(failure)]
        for topic, number in Counter(record.topic for record in dated).items():
            count_redated(topic, number, self._metrics)
        suspects = [failure.record for failure in refused if not is_dated(failure)]
        again = self._send([*(record._replace(timestamp_ms=0) for record in dated), *take_innocent(failures)])
        suspects += [failure.record for failure in take_refused(again)] + take_innocent(again)
        failures += again
        refusals = Refusals(self._metrics)
        for record in sorted(suspects, key=attrgetter("size")):
            if not refusals.leaves_out(record):
                alone = self._send([record])
                if any(map(is_dated, alone)):
                    count_redated(record.topic, 1, self._metrics)
                    alone = self._send([record._replace(timestamp_ms=0)])
                for failure in take_refused(alone):
                    refusals.leave_out(failure)
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
