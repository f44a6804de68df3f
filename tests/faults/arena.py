"""Arena: a broker, hosts behind proxies, load, and the ledger; in rounds, each on topics and hosts of its own."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests import hooks
from tests.faults.history import HistoryFile, Read, problems
from tests.faults.ledger import Ledger
from tests.faults.load import Load, Sent
from tests.faults.messages import RESTRICTIONS, teams
from tests.faults.processes import Host
from tests.faults.proxy import Api, Caught, Proxy, Side
from tests.faults.table import Outcome
from tests.servers.kafka import KafkaServer, lasting_client
from tests.waiting import wait_for

PARTITIONS = 8
HOSTS = ("alpha", "beta", "gamma")
"""The third is not started but by the fault in which it comes and goes."""

SESSION_SECONDS = 3.0
TRANSACTION_SECONDS = 6.0
PROGRESS_DEADLINE = 8.0
DRAIN_DEADLINE = 4.0
RECOVERY_SECONDS = 120.0
"""A group that needs longer is held for stuck."""
READABLE_SECONDS = TRANSACTION_SECONDS + 10
"""An open transaction of a process that is gone is aborted by the broker within this time."""


@dataclass(frozen=True, slots=True)
class Membership:
    """How the hosts of a round are members of their group."""

    protocol: str
    static: bool

    def __str__(self) -> str:
        return f"{self.protocol}, {'static' if self.static else 'dynamic'} members"


MEMBERSHIPS = (
    Membership("classic", static=False),
    Membership("consumer", static=False),
    Membership("classic", static=True),
)


class Round:
    """Topics, a group, hosts and load, from a fresh start; faults happen in it."""

    def __init__(
        self,
        folder: Path,
        broker: KafkaServer,
        proxies: Mapping[str, Proxy],
        membership: Membership,
        environment: dict[str, str],
        chance: random.Random,
        rate: float,
        settings: Mapping[str, Any],
        hosts: int,
    ) -> None:
        folder.mkdir(parents=True)
        self.chance = chance
        self.broker = broker
        self.membership = membership
        self._running = hosts
        self._name = folder.name
        self._storage = folder / "storage"
        self._topic = f"{self._name}-input"
        self._outputs = {
            name: f"{self._name}-{name}" for name in ("metadata", "console_logs", "warnings", "dlq", "overflow")
        }
        broker.create_topic(self._topic, PARTITIONS)
        for topic in self._outputs.values():
            broker.create_topic(topic, 2)
        (folder / "teams.toml").write_text(teams())
        (folder / "restrictions.toml").write_text(RESTRICTIONS)
        self.hosts = [
            Host(name, folder, proxies[name], {**self._settings(name, proxies[name], folder), **settings}, environment)
            for name in HOSTS
        ]
        self.load = Load(broker.bootstrap_servers, self._topic, PARTITIONS, rate=rate, chance=chance)
        self._history = HistoryFile(folder / "history.jsonl")
        self._all_sent: list[Sent] = []
        self._ledger = self._new_ledger(self._history.read)
        self._group = Consumer({**lasting_client(broker.bootstrap_servers), "group.id": self._name})

    def _new_ledger(self, on_read: Callable[[Read], None]) -> Ledger:
        metadata, dlq, overflow = (self._outputs[name] for name in ("metadata", "dlq", "overflow"))
        return Ledger(self.broker.bootstrap_servers, metadata, dlq, overflow, on_read)

    def _settings(self, name: str, proxy: Proxy, folder: Path) -> dict[str, Any]:
        classic = self.membership.protocol == "classic"
        session = {"session.timeout.ms": int(SESSION_SECONDS * 1000), "heartbeat.interval.ms": 500}
        static = {"group_instance_id": f"{self._name}-{name}"} if self.membership.static else {}
        return {
            "bootstrap_servers": f"127.0.0.1:{proxy.port}",
            "topic": self._topic,
            "group_id": self._name,
            "group_protocol": self.membership.protocol,
            **static,
            **{f"{output}_topic": topic for output, topic in self._outputs.items()},
            "teams": str(folder / "teams.toml"),
            "restrictions": str(folder / "restrictions.toml"),
            "max_timestamp_diff_days": 36500,
            "storage_dir": str(self._storage),
            "max_batch_age": 1.0,
            "poll_timeout": 0.1,
            "workers": 2,
            "drain_deadline": DRAIN_DEADLINE,
            "progress_deadline": PROGRESS_DEADLINE,
            "ops_port": 0,
            "log_json": True,
            "kafka": {"reconnect.backoff.max.ms": 1000},
            "kafka_consumer": session if classic else {},
            "kafka_producer": {"transaction.timeout.ms": int(TRANSACTION_SECONDS * 1000)},
        }

    @property
    def running(self) -> list[Host]:
        """The hosts that are there to stay."""
        return self.hosts[: self._running]

    def begin(self) -> None:
        """Start the hosts and the load, and wait until all of a first second's load is committed."""
        for host in self.running:
            host.start()
        self.load.resume()
        time.sleep(1)
        self.recover(self.load.ends)

    def recover(self, ends: Mapping[int, int]) -> None:
        """Wait until the group has committed up to these offsets; hosts that end are started again meanwhile."""
        self.wait_for(lambda: self._has_committed(ends), f"the group to commit {ends}", RECOVERY_SECONDS)

    def wait_for(self, done: Any, what: str, seconds: float = 20) -> None:
        """Wait for a condition, as an init system meanwhile."""

        def kept_and_done() -> Any:
            for host in self.hosts:
                host.keep()
            return done()

        wait_for(kept_and_done, what, seconds)

    def check(self, kind: str, recovery: float, hits: int = 0) -> Outcome:
        """With the load paused and all of it committed: what became of what was sent since the last check."""
        sent = self.load.take_sent()
        self._all_sent += sent
        self._history.sent(sent)
        findings = self._ledger.check(sent, READABLE_SECONDS)
        return Outcome(kind, recovery, len(sent), hits, len(findings.lost), len(findings.doubled), findings.lines())

    def check_history(self) -> list[str]:
        """What is wrong with all that was sent, read and committed, once all of it is committed and checked.

        Another reader reads everything again first.
        """
        again = self._new_ledger(self._history.read_again)
        again.check(self._all_sent, READABLE_SECONDS)
        again.close()
        asked = [TopicPartition(self._topic, partition) for partition in range(PARTITIONS)]
        committed = self._group.committed(asked, timeout=30)
        self._history.committed({at.partition: max(0, at.offset) for at in committed})
        return [f"history: {problem}" for problem in problems(self._history.path.read_text().splitlines())]

    def verify(self) -> list[str]:
        """What `recording-worker verify` finds wrong."""
        topics = {name: self._outputs[name] for name in ("metadata", "dlq")}
        command = [sys.executable, "-m", "recording_worker", "verify", "--json"]
        command += ["--bootstrap-servers", self.broker.bootstrap_servers, "--group-id", self._name]
        command += ["--storage-dir", str(self._storage)]
        command += [part for name, topic in topics.items() for part in (f"--{name}-topic", topic)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False
        )
        if done.returncode not in (0, 1):
            return [f"verify: exit code {done.returncode}: {done.stderr}"]
        damages = json.loads(done.stdout)["damages"]
        assert bool(damages) == (done.returncode == 1), done
        return [f"verify: {damage}" for damage in damages]

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        self.load.close()
        self._ledger.close()
        self._history.close()
        self._group.close()

    # what faults use

    def a_host(self) -> Host:
        return self.chance.choice(self.running)

    def hits(self, count: Callable[[], int], seconds: float = 10) -> int:
        """Return how much a fault has hit, once that is anything. Raises TimeoutError if it hits nothing."""
        deadline = time.monotonic() + seconds
        while not (number := count()):
            if time.monotonic() > deadline:
                raise TimeoutError("the fault has hit nothing")
            for host in self.hosts:
                host.keep()
            time.sleep(0.05)
        return int(number)

    def rebalances(self) -> int:
        """How often hosts have been given partitions, or have given them back."""
        return sum(host.logged("partitions placed") + host.logged("partitions revoked") for host in self.hosts)

    def a_worker(self, host: Host) -> int:
        self.wait_for(lambda: len(host.workers()) == 2, "two workers")
        return self.chance.choice(host.workers())

    def catch(self, host: Host, *apis: Api, side: Side = Side.REQUEST, least_bytes: int = 0) -> tuple[Caught, int]:
        """Hold such a frame of one of the host's workers; returns it and the worker. Raises TimeoutError."""
        deadline = time.monotonic() + 10
        while True:
            seconds = max(0.0, deadline - time.monotonic())
            caught = host.proxy.catch(*apis, side=side, least_bytes=least_bytes, seconds=seconds)
            worker = host.worker_at(caught.client_port)
            if worker is not None:
                return caught, worker
            caught.forward()

    def _has_committed(self, ends: Mapping[int, int]) -> bool:
        try:
            asked = [TopicPartition(self._topic, partition) for partition in ends]
            committed = self._group.committed(asked, timeout=2)
        except KafkaException:
            return False  # the broker is away, or a transaction holds the offsets
        return all(at.error is None and at.offset >= ends[at.partition] for at in committed if ends[at.partition])


class Arena:
    """A broker with a proxy for each host, for one round after the other."""

    def __init__(self, folder: Path, *, rate: float, broker_session: float = 1.5) -> None:
        """`rate`: messages a second. `broker_session`: after how many seconds a silent broker counts as gone."""
        self._folder = folder
        self._rate = rate
        self._environment = hooks.environment(folder)
        root = str(Path(__file__).parent.parent.parent)
        self._environment["PYTHONPATH"] += f":{root}"
        self._proxies = {name: Proxy() for name in HOSTS}
        listeners = {name.upper(): f"127.0.0.1:{proxy.port}" for name, proxy in self._proxies.items()}
        self.broker = KafkaServer(
            folder / "kafka",
            advertised=listeners,
            settings={
                "group.consumer.session.timeout.ms": round(SESSION_SECONDS * 1000),
                # a broker that was killed may come back once its session has ended
                "broker.session.timeout.ms": round(broker_session * 1000),
            },
        )
        self.broker.start()
        for name, proxy in self._proxies.items():
            proxy.connect_to(self.broker.ports[name.upper()])

    @contextmanager
    def round(
        self, number: int, membership: Membership, chance: random.Random, *, hosts: int = 2, **settings: Any
    ) -> Iterator[Round]:
        """`hosts`: how many run; `settings`: their settings, in addition to the suite's."""
        folder = self._folder / f"round-{number}"
        current = Round(
            folder, self.broker, self._proxies, membership, self._environment, chance, self._rate, settings, hosts
        )
        try:
            current.begin()
            yield current
        finally:
            current.close()

    def close(self) -> None:
        self.broker.stop()
        for proxy in self._proxies.values():
            proxy.close()
