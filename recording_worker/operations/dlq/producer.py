"""LetterProducer: messages that are sent back, and the record of it, in one Kafka transaction: both or neither."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from recording_worker.errors import BootError, WorkerError
from recording_worker.kafka.clients import QUIET_LOGGER, as_config_error
from recording_worker.kafka.transactions import PURGED, transactional_config, until_decided
from recording_worker.messages import Headers
from recording_worker.settings.model import Delivery, Settings

log = structlog.get_logger()

_TRANSACTION_MS = 15_000
"""How long readers of a topic wait behind what a killed command has left open on it."""
_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0
_POLL_SECONDS = 0.1

_FENCED = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - public, though named so
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
    }
)
"""Somebody else has begun with the same transactional id."""


class Outgoing(NamedTuple):
    """A record to be sent now."""

    topic: str
    partition: int | None
    """None leaves it to the key, as Java clients do it."""
    key: bytes | None
    value: bytes | None
    headers: Headers


class Position(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int


class TooLargeError(Exception):
    """A topic does not take one of the records, for its size. None of them counts."""


class LetterProducer:
    """Only one at a time is in charge of a DLQ topic: whoever begins later fences it."""

    def __init__(self, settings: Settings, waiting: Callable[[], None]) -> None:
        """`waiting` is called every few seconds while the broker does not answer; it may raise, to give up."""
        self._waiting = waiting
        self._dlq_topic = settings.dlq_topic
        try:
            self._producer = Producer(_config(settings), logger=QUIET_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem

    def begin(self) -> None:
        """Fence whoever was in charge before: what they have committed is committed now, and nothing comes later.

        Raises BootError.
        """
        try:
            until_decided(self._producer.init_transactions, self._waiting)
        except KafkaException as problem:
            raise BootError(f"Kafka transactions can't be used: {problem.args[0].str()}") from problem

    def commit(
        self, records: Sequence[Outgoing], account_for: Callable[[Sequence[Position]], Sequence[Outgoing]]
    ) -> list[Position]:
        """Send the records, and what `account_for` makes of where they are, all or nothing; returns where they are.

        Raises TooLargeError, WorkerError.
        """
        attempt = 1
        while True:
            try:
                return self._attempt(records, account_for)
            except KafkaException as problem:
                error = problem.args[0]
                self._abort(error)
                if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise TooLargeError from problem
                # a broker that was away, or the gap that a refused record leaves in the sequence numbers
                if attempt == _ATTEMPTS:
                    raise WorkerError(f"Kafka transaction failed: {error.str()}") from problem
                log.warning("Kafka transaction aborted, to be tried again", error=error.str())
            attempt += 1
            self._waiting()
            time.sleep(_PAUSE_SECONDS)

    def _attempt(
        self, records: Sequence[Outgoing], account_for: Callable[[Sequence[Position]], Sequence[Outgoing]]
    ) -> list[Position]:
        """One transaction. Raises KafkaException; then it is to be aborted."""
        self._producer.begin_transaction()
        positions = self._send(records)
        self._send(account_for(positions))
        # a commit whose answer is lost is asked about again, never aborted: it may have happened
        until_decided(self._producer.commit_transaction, self._waiting)
        return positions

    def _send(self, records: Sequence[Outgoing]) -> list[Position]:
        """Send the records and wait for their acknowledgements. Raises KafkaException for the first that failed."""
        positions: dict[int, Position] = {}
        errors: list[KafkaError] = []
        for number, record in enumerate(records):
            self._produce(record, _Report(number, positions, errors))
        while len(self._producer):
            self._producer.poll(_POLL_SECONDS)
        if errors:
            raise KafkaException(next((error for error in errors if error.code() not in PURGED), errors[0]))
        return [positions[number] for number in range(len(records))]

    def _produce(self, record: Outgoing, report: "_Report") -> None:
        arguments: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=[*record.headers],
                    on_delivery=report,
                    **arguments,
                )
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            else:
                return

    def _abort(self, error: KafkaError) -> None:
        """Raises WorkerError where that can't be, nor need be: where somebody else is in charge now."""
        try:
            until_decided(self._producer.abort_transaction, self._waiting)
        except KafkaException as problem:
            fatal = problem.args[0]
            if {error.code(), fatal.code()} & _FENCED:
                raise WorkerError(
                    f"another redrive or drop of {self._dlq_topic} has begun, or a transaction took more than"
                    f" {_TRANSACTION_MS // 1000} s: this one ends, and nothing of the rest is sent"
                ) from problem
            raise WorkerError(f"Kafka transaction failed: {fatal.str()}") from problem


class _Report:
    """Takes the delivery report of one record."""

    def __init__(self, number: int, positions: dict[int, Position], errors: list[KafkaError]) -> None:
        self._number = number
        self._positions = positions
        self._errors = errors

    def __call__(self, error: KafkaError | None, message: KafkaMessage) -> None:
        if error is not None:
            self._errors.append(error)
            return
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        self._positions[self._number] = Position(topic, partition, offset)


def _config(settings: Settings) -> dict[str, Any]:
    settings = settings.model_copy(update={"delivery": Delivery.EXACTLY_ONCE})
    config = {"partitioner": "murmur2_random", **transactional_config(settings, f"{settings.dlq_topic}/dlq-tools")}
    config.pop("message.timeout.ms", None)  # within a transaction a record has as long as the transaction
    return {**config, "transaction.timeout.ms": _TRANSACTION_MS}
