"""AuditedProducer: sends messages back, and the audit records of it, in one Kafka transaction."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from recording_worker.clock import Clock
from recording_worker.errors import WorkerError
from recording_worker.kafka.exclusive_producer import (
    TRANSACTION_SECONDS,
    ExclusiveProducer,
    FencedError,
    NewRecord,
    Transaction,
    WrittenAt,
)
from recording_worker.operations.dlq.audit import Action, AuditRecord
from recording_worker.operations.dlq.dead_letter import DeadLetter
from recording_worker.settings.model import Settings


class Target(NamedTuple):
    """Where the message of a dead letter goes, or went."""

    topic: str
    partition: int | None
    """None before it is sent if its key decides."""
    offset: int | None = None
    """None before it is sent."""


class Task(NamedTuple):
    """A dead letter that is redriven or dropped."""

    letter: DeadLetter
    target: Target | None
    """None if it is dropped."""


class AuditedProducer:
    """Only one redrive or drop at a time works on a DLQ topic: one that begins later fences the one before."""

    def __init__(self, settings: Settings, action: Action, by: str, clock: Clock, waiting: Callable[[], None]) -> None:
        """`by` is who acts, for the audit. `waiting`: see ExclusiveProducer. Raises ConfigError."""
        self._dlq_topic = settings.dlq_topic
        self._audit_topic = settings.dlq_audit_topic
        self._action = action
        self._by = by
        self._clock = clock
        self._producer = ExclusiveProducer(settings, f"{settings.dlq_topic}/dlq-tools", waiting)

    def fence(self) -> None:
        """End every other redrive and drop of the topic. Raises BootError."""
        self._producer.fence()

    def commit(self, tasks: Sequence[Task]) -> list[Task]:
        """Do all of the tasks or none; returns them with the offsets of the messages that were sent.

        Raises RecordTooLargeError, WorkerError.
        """
        try:
            return self._producer.commit(lambda transaction: self._send(transaction, tasks))
        except FencedError as error:
            raise WorkerError(
                f"another redrive or drop of {self._dlq_topic} has begun, or a transaction took more than"
                f" {TRANSACTION_SECONDS} s: this one ends, and nothing of the rest is sent"
            ) from error

    def _send(self, transaction: Transaction, tasks: Sequence[Task]) -> list[Task]:
        messages = [_message(task.letter, task.target) for task in tasks if task.target is not None]
        sent = iter(transaction.send(messages))
        written = [None if task.target is None else next(sent) for task in tasks]
        transaction.send([self._audit_record(task.letter, at) for task, at in zip(tasks, written, strict=True)])
        return [Task(task.letter, None if at is None else Target(*at)) for task, at in zip(tasks, written, strict=True)]

    def _audit_record(self, letter: DeadLetter, sent_to: WrittenAt | None) -> NewRecord:
        record = AuditRecord.of(
            letter,
            self._action,
            dlq_topic=self._dlq_topic,
            by=self._by,
            at_ms=self._clock.now_ms(),
            sent_to=sent_to,
        )
        return NewRecord(self._audit_topic, None, record.identity.encode(), record.json(), [])


def _message(letter: DeadLetter, target: Target) -> NewRecord:
    return NewRecord(target.topic, target.partition, letter.key, letter.value, letter.headers)
