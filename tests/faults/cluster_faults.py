"""Faults of a broker of a cluster: of the one that leads a partition, or coordinates a transaction or a group."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.faults.arena import PARTITIONS, Round
from tests.faults.proxy import Api
from tests.servers.kafka import KafkaServer
from tests.servers.kafka.cluster import INTERNAL_PARTITIONS

_FAILOVER_SECONDS = 30.0
"""Another broker takes over within this time."""
_FULL_SECONDS = 20.0
"""A broker that can't write ends within this time."""

Role = Callable[[Round], tuple[int, Callable[[], int]]]
"""Chooses a broker for what it does. Returns its node id, and a function that tells who does the same later."""


def leader(at: Round) -> tuple[int, Callable[[], int]]:
    """The leader of a partition of the source topic."""
    ask = partial(at.brokers.cluster.leader, at.topic, at.chance.randrange(PARTITIONS))
    return ask(), ask


def transaction_coordinator(at: Round) -> tuple[int, Callable[[], int]]:
    """The broker that a worker asks to end its transaction; the request goes on or is lost with the connection."""
    caught, _worker = at.catch(at.a_host(), Api.END_TXN)
    node = caught.door + 1
    led = [number for number in range(INTERNAL_PARTITIONS) if _leads_transactions(at, number) == node]
    if at.chance.random() < 0.5:
        caught.forward()
    else:
        caught.cut(at.chance.random())
    if not led:
        raise TimeoutError("the coordinator has just moved")
    return node, partial(_leads_transactions, at, led[0])


def group_coordinator(at: Round) -> tuple[int, Callable[[], int]]:
    """The coordinator of the hosts' group, which also takes the offsets."""
    ask = partial(at.brokers.cluster.group_coordinator, at.name)
    return ask(), ask


def _leads_transactions(at: Round, partition: int) -> int:
    return at.brokers.cluster.leader("__transaction_state", partition)


@contextmanager
def _a_broker(at: Round, role: Role) -> Iterator[tuple[KafkaServer, Callable[[], int]]]:
    """A broker in this role that no other fault has in hand, and how many have taken over from it."""
    node, now = role(at)
    with at.brokers.in_hand(node) as server:
        yield server, lambda: now() not in (node, -1)


def _away(at: Round, taken_over: Callable[[], int]) -> int:
    """Stay until another has taken over, and some time longer. Return the hits."""
    hits = at.hits(taken_over, _FAILOVER_SECONDS)
    time.sleep(at.chance.uniform(0, 3))
    return hits


def killed(role: Role, at: Round) -> int:
    """It comes back some time after another has taken over."""
    with _a_broker(at, role) as (server, taken_over), server.killed():
        return _away(at, taken_over)


def frozen(role: Role, at: Round) -> int:
    """It goes on after another has taken over, and does not know of that."""
    with _a_broker(at, role) as (server, taken_over), server.paused():
        return _away(at, taken_over)


def isolated(role: Role, at: Round) -> int:
    """It and the others don't hear of each other, while clients reach all of them."""
    with _a_broker(at, role) as (server, taken_over), at.brokers.isolated(server.node) as held:
        _away(at, taken_over)
        return at.hits(held)


def moved(role: Role, at: Round) -> int:
    """Another broker becomes it, in order."""
    with _a_broker(at, role) as (server, taken_over):
        cluster = at.brokers.cluster
        topics: dict[Role, str] = {leader: at.topic, transaction_coordinator: "__transaction_state"}
        topic = topics.get(role, "__consumer_offsets")
        number = PARTITIONS if role is leader else INTERNAL_PARTITIONS
        led = [partition for partition in range(number) if cluster.leader(topic, partition) == server.node]
        cluster.move(topic, dict.fromkeys(led, server.node))
        return at.hits(taken_over) and len(led)


def reassigned(at: Round) -> int:
    """All partitions of the source topic move: each to two brokers, then to all three. One copies the log."""
    cluster = at.brokers.cluster
    cluster.move(at.topic, {number: cluster.leader(at.topic, number) for number in range(PARTITIONS)})
    return PARTITIONS


def rolling_restart(at: Round) -> int:
    """Each broker is stopped and started, and the next one when all replicas are in sync again."""
    for server in at.brokers.cluster.servers:
        with at.brokers.in_hand(server.node):
            server.stop()
            server.start()
        at.brokers.cluster.wait_until_whole(at.topics)
    return at.brokers.size


def disk_full(at: Round) -> int:
    """A broker can't write to any file, so it ends; then there is room again."""
    with _a_broker(at, leader) as (server, _taken_over):
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        try:
            if not server.ends(_FULL_SECONDS):
                raise TimeoutError("the broker goes on without room on its disk")
            time.sleep(at.chance.uniform(0, 3))
        finally:
            server.kill()
            server.start()
    return 1


def slow(at: Round) -> int:
    """Each frame that a broker sends or receives takes a while longer."""
    with (
        _a_broker(at, leader) as (server, _taken_over),
        at.brokers.slow(server.node, at.chance.uniform(0.05, 0.5)) as delayed,
    ):
        time.sleep(at.chance.uniform(2, 8))
        return at.hits(delayed)


def all_killed(at: Round) -> int:
    """All brokers are killed at the same moment, and started."""
    for server in at.brokers.cluster.servers:
        server.kill()
    at.brokers.cluster.start()
    return at.brokers.size
