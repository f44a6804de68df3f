"""Arena: a broker, hosts behind proxies, load, and the ledger; in rounds, each on topics and hosts of its own."""

import copy
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests import hooks
from tests.faults.brokers import Brokers
from tests.faults.deletions import Deletions
from tests.faults.history import HistoryFile, Read, Transaction, problems
from tests.faults.key_servers import DynamoKeyServer, KeyServer, Opener, PostgresKeyServer, in_the_clear
from tests.faults.ledger import Ledger
from tests.faults.load import Load, Sent
from tests.faults.messages import RESTRICTIONS, sample_tokens, teams
from tests.faults.operator import Operator
from tests.faults.processes import Host
from tests.faults.proxy import Api, Caught, Proxy, Side
from tests.faults.storage import FolderStorage, HostStorage, S3Storage
from tests.faults.surroundings import Surroundings
from tests.faults.table import Outcome
from tests.servers.kafka import lasting_client
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import RcloneServer, credentials
from tests.waiting import wait_for

PARTITIONS = 8
HOSTS = ("alpha", "beta", "gamma")
"""The third is not started but by the fault in which it comes and goes."""

SESSION_SECONDS = 3.0
TRANSACTION_SECONDS = 6.0
PROGRESS_DEADLINE = 8.0
DRAIN_DEADLINE = 4.0
RECOVERY_SECONDS = 120.0
"""A group that commits nothing of what it should for so long is held for stuck."""
_RENEW_SECONDS = 30.0
"""A client that has had no answer for so long is replaced."""
KEY_CHECK_SECONDS = 2.0
"""Hosts ask the key store so often, so that they ask while it is in trouble."""
READABLE_SECONDS = TRANSACTION_SECONDS + 10
"""An open transaction of a process that is gone is aborted by the broker within this time."""


class Round:
    """Topics, a group, hosts and load, from a fresh start; faults happen in it."""

    def __init__(
        self,
        folder: Path,
        arena: "Arena",
        surroundings: Surroundings,
        chance: random.Random,
        settings: Mapping[str, Any],
        hosts: int,
    ) -> None:
        folder.mkdir(parents=True)
        self.chance = chance
        self.arena = arena
        self.brokers = arena.brokers
        self.surroundings = surroundings
        self.name = folder.name
        self._running = hosts
        self._folder = folder
        self._bucket = arena.s3.new_bucket() if surroundings.storage == "s3" else None
        self.keys = arena.key_server(surroundings.keys) if surroundings.keys else None
        self.topic = f"{self.name}-input"
        self._outputs = {
            name: f"{self.name}-{name}"
            for name in ("metadata", "console_logs", "warnings", "dlq", "overflow", "progress")
        }
        self.brokers.cluster.create_topic(self.topic, PARTITIONS)
        for topic in self._outputs.values():
            self.brokers.cluster.create_topic(topic, 2)
        (folder / "teams.toml").write_text(teams())
        (folder / "restrictions.toml").write_text(RESTRICTIONS)
        self.hosts = [self._host(name, settings) for name in HOSTS]
        self.operator = Operator(folder / "operator.toml", self._operator_settings())
        self.deletions = Deletions() if self.keys is None else Deletions(self.keys.key_of, KEY_CHECK_SECONDS)
        self.load = Load(self.brokers.bootstrap_servers, self.topic, PARTITIONS, rate=arena.rate, chance=chance)
        self._history = HistoryFile(folder / "history.jsonl")
        self._all_sent: list[Sent] = []
        self._ledger = self._new_ledger(self._history.read, lambda _transaction: None)
        self._groups: list[Consumer] = []
        self._group = self._new_group()

    def _new_group(self) -> Consumer:
        """Return a client that asks what the group has committed. It is closed at the end.

        librdkafka dies of a refusal of OffsetFetch that comes once the client is closed.
        """
        self._answered = time.monotonic()
        self._groups.append(Consumer({**lasting_client(self.brokers.bootstrap_servers), "group.id": self.name}))
        return self._groups[-1]

    def _new_ledger(self, on_read: Callable[[Read], None], on_transaction: Callable[[Transaction], None]) -> Ledger:
        topics = self._outputs
        return Ledger(
            self.brokers.bootstrap_servers,
            topics["metadata"],
            topics["dlq"],
            topics["overflow"],
            topics["progress"],
            on_read,
            on_transaction,
            self._content_of,
            Opener(self.deletions.key_of) if self.keys is not None else lambda _metadata, stored: stored,
            self.deletions,
        )

    def _content_of(self, url: str) -> Path:
        """Where the file of a block's URL is on this machine."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            return Path(unquote(parts.path))
        return self.arena.s3.folder / parts.netloc / unquote(parts.path).lstrip("/")

    def _host(self, name: str, settings: Mapping[str, Any]) -> Host:
        control = self._folder / f"{name}.storage"
        storage: HostStorage
        if self._bucket is None:
            storage = FolderStorage(self._folder / "storage", control)
        else:
            storage = S3Storage(self._bucket, control)
        proxy = self.arena.proxies[name]
        chosen = {**self._settings(name, proxy), **storage.settings(), **self._lookups(), **self._keys(), **settings}
        return Host(name, self._folder, proxy, storage, chosen, self.arena.environment)

    def _keys(self) -> dict[str, Any]:
        return {} if self.keys is None else {**self.keys.settings(), "key_check_interval": KEY_CHECK_SECONDS}

    def _operator_settings(self) -> dict[str, Any]:
        if self._bucket is None:
            storage = {"storage_dir": str(self._folder / "storage")}
        else:
            storage = {"storage": self._bucket.url, "s3_endpoint": self.arena.s3.endpoint}
        return {
            "bootstrap_servers": self.brokers.bootstrap_servers,
            "topic": self.topic,
            "group_id": self.name,
            **{f"{output}_topic": topic for output, topic in self._outputs.items()},
            **storage,
            **self._keys(),
            **({} if self.keys is None else {"keys_redis": self.arena.redis.url}),
        }

    def _lookups(self) -> dict[str, Any]:
        files = {"restrictions": str(self._folder / "restrictions.toml")}
        if not self.surroundings.stores:
            return {**files, "teams": str(self._folder / "teams.toml")}
        stores = {"teams_postgres": self.arena.postgres.url, "sessions_redis": self.arena.redis.url}
        # read often, so that it is read while the stores are away
        return {**files, **stores, "refresh_interval": 1.0}

    def _settings(self, name: str, proxy: Proxy) -> dict[str, Any]:
        membership = self.surroundings.membership
        session = {"session.timeout.ms": int(SESSION_SECONDS * 1000), "heartbeat.interval.ms": 500}
        static = {"group_instance_id": f"{self.name}-{name}"} if membership.static else {}
        return {
            "bootstrap_servers": proxy.address,
            "topic": self.topic,
            "group_id": self.name,
            "group_protocol": membership.protocol,
            **static,
            **{f"{output}_topic": topic for output, topic in self._outputs.items()},
            "max_timestamp_diff_days": 36500,
            "max_batch_age": 1.0,
            "poll_timeout": 0.1,
            "workers": 2,
            "drain_deadline": DRAIN_DEADLINE,
            "progress_deadline": PROGRESS_DEADLINE,
            "ops_port": 0,
            "log_json": True,
            "kafka": {"reconnect.backoff.max.ms": 1000},
            "kafka_consumer": session if membership.protocol == "classic" else {},
            "kafka_producer": {"transaction.timeout.ms": int(TRANSACTION_SECONDS * 1000)},
        }

    def for_fault(self, seed: str) -> "Round":
        """The same round, with chance of its own, for a fault that happens in a thread of its own."""
        view = copy.copy(self)
        view.chance = random.Random(seed)
        return view

    @property
    def topics(self) -> list[str]:
        return [self.topic, *self._outputs.values()]

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
        self.wait_for(lambda: any(self.load.ends.values()), "the first messages to be acknowledged", RECOVERY_SECONDS)
        self.recover(self.load.ends)

    def recover(self, ends: Mapping[int, int]) -> None:
        """Wait until the group has committed up to these offsets; hosts that end are started again meanwhile."""
        committed = 0

        def has_committed() -> bool:
            nonlocal committed
            offsets = self._committed(ends)
            committed = max(committed, sum(min(offset, ends[number]) for number, offset in offsets.items()))
            return all(offsets.get(number, -1) >= end for number, end in ends.items() if end)

        self.wait_for(has_committed, f"the group to commit {ends}", RECOVERY_SECONDS, lambda: committed)

    def wait_for(self, done: Any, what: str, seconds: float = 20, signs: Callable[[], object] = lambda: None) -> None:
        """Wait for a condition, as an init system meanwhile. `signs`: see `tests.waiting.wait_for`."""

        def kept_and_done() -> Any:
            for host in self.hosts:
                host.keep()
            return done()

        wait_for(kept_and_done, what, seconds, signs)

    def check(self, kind: str, recovery: float, hits: int = 0) -> Outcome:
        """With the load paused and all of it committed: what became of what was sent since the last check."""
        sent = self.load.take_sent()
        self._all_sent += sent
        self._history.sent(sent)
        self._history.may_miss(one for one in sent if self.deletions.may_miss(one))
        findings = self._ledger.check(sent, READABLE_SECONDS)
        return self._outcome(
            kind,
            recovery,
            messages=len(sent),
            hits=hits,
            lost=len(findings.lost),
            doubled=len(findings.doubled),
            wrong=findings.lines(),
        )

    def not_recovered(self, kind: str, problem: Exception) -> Outcome:
        """What a fault led to after which the hosts, or the suite's servers, did not come back."""
        return self._outcome(kind, float("inf"), messages=0, wrong=[f"not recovered: {problem}"])

    def _outcome(self, kind: str, recovery: float, **counted: Any) -> Outcome:
        """What a fault led to, with what this round runs on."""
        return Outcome(
            kind=kind,
            recovery=recovery,
            brokers=self.brokers.size,
            membership=str(self.surroundings.membership),
            storage=self.surroundings.storage,
            stores=self.surroundings.stores,
            keys=self.surroundings.keys,
            **counted,
        )

    def committed_now(self) -> dict[int, int]:
        """Partition → committed offset, asked by a client of its own, since faults run in threads.

        Raises KafkaException.
        """
        group = self._new_group()
        asked = group.committed([TopicPartition(self.topic, number) for number in range(PARTITIONS)], timeout=10)
        return {at.partition: max(0, at.offset) for at in asked if at.error is None}

    def check_history(self) -> list[str]:
        """What is wrong with all that was sent, read and committed, once all of it is committed and checked.

        Another reader reads everything again first.
        """
        again = self._new_ledger(self._history.read_again, self._history.transaction)
        again.check(self._all_sent, READABLE_SECONDS)
        again.close()
        self._history.committed(self.committed_now())
        return [f"history: {problem}" for problem in problems(self._history.path.read_text().splitlines())]

    def verify(self) -> list[str]:
        """What `recording-worker verify` finds wrong, and what is in the clear that should not be."""
        clear = [] if self.keys is None else in_the_clear(self._files())
        return [*self.operator.verify(), *clear]

    def _files(self) -> list[Path]:
        """All that is stored, whether or not anything leads to it."""
        folder = self._folder / "storage" if self._bucket is None else self.arena.s3.folder / self._bucket.name
        return [path for path in folder.rglob("*") if path.is_file()]

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        self.load.close()
        self._ledger.close()
        self._history.close()
        for group in self._groups:
            group.close()

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

    def _committed(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Partition → committed offset, of those that are known now."""
        try:
            asked = [TopicPartition(self.topic, partition) for partition in ends]
            committed = self._group.committed(asked, timeout=2)
        except KafkaException:
            # the broker is away, or a transaction holds the offsets; or the client has heard that there are no brokers
            if time.monotonic() > self._answered + _RENEW_SECONDS:
                self._group = self._new_group()
            return {}
        self._answered = time.monotonic()
        return {at.partition: max(0, at.offset) for at in committed if at.error is None}


class Arena:
    """Brokers with a proxy for each host, and other servers, for one round after the other."""

    def __init__(self, folder: Path, *, rate: float, brokers: int = 1, broker_session: float = 1.5) -> None:
        """`rate`: messages a second. `broker_session`: seconds after which a silent broker is gone."""
        self._folder = folder
        self.rate = rate
        self.environment = hooks.environment(folder) | credentials()
        root = str(Path(__file__).parent.parent.parent)
        self.environment["PYTHONPATH"] += f":{root}"
        self.proxies = {name: Proxy(brokers) for name in HOSTS}
        self._servers = ExitStack()
        self._key_servers: dict[str, KeyServer] = {}
        self.brokers = Brokers(
            folder / "kafka",
            brokers,
            self.proxies,
            settings={
                "group.consumer.session.timeout.ms": round(SESSION_SECONDS * 1000),
                # a broker that was killed may come back once its session has ended
                # a cluster has a session time-out of its own
                "broker.session.timeout.ms": round(broker_session * 1000),
            },
        )
        self.brokers.cluster.start()

    @cached_property
    def s3(self) -> RcloneServer:
        return self._servers.enter_context(RcloneServer(self._folder / "s3"))

    def key_server(self, kind: str) -> KeyServer:
        """The key store of this kind, without keys, for the next round."""
        if kind not in self._key_servers:
            new = PostgresKeyServer(self._folder / "keys") if kind == "postgres" else DynamoKeyServer()
            self._key_servers[kind] = new
            self._servers.callback(new.close)
        self._key_servers[kind].clear()
        return self._key_servers[kind]

    @cached_property
    def redis(self) -> RedisServer:
        (self._folder / "redis").mkdir()
        return self._servers.enter_context(RedisServer(self._folder / "redis"))

    @cached_property
    def postgres(self) -> PostgresServer:
        """With the teams of the sample."""
        server = self._servers.enter_context(PostgresServer())
        server.create_teams()
        for number, token in enumerate(sample_tokens(), start=1):
            server.add_team(number, token, "30d" if number % 2 else "1y")
        return server

    @contextmanager
    def round(
        self, number: int, surroundings: Surroundings, chance: random.Random, *, hosts: int = 2, **settings: Any
    ) -> Iterator[Round]:
        """`hosts`: how many run; `settings`: their settings, in addition to the suite's."""
        self.brokers.cluster.start()
        with self.redis.client() as client:
            client.flushall()  # rounds have the same sessions, and one that was seen before gets no key
        current = Round(self._folder / f"round-{number}", self, surroundings, chance, settings, hosts)
        try:
            current.begin()
            yield current
        finally:
            current.close()

    def close(self) -> None:
        self._servers.close()
        self.brokers.close()
        for proxy in self.proxies.values():
            proxy.close()
