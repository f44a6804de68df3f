"""ExclusiveProducer: sends records in Kafka transactions, for one process at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from recording_worker.errors import BootError, WorkerError
from recording_worker.kafka.clients import QUIET_LOGGER
from recording_worker.kafka.transactional_client import TransactionalClient
from recording_worker.kafka.transactions import FENCED, PURGED, transactional_config
from recording_worker.messages import Headers
from recording_worker.settings.choices import Delivery
from recording_worker.settings.model import Settings

log = structlog.get_logger()

TRANSACTION_SECONDS = 15
"""How long readers of a topic wait behind a transaction that a killed process has left open."""
_POLL_SECONDS = 0.1
_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0

Sent = TypeVar("Sent")


class NewRecord(NamedTuple):
    """A record to send. The broker or the client sets its timestamp."""

    topic: str
    partition: int | None
    """None leaves the choice to the key, as Java clients choose."""
    key: bytes | None
    value: bytes | None
    headers: Headers


class WrittenAt(NamedTuple):
    """Where a record was written."""

    topic: str
    partition: int
    offset: int


class AbortedError(WorkerError):
    """A transaction was aborted: nothing of it counts. Another try may succeed."""


class RecordTooLargeError(WorkerError):
    """A transaction was aborted, because a topic refuses one of its records for its size."""


class FencedError(WorkerError):
    """Another process uses the transactional id now, or a transaction took longer than TRANSACTION_SECONDS."""


class ExclusiveProducer:
    """Only one process at a time has a transactional id: one that begins later fences the one before."""

    def __init__(self, settings: Settings, transactional_id: str, waiting: Callable[[], None]) -> None:
        """`waiting` is called every few seconds while the broker does not answer. It may raise, to give up.

        Raises ConfigError.
        """
        self._waiting = waiting
        self._client = TransactionalClient(_config(settings, transactional_id), QUIET_LOGGER)

    def fence(self) -> None:
        """Fence the process that had the transactional id before, and abort what it left open.

        What it has committed is committed now, and nothing comes later. Raises BootError.
        """
        try:
            self._client.fence(self._waiting)
        except KafkaException as problem:
            raise BootError(f"Kafka transactions can't be used: {problem.args[0].str()}") from problem

    def commit(self, send: Callable[["Transaction"], Sent]) -> Sent:
        """Commit what `send` sends, or nothing. If a transaction is aborted, try again, a few times.

        Return what `send` returns. Raises what `transaction` raises.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(AbortedError),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_fixed(_PAUSE_SECONDS),
            before_sleep=self._before_retry,
            reraise=True,
        )
        done: Sent = retrying(self._commit, send)
        return done

    def _commit(self, send: Callable[["Transaction"], Sent]) -> Sent:
        with self.transaction() as transaction:
            return send(transaction)

    def _before_retry(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        log.warning("Kafka transaction aborted, will be tried again", error=str(state.outcome.exception()))
        self._waiting()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Commit at the end all that was sent inside, or nothing.

        An exception inside aborts the transaction. A signal that ends the process does not: the next process that
        fences this one does, or the broker after TRANSACTION_SECONDS.

        Raises AbortedError, RecordTooLargeError, FencedError, WorkerError.
        """
        try:
            self._client.settle(self._waiting)
        except KafkaException as problem:
            raise WorkerError(f"no new Kafka producer can take over: {problem.args[0].str()}") from problem
        try:
            self._client.producer.begin_transaction()
            yield Transaction(self._client.producer)
            # if the answer to a commit is lost, it is asked for again; the commit may have happened, so never abort
            self._client.decide(self._client.producer.commit_transaction, self._waiting)
        except KafkaException as problem:
            error = problem.args[0]
            self._abort(error)
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise RecordTooLargeError(f"a record is too large for its topic: {error.str()}") from problem
            # the broker was away, or a refused record has left a gap in the sequence numbers
            raise AbortedError(f"Kafka transaction failed: {error.str()}") from problem
        except Exception:
            self._abort(None)
            raise

    def _abort(self, cause: KafkaError | None) -> None:
        """Abort the transaction. Raises FencedError, WorkerError if the producer is of no more use."""
        try:
            self._client.decide(self._client.producer.abort_transaction, self._waiting)
        except KafkaException as problem:
            error = problem.args[0]
            codes = {error.code()} if cause is None else {error.code(), cause.code()}
            kind = FencedError if codes & FENCED else WorkerError
            raise kind(f"Kafka transaction failed: {error.str()}") from problem


class Transaction:
    """A transaction under way."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def send(self, records: Sequence[NewRecord]) -> list[WrittenAt]:
        """Send the records and wait for their acknowledgements; returns where each is.

        Raises KafkaException for the first that failed; let it pass, so that the transaction is aborted.
        """
        written: dict[int, WrittenAt] = {}
        errors: list[KafkaError] = []
        for number, record in enumerate(records):
            self._produce(record, _DeliveryReport(number, written, errors))
        while len(self._producer):
            self._producer.poll(_POLL_SECONDS)
        if errors:
            raise KafkaException(next((error for error in errors if error.code() not in PURGED), errors[0]))
        return [written[number] for number in range(len(records))]

    def _produce(self, record: NewRecord, report: "_DeliveryReport") -> None:
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


class _DeliveryReport:
    """Notes what became of one record."""

    def __init__(self, number: int, written: dict[int, WrittenAt], errors: list[KafkaError]) -> None:
        self._number = number
        self._written = written
        self._errors = errors

    def __call__(self, error: KafkaError | None, message: KafkaMessage) -> None:
        if error is not None:
            self._errors.append(error)
            return
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        self._written[self._number] = WrittenAt(topic, partition, offset)


def _config(settings: Settings, transactional_id: str) -> dict[str, Any]:
    settings = settings.model_copy(update={"delivery": Delivery.EXACTLY_ONCE})
    config = {"partitioner": "murmur2_random", **transactional_config(settings, transactional_id)}
    config.pop("message.timeout.ms", None)  # within a transaction a record has as long as the transaction
    return {**config, "transaction.timeout.ms": TRANSACTION_SECONDS * 1000}
