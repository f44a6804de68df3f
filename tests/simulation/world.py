"""One schedule: hosts, brokers and the faults that a seed draws, from the first turn until all is delivered."""

import random
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from recording_worker.settings.choices import Delivery, GroupProtocol
from tests.simulation.broker import Broker
from tests.simulation.checks import BrokenError, Ledger
from tests.simulation.clients.admin import Admin
from tests.simulation.clients.group_consumer import GroupConsumer
from tests.simulation.clients.producers import PlainProducer, TransactionalProducer
from tests.simulation.clients.reader import Reader
from tests.simulation.group import ClassicGroup, ConsumerGroup
from tests.simulation.host import SETTINGS, Host, pipeline
from tests.simulation.network import Link, Network
from tests.simulation.processes import Handle
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.seams import simulated
from tests.simulation.storage import ModelStorage

FAULT_SECONDS = 7.0
"""Faults begin and messages are sent in this time."""
_PATIENCE_SECONDS = 150.0
"""How long all may take after that. A worker that ended too often waits up to 45 s."""


class Membership(StrEnum):
    """How hosts are members of their group."""

    CLASSIC = "classic"
    STATIC = "classic, static"
    CONSUMER = "KIP-848"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens at a time, to a host or a worker, for some seconds."""

    at: float
    kind: str
    host: int
    worker: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:6.3f} s: {self.kind} (host {self.host}, worker {self.worker}, {self.seconds:.3f} s)"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed draws before anything begins. A fault can be left out of it: the rest stays as it is."""

    seed: int
    partitions: int
    workers: int
    hosts: int
    exactly_once: bool
    leaves_gaps: bool
    """See Broker."""
    sent: tuple[tuple[float, int, bytes], ...]
    """(time, partition, content)"""
    faults: tuple[Fault, ...]
    membership: Membership = Membership.CLASSIC
    stores: bool = False
    """Whether files must be stored before messages are delivered. Then the storage has faults too."""


KINDS = {
    "worker killed": 3,
    "worker frozen": 3,
    "host killed": 2,
    "host frozen": 3,
    "supervisor frozen": 2,
    "host cut off": 3,
    "brokers away": 1,
    "brokers slow": 1,
    "host stopped": 2,
    "topic created again": 3,
}
"""Kind of a fault → how often it is drawn."""
STORAGE_KINDS = ("storage fails", "storage hangs")


def draw(seed: int) -> Plan:
    """Draw a plan."""
    plan = draw_plain(seed)
    rng = random.Random(f"more {seed}")
    membership, stores = rng.choice([*Membership]), rng.random() < 0.3
    more = [
        Fault(rng.uniform(0.5, FAULT_SECONDS), rng.choice(STORAGE_KINDS), 0, 0, rng.choice((0.3, 1.0, 5.0, 9.0)))
        for _ in range(rng.choice((1, 1, 2)) if stores else 0)
    ]
    faults = sorted((*plan.faults, *more), key=lambda fault: fault.at)
    return replace(plan, membership=membership, stores=stores, faults=tuple(faults))


def draw_plain(seed: int) -> Plan:
    """Draw a plan with dynamic members of the classic protocol, and without storage."""
    rng = random.Random(seed)
    partitions, number_of_hosts = rng.choice((1, 2, 2, 3)), rng.choice((1, 2, 2))
    workers = rng.choice((1, 2))
    kinds = rng.choices([*KINDS], [*KINDS.values()], k=rng.choice((0, 1, 1, 2, 2, 3)))
    faults = [
        Fault(
            rng.uniform(0.5, FAULT_SECONDS),
            kind,
            rng.randrange(number_of_hosts),
            rng.randrange(workers),
            rng.choice((0.3, 1.0, 3.0, 5.5)) * rng.uniform(0.5, 1.2),
        )
        for kind in kinds
    ]
    sent = [
        (
            rng.uniform(0, FAULT_SECONDS),
            rng.randrange(partitions),
            b"large" if rng.random() < 0.04 else b"small",
        )
        for _ in range(rng.randrange(3, 25))
    ]
    return Plan(
        seed,
        partitions,
        workers,
        number_of_hosts,
        rng.random() < 0.8,
        rng.random() < 0.7,
        tuple(sorted(sent)),
        tuple(sorted(faults, key=lambda fault: fault.at)),
    )


class World:
    """What a plan is run on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.history: list[str] = []
        rng = random.Random(f"world {plan.seed}")
        self.scheduler = Scheduler(rng)
        self._began = self.scheduler.now
        self._rng = rng
        self.storage = ModelStorage(self.scheduler)
        self.ledger = Ledger(exactly_once=plan.exactly_once, stored=self.storage.urls)
        protocol = ConsumerGroup if plan.membership is Membership.CONSUMER else ClassicGroup
        group = protocol(self.scheduler, rng, plan.partitions)
        self.broker = Broker(self.scheduler, rng, plan.partitions, group, self.ledger)
        self.broker.leaves_gaps = plan.leaves_gaps
        self._know_topic()
        self.network = Network(self.scheduler, rng)
        settings = SETTINGS.model_copy(
            update={
                "workers": plan.workers,
                "delivery": Delivery.EXACTLY_ONCE if plan.exactly_once else Delivery.AT_LEAST_ONCE,
                "group_protocol": GroupProtocol.CONSUMER if protocol is ConsumerGroup else GroupProtocol.CLASSIC,
            }
        )
        instances = [
            f"static-{number}" if plan.membership is Membership.STATIC else None for number in range(plan.hosts)
        ]
        self.hosts = [
            Host(number, self.scheduler, settings.model_copy(update={"group_instance_id": instance}))
            for number, instance in enumerate(instances)
        ]
        self._pids: dict[int, Process] = {}
        self._healed_after = 0.0

    def run(self) -> None:
        """Run the plan. Raises whatever shows that something is wrong."""
        clients: dict[str, Any] = {
            "group": lambda config, **_: GroupConsumer(
                *self._client(), config=config, in_order=not self.plan.exactly_once
            ),
            "transactions": lambda config, **_: TransactionalProducer(*self._client(), name=config["transactional.id"]),
            "producer": lambda *_, **__: PlainProducer(*self._client(), committed=self.ledger.records_committed),
            "admin": lambda *_, **__: Admin(*self._client()),
            "reader": lambda *_: Reader(*self._client()),
        }
        is_frozen = lambda pid: bool(self._pids[pid].frozen)  # noqa: E731
        build = partial(pipeline, stores=self.plan.stores)
        with simulated(self.scheduler, self._rng, clients, build, self.storage, self._started, is_frozen):
            try:
                self._begin()
                deadline = self._began + FAULT_SECONDS + 7 + _PATIENCE_SECONDS
                self.scheduler.run(self._is_done, deadline)
                if self.scheduler.failure is not None:
                    raise self.scheduler.failure
                if not self._is_done():
                    self._raise_missing()
            finally:
                self.scheduler.close()

    def note(self, text: str) -> None:
        self.history.append(f"{self.scheduler.now - self._began:8.3f} s  {text}")

    def _begin(self) -> None:
        for host in self.hosts:
            self.scheduler.call(self._rng.uniform(0, 0.3), host.start)
        for at, partition, content in self.plan.sent:
            self.scheduler.call(at, partial(self._send, partition, content))
        for fault in self.plan.faults:
            self._healed_after = max(self._healed_after, fault.at + fault.seconds)
            self.scheduler.call(fault.at, partial(self._strike, fault))

    def _send(self, partition: int, content: bytes) -> None:
        key = self.broker.produce(partition, content)
        self.note(f"sent {key.decode()}" if key else "nothing sent: there is no topic")

    def _is_done(self) -> bool:
        passed = self.scheduler.now - self._began
        return passed > max(FAULT_SECONDS, self._healed_after) and self.ledger.is_done(self.broker.topic)

    def _raise_missing(self) -> None:
        topic = self.broker.topic
        assert topic is not None
        missing = [key.decode() for key in self.ledger.missing(topic)]
        raise BrokenError(f"not delivered in time: {missing}" if missing else "offsets are not committed in time")

    def _client(self) -> tuple[Any, ...]:
        process = self.scheduler.task().process
        host = next(each for each in self.hosts if process in (each.supervisor, *each.workers.values()))
        return self.scheduler, self.broker, Link(self.network, process, host.link), self._rng

    def _started(self, handle: Handle, worker: int) -> None:
        """Know a worker's process as soon as it is made, by the supervisor that runs now."""
        supervisor = self.scheduler.task().process
        host = next(each for each in self.hosts if each.supervisor is supervisor)
        handle.pid = len(self._pids) + 1
        handle.process.name = f"host {host.number} worker {worker}"
        self._pids[handle.pid] = handle.process
        host.workers[worker] = handle.process
        self.note(f"{handle.process.name} starts")
        process = handle.process
        process.at_end.append(lambda: self.note(f"{process.name} ends with {process.code}"))

    def _know_topic(self) -> None:
        topic = self.broker.topic
        assert topic is not None
        self.ledger.topics[topic.number] = topic

    def _strike(self, fault: Fault) -> None:
        self.note(f"fault: {fault.kind}, host {fault.host}, worker {fault.worker}, {fault.seconds:.3f} s")
        host = self.hosts[fault.host]
        worker = host.workers.get(fault.worker)
        match fault.kind:
            case "worker killed":
                if worker is not None:
                    self.scheduler.end(worker, -9)
            case "worker frozen":
                self._freeze([worker] if worker is not None else [], fault.seconds)
            case "supervisor frozen":
                self._freeze([host.supervisor] if host.supervisor is not None else [], fault.seconds)
            case "host frozen":
                self._freeze(host.processes, fault.seconds)
            case "host killed":
                self._away(host, fault.seconds)
                host.kill()
            case "host stopped":
                self._away(host, fault.seconds)
                host.ask_to_stop()
            case "host cut off":
                host.link.cut += 1
                self._later(fault.seconds, lambda: setattr(host.link, "cut", host.link.cut - 1))
            case "brokers away":
                self.network.down += 1
                self._later(fault.seconds, lambda: setattr(self.network, "down", self.network.down - 1))
            case "brokers slow":
                self.network.slow += 1
                self._later(fault.seconds, lambda: setattr(self.network, "slow", self.network.slow - 1))
            case "storage fails":
                self.storage.failing += 1
                self._later(fault.seconds, lambda: self.storage.heal("storage fails"))
            case "storage hangs":
                self.storage.hanging += 1
                self._later(fault.seconds, lambda: self.storage.heal("storage hangs"))
            case "topic created again":
                self._create_topic_again(fault.seconds)

    def _freeze(self, processes: list[Process], seconds: float) -> None:
        for process in processes:
            self.scheduler.freeze(process)
            self._later(seconds, partial(self.scheduler.thaw, process))

    def _away(self, host: Host, seconds: float) -> None:
        host.away += 1
        self._later(seconds, lambda: setattr(host, "away", host.away - 1))

    def _create_topic_again(self, seconds: float) -> None:
        if self.broker.topic is None:
            return
        self.broker.delete_topic(with_offsets=self._rng.random() < 0.7)

        def create() -> None:
            self.broker.create_topic()
            self._know_topic()
            for _ in range(self._rng.randrange(0, 25)):
                self._send(self._rng.randrange(self.plan.partitions), b"small")

        self._later(min(seconds, 2.0), create)

    def _later(self, seconds: float, what: Any) -> None:
        def over() -> None:
            self.note("a fault is over")
            what()

        self.scheduler.call(seconds, over)
