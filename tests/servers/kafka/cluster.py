"""KafkaCluster: brokers that are controllers too, with replication 3 and min ISR 2 if there are three of them."""

import itertools
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.servers.child import ServerError
from tests.servers.kafka.server import KafkaServer, lasting_client

INTERNAL_PARTITIONS = 4
_REPLICATED: dict[str, str | int] = {
    # an authorizer lets no controller in before it has read the metadata, for which there must be controllers
    "authorizer.class.name": "",
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "controller.quorum.election.timeout.ms": 1000,
    "controller.quorum.fetch.timeout.ms": 3000,
    # on a busy machine, brokers that live must not seem dead
    "broker.session.timeout.ms": 6000,
    "replica.lag.time.max.ms": 4000,
    "replica.fetch.wait.max.ms": 100,
    "controller.socket.timeout.ms": 3000,
    "replica.socket.timeout.ms": 4000,
    "auto.leader.rebalance.enable": "false",
    "controlled.shutdown.max.retries": 2,
}
_ASK_SECONDS = 5
_START_SECONDS = 90
_ALTER_PARTITION_REASSIGNMENTS = 45


class KafkaCluster:
    """Brokers 1 to `size`. With one broker, it is a `KafkaServer` as any other."""

    def __init__(
        self,
        folder: Path,
        size: int,
        *,
        advertised: Sequence[Mapping[str, str]],
        settings: Mapping[str, str | int],
        controllers: Sequence[str] = (),
    ) -> None:
        """`advertised`: the further listeners of each broker, see `KafkaServer`. In a cluster, brokers use BROKERS.

        `controllers`: the addresses at which they find each other's controllers, if there are several brokers.
        """
        self._replicas = size
        together: dict[str, str | int] = {}
        if size > 1:
            voters = ",".join(f"{node}@{address}" for node, address in enumerate(controllers, start=1))
            names = {"controller.quorum.voters": voters, "inter.broker.listener.name": "BROKERS"}
            together = {**_REPLICATED, **names}
        self.servers = [
            KafkaServer(
                folder / f"broker-{node}",
                node=node,
                advertised=listeners,
                settings={**settings, **together},
            )
            for node, listeners in enumerate(advertised, start=1)
        ]
        self.bootstrap_servers = ",".join(server.bootstrap_servers for server in self.servers)
        self._admin: AdminClient | None = None

    def start(self) -> None:
        """Start all that don't run. A broker answers once most of them do, so they start at the same time."""
        with ThreadPoolExecutor(len(self.servers)) as pool:
            for done in [pool.submit(server.start) for server in self.servers if not server.runs]:
                done.result()

    def stop(self) -> None:
        for server in self.servers:
            server.kill()

    def server(self, node: int) -> KafkaServer:
        return self.servers[node - 1]

    def create_topic(self, name: str, partitions: int) -> None:
        self.servers[0].create_topic(name, partitions)

    def leader(self, topic: str, partition: int) -> int:
        """The node that leads a partition, as far as is known; -1 if none does."""
        return int(self._asked(lambda: self._partitions(topic)[partition].leader, -1))

    def group_coordinator(self, group: str) -> int:
        return self.leader("__consumer_offsets", java_hash(group) % INTERNAL_PARTITIONS)

    def lacking(self, topics: Sequence[str]) -> list[str]:
        """The partitions that lack replicas in sync."""
        found: dict[str, Any] = self._metadata().topics
        return [
            f"{topic}/{number}"
            for topic in topics
            for number, partition in found[topic].partitions.items()
            if len(partition.isrs) < self._replicas or len(partition.replicas) < self._replicas or partition.leader < 0
        ]

    def wait_until_whole(self, topics: Sequence[str], seconds: float = 60) -> None:
        """Wait until all replicas of these topics are in sync. Raises ServerError."""
        deadline = time.monotonic() + seconds
        while lacking := self._asked(lambda: self.lacking(topics), ["metadata"]):
            if time.monotonic() > deadline:
                raise ServerError(f"the cluster is not whole after {seconds} s: {lacking}")
            time.sleep(0.1)

    def move(self, topic: str, away_from: Mapping[int, int]) -> None:
        """Take partitions off a node each, wait until another leads them, and bring them back.

        The replica that comes back is the last one then, and copies the log again. Raises TimeoutError.
        """
        before = {number: self._partitions(topic)[number].replicas for number in away_from}
        left = {number: [node for node in nodes if node != away_from[number]] for number, nodes in before.items()}
        try:
            self._reassign(topic, left, 30)
        finally:
            self._reassign(topic, {number: [*nodes, away_from[number]] for number, nodes in left.items()}, 60)

    def _reassign(self, topic: str, replicas: Mapping[int, list[int]], seconds: float) -> None:
        request = reassignment(topic, replicas)
        deadline = time.monotonic() + seconds
        servers = itertools.cycle(self.servers)
        while not self._asked(lambda: self._has_replicas(topic, replicas), False):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} does not move to {replicas}")
            self._asked(partial(_ask, next(servers).ports["CLIENTS"], request), None)
            time.sleep(0.3)

    def _has_replicas(self, topic: str, replicas: Mapping[int, list[int]]) -> bool:
        found = self._partitions(topic)
        return all(
            [*found[number].replicas] == nodes and found[number].leader in nodes and {*found[number].isrs} == {*nodes}
            for number, nodes in replicas.items()
        )

    def _partitions(self, topic: str) -> Any:
        return self._metadata().topics[topic].partitions

    def _metadata(self) -> Any:
        """What the brokers say now. Raises KafkaException."""
        self._admin = self._admin or AdminClient(lasting_client(self.bootstrap_servers))
        try:
            return self._admin.list_topics(timeout=_ASK_SECONDS)
        except KafkaException:
            self._admin = None  # it may have heard that there are no brokers, and then asks nobody any more
            raise

    @staticmethod
    def _asked(ask: Any, otherwise: Any) -> Any:
        try:
            return ask()
        except (KafkaException, KeyError, OSError):
            return otherwise


def java_hash(text: str) -> int:
    """Java's hash of a string without its sign, as Kafka takes it to choose a partition of an internal topic."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return 0 if value == 1 << 31 else min(value, (1 << 32) - value)


def reassignment(topic: str, replicas: Mapping[int, list[int]]) -> bytes:
    """AlterPartitionReassignments, version 0, as Kafka's protocol guide has it: confluent-kafka has no call for it."""
    partitions = b"".join(
        struct.pack(f">iB{len(nodes)}iB", number, len(nodes) + 1, *nodes, 0) for number, nodes in replicas.items()
    )
    name = topic.encode()
    body = struct.pack(">iBB", 10_000, 2, len(name) + 1) + name + bytes([len(replicas) + 1]) + partitions + b"\0\0"
    head = struct.pack(">hhih", _ALTER_PARTITION_REASSIGNMENTS, 0, 1, -1) + b"\0"
    return struct.pack(">i", len(head + body)) + head + body


def _ask(port: int, request: bytes) -> None:
    """Send a request and wait for any answer. What came of it shows in metadata."""
    with socket.create_connection(("127.0.0.1", port), _ASK_SECONDS) as connection:
        connection.settimeout(_ASK_SECONDS)
        connection.sendall(request)
        connection.recv(4096)
