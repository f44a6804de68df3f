"""TransactionalProducer: output records and source offsets in one Kafka transaction, all or nothing.

librdkafka's manual ("Transactional producer") says what to do about each error: a fatal one ends the producer, one that
requires an abort ends the transaction, and after a retriable one the same call is made again.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from recording_worker.errors import BootError, FlushError, TransactionTimeoutError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, is_fatal
from recording_worker.kafka.offsets import Position, topic_partitions
from recording_worker.kafka.producer import REPORT_ERRORS, produce_all, producer_config
from recording_worker.kafka.refusals import Failure, Outgoing, take_refused
from recording_worker.kafka.transactional_client import TransactionalClient, retry_until_decided
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings

_DEFAULTS = {
    # after its last connection is lost, librdkafka would forget its brokers and begin from bootstrap.servers again;
    # offsets on their way into a transaction then wait for a forgotten broker, for ever (2.16; issues 5456 and 5511)
    "metadata.recovery.strategy": "none",
    "transaction.timeout.ms": 60_000,
}

_STALE_MEMBERSHIP = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
    }
)
"""The group has moved on since the membership was learned."""

_PERMANENT = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - public, though named so
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
"""Errors that another transaction would meet too."""

FENCED = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - public, though named so
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
    }
)
"""Another process has the transactional id now, or the broker has ended a transaction that took too long."""

PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001
"""The errors that the other records of an aborted transaction end with."""


def transactional_config(settings: Settings, transactional_id: str) -> dict[str, Any]:
    """Return the configuration of a transactional producer. Raises ConfigError."""
    config = {**_DEFAULTS, **producer_config(settings), "transactional.id": transactional_id}
    # in a transaction, a record has as much time as the transaction
    if "message.timeout.ms" not in {**settings.kafka, **settings.kafka_producer}:
        del config["message.timeout.ms"]
    return config


class Aborted(NamedTuple):
    """Why a transaction was aborted. Another try may succeed."""

    name: str
    """The error's name in librdkafka, such as "ILLEGAL_GENERATION"."""
    text: str
    membership_is_stale: bool
    """Whether another try needs a newer membership."""


class TransactionalProducer:
    """One worker's producer.

    Each worker has its own transactional id; a later producer with the same id fences this one.
    """

    def __init__(self, settings: Settings, transactional_id: str, metrics: Metrics) -> None:
        self._id = transactional_id
        self._topic = settings.topic
        self._metrics = metrics
        config = {**transactional_config(settings, transactional_id), **REPORT_ERRORS}
        self._client = TransactionalClient(config, LIBRDKAFKA_LOGGER)
        self._timeout = int(config["transaction.timeout.ms"]) / 1000
        self._began = 0.0
        """When the last transaction began, monotonic seconds."""

    def begin(self, waiting: Callable[[], None] = lambda: None) -> None:
        """Fence the producer that had the transactional id before, and abort its open transaction.

        Waits for the broker as long as it takes, and calls `waiting` every few seconds. Raises BootError.
        """
        try:
            self._client.fence(waiting)
        except KafkaException as problem:
            raise _no_transactions(self._id, problem.args[0]) from problem

    def transact(
        self, records: Iterable[OutputRecord], positions: Mapping[int, Position], membership: bytes
    ) -> Aborted | None:
        """Commit the records and the source offsets together. Return why they were aborted, or None if they were not.

        `records` are iterated at least once for each transaction that it takes. `positions`: partition of the source
        topic → what to commit. What becomes of a record that its topic refuses: see `refusals`. Raises FlushError if
        another try is of no use: TransactionTimeoutError if the broker has ended a transaction that took too long.
        """
        offsets = topic_partitions(self._topic, positions)
        outgoing = Outgoing(records, self._metrics)
        learned = False
        while True:
            self._settle()
            failures: list[Failure] = []
            error = self._attempt(outgoing, offsets, membership, failures)
            if error is None:
                return None
            refused = take_refused(failures)
            if refused:
                outgoing.learn(refused)
            elif not learned:
                return Aborted(error.name(), error.str(), error.code() in _STALE_MEMBERSHIP)
            # a refused record leaves a gap in the sequence numbers, for which the next transaction may be aborted once
            learned = bool(refused)

    def _settle(self) -> None:
        """Wait until no request of an earlier transaction can meet the next one. Raises FlushError."""
        try:
            self._client.settle()
        except KafkaException as problem:
            raise FlushError(f"no new Kafka producer can take over: {problem.args[0].str()}") from problem

    def _attempt(
        self,
        outgoing: Outgoing,
        offsets: list[TopicPartition],
        membership: bytes,
        failures: list[Failure],
    ) -> KafkaError | None:
        """Make one transaction, and return why it was aborted, or None. Suspects go one by one, small ones first."""
        self._began = time.monotonic()
        producer = self._client.producer
        try:
            producer.begin_transaction()
            for record in sorted(outgoing.suspects, key=attrgetter("size")):
                produce_all(producer, [record], failures)
                producer.flush()
            produce_all(producer, outgoing.others(), failures)
            producer.poll(0)
            if failures:
                return self._abort(failures[0].error, failures)
            self._client.decide(lambda timeout: producer.send_offsets_to_transaction(offsets, membership, timeout))
            # a commit whose answer is lost is asked for again, never aborted: it may have happened
            self._client.decide(producer.commit_transaction)
        except (KafkaException, SystemError) as problem:
            error = _error_of(problem)
            if is_fatal(error):
                raise self._fault("Kafka transaction failed", error) from problem
            return self._abort(error, failures)
        return None

    def _abort(self, error: KafkaError, failures: Sequence[Failure]) -> KafkaError:
        """Abort the transaction. Return why: the error of the record at fault, or else the call's error."""
        try:
            self._client.decide(self._client.producer.abort_transaction)
        except (KafkaException, SystemError) as problem:
            raise self._fault("Kafka transaction can't be aborted", _error_of(problem)) from problem
        self._client.producer.poll(0)  # for the reports that are not in `failures` yet
        failure = next((failure for failure in failures if failure.error.code() not in PURGED), None)
        where = "" if failure is None else f"topic {failure.record.topic}: "
        cause = error if failure is None else failure.error
        if is_fatal(cause) or cause.code() in _PERMANENT:
            raise FlushError(f"Kafka transaction failed: {where}{cause.str()}")
        return cause

    def _fault(self, what: str, error: KafkaError) -> FlushError:
        """Return the exception for an error after which this producer is of no more use.

        The broker gives the same error to a producer whose transaction took too long and to one that another process
        has fenced. Only the time that the transaction took tells the two apart.
        """
        if error.code() in FENCED and time.monotonic() - self._began >= self._timeout:
            return TransactionTimeoutError(f"{what}, it took longer than {self._timeout:g} seconds: {error.str()}")
        return FlushError(f"{what}: {error.str()}")


def can_transact(settings: Settings, timeout: float) -> bool:
    """Return whether the brokers support transactions. Raises BootError if they can't be asked, and ConfigError."""
    transactional_id = f"{settings.group_id}/probe-{random.getrandbits(64):016x}"
    try:
        producer = Producer(transactional_config(settings, transactional_id), logger=LIBRDKAFKA_LOGGER)
    except KafkaException as problem:
        raise as_config_error(problem) from problem
    try:
        retry_until_decided(producer.init_transactions, timeout=timeout)
    except KafkaException as problem:
        error = problem.args[0]
        if error.code() == KafkaError._UNSUPPORTED_FEATURE:  # noqa: SLF001
            return False
        raise _no_transactions(transactional_id, error) from problem
    return True


def _no_transactions(transactional_id: str, error: KafkaError) -> BootError:
    return BootError(f"Kafka transactions can't be used under the transactional id {transactional_id}: {error.str()}")


def _error_of(problem: KafkaException | SystemError) -> KafkaError:
    """Return the error that a call raised. Raises `problem` if no such error is its cause.

    confluent-kafka (2.16) raises a fatal error in the middle of a poll. The next report in that poll then raises a
    SystemError over it.
    """
    found = problem.__cause__ if isinstance(problem, SystemError) else problem
    if not isinstance(found, KafkaException):
        raise problem
    error: KafkaError = found.args[0]
    return error
