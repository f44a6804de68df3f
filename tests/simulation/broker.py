"""A model of Kafka's brokers: logs, one consumer group, transactions. It says what requests do when they arrive.

Where it leaves something out, it is stricter than Kafka or equal to it for what the product may rely on. The facts are
Kafka's: GroupCoordinator (a generation per rebalance, offsets only under the present one), TransactionCoordinator (an
epoch per producer, open transactions end after their time), and OffsetFetch with `require_stable`.
"""

import random
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException

from tests.simulation.scheduler import Future, Process, Scheduler, Signal

SESSION_SECONDS = 2.0
TRANSACTION_SECONDS = 4.0
_REBALANCE_SECONDS = 20.0
GENERATION = struct.Struct("=i")
MAGIC = b"CGMDv2:"

Offsets = dict[int, tuple[int, str]]
"""Partition → offset and its metadata."""


def error(code: int, text: str, *, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaException:
    return KafkaException(KafkaError(code, text, fatal, retriable, abort))


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


@dataclass(slots=True, eq=False)
class Member:
    id: str
    host: "Link"
    learn: Callable[[int, set[int], set[int]], None]
    """Gets the generation, and which partitions come and go."""
    is_busy: Callable[[], bool]
    """Whether it can't rejoin now, because its application is in a callback."""
    hears: bool = False
    """Whether the answer that tells it about a generation is on its way to it. It joins the next one after that."""
    owned: set[int] = field(default_factory=set)
    releasing: set[int] = field(default_factory=set)


class Link:
    """A process's way to the brokers."""

    def __init__(self, network: "Network", process: Process, host: "HostLink") -> None:
        self._network = network
        self.process = process
        self.host = host

    @property
    def is_up(self) -> bool:
        return not self._network.down and not self.host.cut

    def request(self, effect: Callable[[], object]) -> "Future[object]":
        """Send a request. Its answer comes once the link is up. What is sent arrives even if the sender is dead."""
        return self._network.request(self, effect)


@dataclass(slots=True)
class HostLink:
    cut: int = 0
    """How many faults cut it off now."""


class Busy(Exception):  # noqa: N818 - not an error
    """The broker can't answer yet: the request is sent again."""


class Network:
    """Carries requests and answers, each with a delay. Links that are cut hold them up."""

    def __init__(self, scheduler: Scheduler, rng: random.Random) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self.down = 0
        """How many faults keep the brokers away now."""
        self.slow = 1.0

    def delay(self) -> float:
        fast = self._rng.random() < 0.97
        return self._rng.uniform(0.001, 0.01 if fast else 2.5) * self.slow

    def request(self, link: Link, effect: Callable[[], object]) -> "Future[object]":
        answer: Future[object] = Future(self._scheduler)
        self._scheduler.call(self.delay(), lambda: self._arrive(link, effect, answer))
        return answer

    def _arrive(self, link: Link, effect: Callable[[], object], answer: "Future[object]") -> None:
        if not link.is_up:
            if link.process.alive:  # the client sends it again, unless it is dead
                self._scheduler.call(self._rng.uniform(0.1, 0.3), lambda: self._arrive(link, effect, answer))
            return
        result: object = None
        problem: Exception | None = None
        try:
            result = effect()
        except Busy:
            if link.process.alive:
                self._scheduler.call(self._rng.uniform(0.02, 0.1), lambda: self._arrive(link, effect, answer))
            return
        except KafkaException as refused:
            problem = refused
        self._scheduler.call(self.delay(), lambda: self._answer(link, answer, result, problem))

    def _answer(self, link: Link, answer: "Future[object]", result: object, problem: Exception | None) -> None:
        if not link.process.alive:
            return
        if not link.is_up:
            self._scheduler.call(self._rng.uniform(0.1, 0.3), lambda: self._answer(link, answer, result, problem))
        elif problem is not None:
            answer.set_exception(problem)
        else:
            answer.set_result(result)


class Watcher:
    """Learns what becomes visible in Kafka."""

    def offsets_committed(self, topic: Topic | None, offsets: Offsets) -> None: ...
    def records_committed(self, records: list[tuple[str, bytes]]) -> None: ...
    def offsets_pending(self, producer: str, offsets: Iterable[int], others: dict[str, set[int]]) -> None: ...


class Broker:
    """The cluster. Every method is what a request does when it arrives, and raises KafkaException if it is refused."""

    def __init__(self, scheduler: Scheduler, rng: random.Random, partitions: int, watcher: Watcher) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self._watcher = watcher
        self._partitions = partitions
        self.topic: Topic | None = Topic(0, [[] for _ in range(partitions)])
        self._topics = 1
        self.fetchers = Signal(scheduler)
        self.generation = 0
        self._members: dict[str, Member] = {}
        self._joined = 0
        self._rebalancing: float | None = None
        """When the rebalance that is under way began."""
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

    # the group

    def join(self, member: Member) -> None:
        self._members[member.id] = member
        self.rebalance()

    def new_member_id(self) -> str:
        self._joined += 1
        return f"member-{self._joined}"

    def is_member(self, member: str) -> bool:
        return member in self._members

    def leave(self, member: str) -> None:
        if self._members.pop(member, None) is not None:
            self.rebalance()

    def released(self, member: str, partitions: set[int]) -> None:
        """The member has given these back, and rejoins."""
        found = self._members.get(member)
        if found is not None:
            found.owned -= partitions
            found.releasing -= partitions
            self.rebalance()

    def rebalance(self) -> None:
        if self._rebalancing is None:
            self._rebalancing = self._scheduler.now
            self._scheduler.call(self._rng.uniform(0.01, 0.2), self._try_to_complete)

    def _try_to_complete(self) -> None:
        assert self._rebalancing is not None
        late = self._scheduler.now - self._rebalancing > _REBALANCE_SECONDS
        waits = [each for each in self._members.values() if not self._can_join(each)]
        if waits and not late:
            self._scheduler.call(self._rng.uniform(0.05, 0.3), self._try_to_complete)
            return
        for each in waits:
            del self._members[each.id]
        self._rebalancing = None
        self.generation += 1
        self._assign()

    def _can_join(self, member: Member) -> bool:
        is_away = not member.host.is_up or bool(member.host.process.frozen)
        return not is_away and not member.hears and not member.is_busy()

    def _assign(self) -> None:
        """Divide the partitions as cooperative-sticky does: what moves is first taken, and given in a later round."""
        members = sorted(self._members.values(), key=lambda each: each.id)
        if not members:
            return
        share, odd = divmod(self._partitions, len(members))
        target = {each.id: sorted(each.owned)[: share + (place < odd)] for place, each in enumerate(members)}
        taken = {number for numbers in target.values() for number in numbers}
        for number in range(self._partitions):
            if number not in taken:
                min(target.values(), key=len).append(number)
        held = {number for each in members for number in each.owned}
        for each in members:
            gone = each.owned - set(target[each.id])
            come = set(target[each.id]) - held
            each.hears = True
            each.releasing = gone
            each.owned |= come
            each.learn(self.generation, come, gone)

    def check_member(self, member: str, generation: int) -> None:
        if member not in self._members:
            raise error(KafkaError.UNKNOWN_MEMBER_ID, "unknown member")
        if generation != self.generation:
            raise error(KafkaError.ILLEGAL_GENERATION, "illegal generation")

    def commit(self, member: str, generation: int, offsets: Offsets) -> None:
        self.check_member(member, generation)
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
            self.check_member(membership[len(MAGIC) + GENERATION.size :].decode(), generation)
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
