"""A model of Kafka's brokers: logs, offsets, transactions. It says what requests do when they arrive.

Where it leaves something out, it is stricter than Kafka or equal to it for what the product may rely on. The facts are
Kafka's: TransactionCoordinator (an epoch per producer, open transactions end after their time), and OffsetFetch with
`require_stable`. `group.py` has the consumer group.
"""

import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

from tests.simulation.group import Group
from tests.simulation.network import Busy, error
from tests.simulation.scheduler import Scheduler, Signal

TRANSACTION_SECONDS = 4.0
GENERATION = struct.Struct("=i")
MAGIC = b"CGMDv2:"

Offsets = dict[int, tuple[int, str]]
"""Partition → offset and its metadata."""


@dataclass(slots=True)
class Topic:
    number: int
    """0 for the first, 1 for the one that was created after it was deleted, …"""
    logs: list[list[bytes]]

    @property
    def id(self) -> str:
        return f"topic-id-{self.number}"


@dataclass(slots=True)
class Transaction:
    producer: str
    began: float
    records: list[tuple[str, bytes]] = field(default_factory=list)
    """(topic, key)"""
    offsets: Offsets = field(default_factory=dict)
    ending: bool = False
    """Whether its end is decided, and not visible yet."""


class Watcher:
    """Learns what becomes visible in Kafka."""

    def offsets_committed(self, topic: Topic | None, offsets: Offsets) -> None: ...
    def records_committed(self, records: list[tuple[str, bytes]]) -> None: ...
    def offsets_pending(self, producer: str, offsets: Iterable[int], others: dict[str, set[int]]) -> None: ...


class Broker:
    """The cluster. Every method is what a request does when it arrives, and raises KafkaException if it is refused."""

    def __init__(
        self, scheduler: Scheduler, rng: random.Random, partitions: int, group: Group, watcher: Watcher
    ) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self.group = group
        self._watcher = watcher
        self._partitions = partitions
        self.topic: Topic | None = Topic(0, [[] for _ in range(partitions)])
        self._topics = 1
        self.fetchers = Signal(scheduler)
        self.committed: Offsets = {}
        self.leaves_gaps = False
        """Whether a refused record leaves a hole in the sequence numbers, for which the next transaction is aborted."""
        self._epochs: dict[str, int] = {}
        self._open: dict[str, Transaction] = {}

    # the source topic

    def produce(self, partition: int, value: bytes) -> bytes | None:
        """Add a message to the topic. Return its key, or None if there is no topic now."""
        if self.topic is None:
            return None
        log = self.topic.logs[partition]
        key = b"%d/%d/%d/%s" % (self.topic.number, partition, len(log), value)
        log.append(key)
        self.fetchers.notify()
        return key

    def delete_topic(self, *, with_offsets: bool) -> None:
        self.topic = None
        if with_offsets:
            self.committed.clear()

    def create_topic(self) -> None:
        self.topic = Topic(self._topics, [[] for _ in range(self._partitions)])
        self._topics += 1

    def topic_now(self) -> Topic:
        if self.topic is None:
            raise error(KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown topic", retriable=True)
        return self.topic

    # offsets

    def commit(self, member: str, generation: int, offsets: Offsets) -> None:
        self.group.check_member(member, generation)
        self._commit(offsets)

    def fetch_offsets(self, partitions: list[int]) -> Offsets:
        """Return what is committed. Waits for transactions that hold offsets of these (`require_stable`)."""
        for each in self._open.values():
            if not each.offsets.keys().isdisjoint(partitions):
                raise Busy
        return {number: self.committed[number] for number in partitions if number in self.committed}

    def _commit(self, offsets: Offsets) -> None:
        self._watcher.offsets_committed(self.topic, offsets)
        self.committed.update(offsets)

    # transactions

    def init(self, producer: str) -> int:
        """Fence the producer that had this id before. Return the new epoch."""
        found = self._open.get(producer)
        if found is not None:
            if not found.ending:
                self._epochs[producer] = self._epochs.get(producer, 0) + 1
                self._end(found, commit=False)
            raise Busy
        self._epochs[producer] = self._epochs.get(producer, 0) + 1
        return self._epochs[producer]

    def _transaction(self, producer: str, epoch: int) -> Transaction:
        self._check_epoch(producer, epoch)
        found = self._open.get(producer)
        if found is not None and found.ending:
            raise Busy
        if found is None:
            found = self._open[producer] = Transaction(producer, self._scheduler.now)
            opened = found
            self._scheduler.call(TRANSACTION_SECONDS, lambda: self._expire(opened))
        return found

    def _check_epoch(self, producer: str, epoch: int) -> None:
        if self._epochs.get(producer) != epoch:
            raise error(KafkaError._FENCED, "fenced", fatal=True)

    def add_records(self, producer: str, epoch: int, records: list[tuple[str, bytes]]) -> None:
        self._transaction(producer, epoch).records += records

    def add_offsets(self, producer: str, epoch: int, membership: bytes, offsets: Offsets) -> None:
        (generation,) = GENERATION.unpack_from(membership, len(MAGIC))
        transaction = self._transaction(producer, epoch)
        if generation >= 0:  # without one, Kafka accepts offsets from anybody
            self.group.check_member(membership[len(MAGIC) + GENERATION.size :].decode(), generation)
        others = {name: set(each.offsets) for name, each in self._open.items() if name != producer}
        self._watcher.offsets_pending(producer, offsets, others)
        transaction.offsets.update(offsets)

    def end(self, producer: str, epoch: int, *, commit: bool) -> None:
        self._check_epoch(producer, epoch)
        found = self._open.get(producer)
        if found is None or found.ending:
            return
        self._end(found, commit=commit)

    def _expire(self, transaction: Transaction) -> None:
        if self._open.get(transaction.producer) is transaction and not transaction.ending:
            self._epochs[transaction.producer] += 1
            self._end(transaction, commit=False)

    def _end(self, transaction: Transaction, *, commit: bool) -> None:
        transaction.ending = True
        fast = self._rng.random() < 0.95
        self._scheduler.call(self._rng.uniform(0, 0.02 if fast else 1.0), lambda: self._show_end(transaction, commit))

    def _show_end(self, transaction: Transaction, commit: bool) -> None:
        del self._open[transaction.producer]
        if commit:
            self._watcher.records_committed(transaction.records)
            if transaction.offsets:
                self._commit(transaction.offsets)
