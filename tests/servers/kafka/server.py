"""KafkaServer: one broker that is its own controller, in a folder of its own, quick to start and easy to hurt."""

import base64
import fcntl
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewPartitions,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.servers.certificates import Authority
from tests.servers.child import ServerError, ServerProcess, answered, require
from tests.servers.kafka.distribution import libraries
from tests.servers.ports import free_ports

_CLUSTER_ID = base64.urlsafe_b64encode(b"recording-worker").decode().rstrip("=")
_TOPIC_SECONDS = 60
_PROBE_SECONDS = 5
"""Each probe begins with a new connection. On a busy machine one that has less time than this could fail every time."""

PASSWORDS, CERTIFICATES = "PASSWORDS", "CERTIFICATES"
"""The listeners with TLS: clients name themselves by SCRAM-SHA-512, or by a certificate."""

_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
"""Quick to start and small, rather than fast in the long run."""

_SETTINGS: dict[str, str | int] = {
    # internal topics: one broker, few partitions
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "auto.create.topics.enable": "false",
    # records of tests are dated builders.NOW_MS, which is more than Kafka's seven days ago
    "log.retention.ms": -1,
    # everybody may do everything with what has no rules of its own
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    # tests don't wait
    "broker.heartbeat.interval.ms": 300,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 1000,
    "group.consumer.session.timeout.ms": 4000,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "group.consumer.heartbeat.interval.ms": 300,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    # recordings are large
    "message.max.bytes": 104_857_600,
    "replica.fetch.max.bytes": 104_857_600,
    # one of many processes on a developer's machine
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 1,
    "log.cleaner.enable": "false",
}


def _write_properties(file: Path, settings: Mapping[str, str | int]) -> None:
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


_PROTOCOLS = {PASSWORDS: "SASL_SSL", CERTIFICATES: "SSL"}


def _secured(authority: Authority) -> dict[str, str]:
    scram = f"listener.name.{PASSWORDS.lower()}"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.issue("broker")),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
        f"listener.name.{CERTIFICATES.lower()}.ssl.client.auth": "required",
        f"{scram}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        f"{scram}.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }


def lasting_client(bootstrap_servers: str) -> dict[str, Any]:
    """The configuration of a client that lives through the broker's restarts.

    Without its last connection librdkafka would forget its brokers and begin from the first one again, in which it can
    lock itself up for ever (librdkafka 2.16; issue 5476), and then no time-out of a call counts.
    """
    return {
        "bootstrap.servers": bootstrap_servers,
        "metadata.recovery.strategy": "none",
        "reconnect.backoff.max.ms": 500,
        "log_level": 0,
    }


class KafkaServer(ServerProcess):
    """A broker as a context manager."""

    start_seconds = 120

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        node: int = 1,
        advertised: Mapping[str, str] | None = None,
        authority: Authority | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        """`folder`: for its data, its properties and its log (server.log); one that was used before goes on.

        `port`: where clients connect; a free one unless given. `node`: its id, if it is one of a cluster.
        `advertised`: further listeners, name → the
        "host:port" that clients are told (a proxy's, say); each is bound to a port of its own, in `ports`.
        `authority`: issues the broker's certificate and the clients', for the listeners PASSWORDS and CERTIFICATES;
        there are none without it.
        `settings`: broker settings that are added to the tests' ones, or replace them.
        """
        super().__init__("Kafka", folder / "server.log")
        self.node = node
        self._folder = folder
        secured = [PASSWORDS, CERTIFICATES] if authority else []
        names = [*dict.fromkeys(["CLIENTS", "CONTROLLER", *(advertised or {}), *secured])]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        """Listener → the port it is bound to."""
        if port is not None:
            self.ports["CLIENTS"] = port
        self.bootstrap_servers = f"127.0.0.1:{self.ports['CLIENTS']}"
        self._properties = folder / "server.properties"
        listeners = self._listeners({**(advertised or {}), **{name: self.address(name) for name in secured}})
        self._settings = {**_SETTINGS, **listeners, **(_secured(authority) if authority else {}), **(settings or {})}

    def address(self, listener: str) -> str:
        """Where a listener is bound: "host:port"."""
        return f"127.0.0.1:{self.ports[listener]}"

    def start(self) -> None:
        """Start it, or start it again on the same ports and data. Returns once it answers. Raises ServerError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _write_properties(self._properties, self._settings)
        if not (self._folder / "data").exists():
            shutil.copytree(self._formatted(), self._folder / "data")
            self._name_data()
        super().start()

    def command(self) -> list[str]:
        options = ("-Xms64m", "-Xmx512m", self._classes())
        return [*self._java(*options), "kafka.Kafka", str(self._properties)]

    def answers(self) -> bool:
        """Whether a topic could be created now, and metadata names this broker.

        A broker that was paused for longer than its session is fenced by its controller when it goes on. For a moment
        its metadata names no brokers, and a client that asks then loses its last one. The controller decides on that
        before it answers a request that came later.
        """
        admin = self.admin()
        [probe] = admin.create_topics(
            [NewTopic("probe", 1, 1)], validate_only=True, request_timeout=_PROBE_SECONDS
        ).values()
        return answered(probe.result, KafkaException) and self._is_known()

    def admin(self) -> AdminClient:
        return AdminClient(lasting_client(self.bootstrap_servers))

    def create_topic(self, name: str, partitions: int = 1, **config: str | int) -> None:
        """`config`: topic settings, with _ for the dot: max_message_bytes=1000. Raises KafkaException, ServerError."""
        properties = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin = self.admin()
        [done] = admin.create_topics([NewTopic(name, partitions, config=properties)]).values()
        done.result(_TOPIC_SECONDS)
        self._wait_for_leaders(admin, name, partitions)

    def add_partitions(self, name: str, partitions: int) -> None:
        """Give a topic more partitions, so that it has this many. Raises KafkaException, ServerError."""
        admin = self.admin()
        [done] = admin.create_partitions([NewPartitions(name, partitions)]).values()
        done.result(_TOPIC_SECONDS)
        self._wait_for_leaders(admin, name, partitions)

    def add_user(self, name: str, password: str) -> None:
        """Let a client in at PASSWORDS. Raises KafkaException."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        user = UserScramCredentialUpsertion(name, info, password.encode())
        admin = self.admin()
        [done] = admin.alter_user_scram_credentials([user]).values()
        done.result(_TOPIC_SECONDS)

    def delete_topic(self, name: str) -> None:
        """Delete a topic. Returns once one of this name can be created. Raises KafkaException, ServerError."""
        admin = self.admin()
        [done] = admin.delete_topics([name]).values()
        done.result(_TOPIC_SECONDS)
        deadline = time.monotonic() + _TOPIC_SECONDS
        while name in admin.list_topics(timeout=_TOPIC_SECONDS).topics:
            if time.monotonic() > deadline:
                raise ServerError(self._explained(f"still has topic {name} after {_TOPIC_SECONDS} s"))
            time.sleep(0.02)

    def _wait_for_leaders(self, admin: AdminClient, name: str, partitions: int) -> None:
        deadline = time.monotonic() + _TOPIC_SECONDS
        while not self._has_leaders(admin, name, partitions):
            if time.monotonic() > deadline:
                raise ServerError(self._explained(f"has no leaders of topic {name} after {_TOPIC_SECONDS} s"))
            time.sleep(0.02)

    def _listeners(self, advertised: Mapping[str, str]) -> dict[str, str]:
        told = {"CLIENTS": self.bootstrap_servers, **advertised}
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.node),
            "controller.quorum.voters": f"{self.node}@127.0.0.1:{self.ports['CONTROLLER']}",
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()),
            "advertised.listeners": ",".join(f"{name}://{address}" for name, address in told.items()),
            "inter.broker.listener.name": "CLIENTS",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(
                f"{name}:{_PROTOCOLS.get(name, 'PLAINTEXT')}" for name in self.ports
            ),
            "log.dirs": str(self._folder / "data"),
        }

    def _java(self, *options: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}"
        return [require("java", "openjdk-17-jre-headless"), *options, *_JAVA, log4j, "-cp", f"{libraries()}/*"]

    def _classes(self) -> str:
        """Return Java's option for its archive of Kafka's classes, which halves the work of a start.

        The archive is made once, next to the libraries, by a broker that starts and stops.
        """
        archive = libraries().with_name(f"{libraries().name}-classes.jsa")
        if not archive.exists():
            with archive.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not archive.exists():
                    _record_classes(archive)
        return f"-XX:SharedArchiveFile={archive}"

    def _formatted(self) -> Path:
        """Return a folder as Kafka's tool formats it: the same for all brokers, made once, next to the libraries."""
        formatted = libraries().with_name(f"{libraries().name}-formatted")
        if not formatted.is_dir():
            with tempfile.TemporaryDirectory(dir=formatted.parent) as temporary:
                made, properties = Path(temporary, "data"), Path(temporary, "server.properties")
                _write_properties(properties, self._settings | {"log.dirs": str(made)})
                command = [*self._java("-Xmx128m"), "kafka.tools.StorageTool", "format"]
                command += ["-t", _CLUSTER_ID, "-c", str(properties)]
                with self.log_file.open("ab") as log:
                    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
                if done.returncode:
                    raise ServerError(self._explained("can't format its storage"))
                try:
                    made.rename(formatted)
                except OSError:
                    # unless another process was quicker
                    if not formatted.is_dir():
                        raise
        return formatted

    def _name_data(self) -> None:
        """Make the copied folder one of this node: no two brokers may have folders of the same id."""
        file = self._folder / "data" / "meta.properties"
        lines = [line for line in file.read_text().splitlines() if not line.startswith(("node.id=", "directory.id="))]
        directory = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        file.write_text("\n".join([*lines, f"node.id={self.node}", f"directory.id={directory}", ""]))

    def _is_known(self) -> bool:
        try:
            return self.node in self.admin().list_topics(timeout=1).brokers
        except KafkaException:
            return False

    @staticmethod
    def _has_leaders(admin: AdminClient, name: str, partitions: int) -> bool:
        found: Any = admin.list_topics(name, timeout=_TOPIC_SECONDS).topics[name].partitions
        return len(found) == partitions and all(partition.leader >= 0 for partition in found.values())


class _Recorder(KafkaServer):
    """A broker that writes down at its end which classes it loaded, for others to start with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.archive = folder / "classes.jsa"

    def _classes(self) -> str:
        return f"-XX:ArchiveClassesAtExit={self.archive}"


def _record_classes(archive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent) as temporary:
        with _Recorder(Path(temporary)) as recorder:
            pass
        recorder.archive.rename(archive)
