"""The two ways to make a flushed session batch count: exactly once, and at least once."""

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

import structlog

from recording_worker.backoff import Backoff
from recording_worker.formats.accounts import account_header
from recording_worker.formats.progress_record import progress_record
from recording_worker.kafka.offsets import Position
from recording_worker.kafka.other_clusters import OtherClusters
from recording_worker.kafka.producer import RecordProducer
from recording_worker.kafka.transactions import TransactionalProducer
from recording_worker.messages import RecordChain
from recording_worker.metrics import Metrics
from recording_worker.processes.control import Flushed, Placement, WorkerChannel
from recording_worker.processes.worker.assignment import Assigned, Assignment
from recording_worker.processes.worker.delivered import count_delivered
from recording_worker.recording.flush import FlushedBatch, records_of

log = structlog.get_logger()

_MEMBERSHIP_TIMEOUT = 5.0
"""How long to wait for a newer membership before the stale one is tried again."""
_TROUBLE_AFTER = 3
"""Retries of a delivery after which the worker is not ready. A rebalance takes fewer."""
_BACKOFF = Backoff(first=0.2, longest=5.0)

Sender = TypeVar("Sender")


class _Delivery(Generic[Sender]):
    """What both have in common: what they send, and what is done once it is delivered."""

    trouble = ""
    """Why the delivery in flight is tried again and again; empty if it is not."""

    def __init__(
        self,
        producer: Sender,
        others: OtherClusters,
        assignment: Assignment,
        channel: WorkerChannel,
        group: str,
        metrics: Metrics,
        progress_topic: str | None = None,
    ) -> None:
        """`progress_topic`: gets a record with each batch that says how far its partitions are recorded."""
        self._producer = producer
        self._others = others
        self._assignment = assignment
        self._channel = channel
        self._group = group
        self._metrics = metrics
        self._progress_topic = progress_topic

    def _delivered(
        self, flushed: FlushedBatch, held: Mapping[int, Assigned], outgoing: "_Outgoing", *, committed: bool
    ) -> Collection[int]:
        """Note that a batch is delivered, count it, and report it. Return its partitions."""
        self._assignment.carry(outgoing.placements)
        count_delivered(((number, flushed.partitions[number]) for number in held), self._metrics)
        self._channel.send(_report(flushed, outgoing, committed=committed))
        return held


class ExactlyOnceDelivery(_Delivery[TransactionalProducer]):
    """Commits the records and the offsets in one transaction, under the supervisor's membership of the group.

    If the group has moved on, the transaction is aborted. It is made again once the supervisor's new membership is
    known, without the partitions that are not ours any more: their new owner reads their messages again. The blocks
    of these partitions stay in the files, but no committed metadata leads to them.
    """

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        """Deliver a batch; called on the flush thread. Return the partitions that are delivered. Raises FlushError."""
        try:
            return self._deliver(flushed)
        finally:
            self._retried(0, "")

    def _retried(self, times: int, why: str) -> None:
        self._metrics.delivery_retries.set(times)
        self.trouble = f"delivery tried again {times} times: {why}" if times >= _TROUBLE_AFTER else ""

    def _deliver(self, flushed: FlushedBatch) -> Collection[int]:
        attempt = 0
        while True:
            membership, held = self._assignment.look(flushed.partitions)
            if not held:
                log.warning("session batch discarded: other hosts own all its partitions")
                return ()
            outgoing = _outgoing(flushed, held, self._group, self._progress_topic)
            if not attempt:
                self._others.send(flushed.batch_id, outgoing.records)
            records = self._others.leave(outgoing.records)
            aborted = self._producer.transact(records, outgoing.positions, membership)
            if aborted is None:
                return self._delivered(flushed, held, outgoing, committed=True)
            attempt += 1
            self._metrics.transactions_aborted.labels(aborted.name).inc()
            self._retried(attempt, aborted.text)
            log.warning("Kafka transaction aborted, to be tried again", error=aborted.text)
            if aborted.membership_is_stale:
                self._assignment.wait_for_change(membership, held, _MEMBERSHIP_TIMEOUT)
            else:
                time.sleep(_BACKOFF.pause(attempt))


class AtLeastOnceDelivery(_Delivery[RecordProducer]):
    """Produces the records, waits for every acknowledgement, then reports the offsets, which the supervisor commits.

    After a crash in between, the batch's messages are read again: recorded twice, never lost. A delivery that fails is
    not tried again, but ends the worker.
    """

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        """Deliver a batch; called on the flush thread. Return the partitions that are delivered. Raises FlushError."""
        _, held = self._assignment.look(flushed.partitions)
        outgoing = _outgoing(flushed, held, self._group, self._progress_topic)
        self._others.send(flushed.batch_id, outgoing.records)
        self._producer.send(self._others.leave(outgoing.records))
        return self._delivered(flushed, held, outgoing, committed=False)


class _Outgoing(NamedTuple):
    """What a batch sends."""

    records: RecordChain
    placements: tuple[Placement, ...]

    @property
    def positions(self) -> dict[int, Position]:
        return {at.partition: Position(at.offset, at.account, at.topic_id) for at in self.placements}


def _outgoing(flushed: FlushedBatch, held: Mapping[int, Assigned], group: str, progress_topic: str | None) -> _Outgoing:
    """Return the records and offsets of the partitions that are held.

    Their accounts are a header of a metadata record, or wait with the offsets if there is no such record.
    """
    parts = {number: flushed.partitions[number] for number in held}
    accounts = {number: held[number].account.followed_by(part.account) for number, part in parts.items()}
    metadata = [(number, at) for number, part in parts.items() for at in range(len(part.metadata))]
    if metadata:
        # a record too large for its topic is left out: the smallest is the safest
        number, at = min(metadata, key=lambda place: parts[place[0]].metadata[place[1]].size)
        changed = [*parts[number].metadata]
        topic_id = held[number].topic_id  # all partitions are of one topic
        header = account_header(flushed.topic, group, accounts, topic_id=topic_id)
        changed[at] = changed[at]._replace(headers=[header])
        parts[number] = replace(parts[number], metadata=changed)
    placements = tuple(
        Placement(number, held[number].epoch, account.next, None if metadata else account, held[number].topic_id)
        for number, account in accounts.items()
    )
    records = records_of(parts.values())
    if progress_topic is not None:
        reached = {number: (account.next, parts[number].until) for number, account in accounts.items()}
        about = {"topic": flushed.topic, "group": group, "batch_id": flushed.batch_id}
        records = RecordChain([records, [progress_record(progress_topic, **about, partitions=reached)]])
    return _Outgoing(records, placements)


def _report(flushed: FlushedBatch, outgoing: _Outgoing, *, committed: bool) -> Flushed:
    latest = {at.partition: flushed.partitions[at.partition].until for at in outgoing.placements}
    until = {number: second for number, second in latest.items() if second is not None}
    return Flushed(outgoing.placements, committed, flushed.sessions, flushed.events, flushed.bytes_written, until)
