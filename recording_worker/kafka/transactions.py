"""TransactionalProducer: output records and source offsets in one Kafka transaction, all or nothing.

What each error calls for is written in librdkafka's manual ("Transactional producer"): an error is fatal, or has the
transaction aborted, or lets the same call be made again.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from recording_worker.errors import BootError, FlushError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, is_fatal
from recording_worker.kafka.offsets import Position, topic_partitions
from recording_worker.kafka.producer import Failure, leave_out, produce, producer_config, take_too_large
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_CALL_SECONDS = 5.0
"""How long a call waits before it is made again; it then goes on with what it began. The manual would rather have it
wait until it is decided, without a word to anybody meanwhile."""

_DEFAULTS = {
    # with its last connection lost, librdkafka would forget its brokers and begin from bootstrap.servers again; offsets
    # on their way into a transaction then wait for a forgotten one, for ever (librdkafka 2.16; issues 5456 and 5511)
    "metadata.recovery.strategy": "none",
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

_HOPELESS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_RECORD,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - public, though named so
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
"""Errors that another try does not mend."""

PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001
"""What the other records of an aborted transaction end with."""


def transactional_config(settings: Settings, transactional_id: str) -> dict[str, Any]:
    """The configuration of a transactional producer. Raises ConfigError."""
    config = {**_DEFAULTS, **producer_config(settings), "transactional.id": transactional_id}
    # within a transaction a record has as long as the transaction
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
    """One worker's producer. Its transactional id is no other's: whoever comes later with the same id fences it."""

    def __init__(self, settings: Settings, transactional_id: str, metrics: Metrics) -> None:
        self._id = transactional_id
        self._topic = settings.topic
        self._metrics = metrics
        try:
            self._producer = Producer(transactional_config(settings, transactional_id), logger=LIBRDKAFKA_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem

    def begin(self, waiting: Callable[[], None] = lambda: None) -> None:
        """Fence whoever had the transactional id before, and abort what they left open.

        Waits for the broker as long as it takes; `waiting` is called every few seconds. Raises BootError.
        """
        try:
            until_decided(self._producer.init_transactions, waiting)
        except KafkaException as problem:
            raise _no_transactions(self._id, problem.args[0]) from problem

    def transact(
        self, records: Sequence[OutputRecord], positions: Mapping[int, Position], membership: bytes
    ) -> Aborted | None:
        """Commit the records and the source offsets together. Return why they were aborted, or None if they were not.

        `positions`: partition of the source topic → what to commit. Records too large for their topic are left out,
        logged and counted. Raises FlushError if another try is of no use.
        """
        offsets = topic_partitions(self._topic, positions)
        left = list(records)
        suspects: list[OutputRecord] = []
        refused = False
        while True:
            failures: list[Failure] = []
            error = self._attempt(left, suspects, offsets, membership, failures)
            if error is None:
                return None
            too_large = take_too_large(failures)
            if too_large:
                left, suspects = self._narrow_down(left, suspects, too_large)
            elif not refused:
                return Aborted(error.name(), error.str(), error.code() in _STALE_MEMBERSHIP)
            # what was refused leaves a gap in the sequence numbers: the next transaction may be aborted for it, once
            refused = bool(too_large)

    def _attempt(
        self,
        records: Sequence[OutputRecord],
        suspects: Sequence[OutputRecord],
        offsets: list[TopicPartition],
        membership: bytes,
        failures: list[Failure],
    ) -> KafkaError | None:
        """One transaction; `suspects` are sent one by one, small ones first. Why it was aborted, or None."""
        try:
            self._producer.begin_transaction()
            for record in sorted(suspects, key=_size):
                produce(self._producer, record, failures)
                self._producer.flush()
            for record in records:
                produce(self._producer, record, failures)
            self._producer.poll(0)
            if failures:
                return self._abort(failures[0].error, failures)
            until_decided(lambda timeout: self._producer.send_offsets_to_transaction(offsets, membership, timeout))
            # a commit whose answer is lost is asked about again, never aborted: it may have happened
            until_decided(self._producer.commit_transaction)
        except KafkaException as problem:
            error = problem.args[0]
            if is_fatal(error):
                raise FlushError(f"Kafka transaction failed: {error.str()}") from problem
            return self._abort(error, failures)
        return None

    def _narrow_down(
        self, left: list[OutputRecord], suspects: list[OutputRecord], too_large: list[OutputRecord]
    ) -> tuple[list[OutputRecord], list[OutputRecord]]:
        """What to send next after some were refused for their size: the records, and those to be sent one by one.

        A broker refuses all that it gets at once. One that was refused alone is left out, and whatever is no smaller.
        """
        alone = {id(record) for record in suspects}
        refused = [record for record in too_large if id(record) in alone]
        if not refused:
            found = {id(record) for record in too_large}
            return [record for record in left if id(record) not in found], [*suspects, *too_large]
        limits = {record.topic: _size(record) for record in refused}
        remaining = []
        for record in suspects:
            if _size(record) >= limits.get(record.topic, math.inf):
                leave_out(record, self._metrics)
            else:
                remaining.append(record)
        return left, remaining

    def _abort(self, error: KafkaError, failures: Sequence[Failure]) -> KafkaError:
        """Abort the transaction; returns why: the error of the record that was at fault, or else what the call said."""
        try:
            until_decided(self._producer.abort_transaction)
        except KafkaException as problem:
            raise FlushError(f"Kafka transaction can't be aborted: {problem.args[0].str()}") from problem
        failure = next((failure for failure in failures if failure.error.code() not in PURGED), None)
        where = "" if failure is None else f"topic {failure.record.topic}: "
        cause = error if failure is None else failure.error
        if is_fatal(cause) or cause.code() in _HOPELESS:
            raise FlushError(f"Kafka transaction failed: {where}{cause.str()}")
        return cause


def can_transact(settings: Settings, timeout: float) -> bool:
    """Whether the brokers do transactions. Raises BootError where they can't be asked, ConfigError."""
    transactional_id = f"{settings.group_id}/probe-{random.getrandbits(64):016x}"
    try:
        producer = Producer(transactional_config(settings, transactional_id), logger=LIBRDKAFKA_LOGGER)
    except KafkaException as problem:
        raise as_config_error(problem) from problem
    deadline = time.monotonic() + timeout
    while True:
        try:
            producer.init_transactions(_CALL_SECONDS)
        except KafkaException as problem:
            error = problem.args[0]
            if error.code() == KafkaError._UNSUPPORTED_FEATURE:  # noqa: SLF001
                return False
            if not error.retriable() or time.monotonic() > deadline:
                raise _no_transactions(transactional_id, error) from problem
        else:
            return True


def _no_transactions(transactional_id: str, error: KafkaError) -> BootError:
    return BootError(f"Kafka transactions can't be used under the transactional id {transactional_id}: {error.str()}")


def until_decided(call: Callable[[float], Any], waiting: Callable[[], None] = lambda: None) -> None:
    """Make a call until it is neither too early nor timed out. Raises KafkaException."""
    while True:
        try:
            call(_CALL_SECONDS)
        except KafkaException as problem:
            error = problem.args[0]
            if not error.retriable() or is_fatal(error):
                raise
            log.warning("Kafka transaction: waiting for the broker", error=error.str())
            waiting()
        else:
            return


def _size(record: OutputRecord) -> int:
    headers = sum(len(key) + len(value) for key, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
