"""KafkaServer: one broker that is its own controller, in a folder of its own, quick to start and easy to hurt."""

import base64
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.servers.kafka.distribution import KafkaError, libraries, require

_CLUSTER_ID = base64.urlsafe_b64encode(b"recording-worker").decode().rstrip("=")
_START_SECONDS = 60
_STOP_SECONDS = 30
_LOG_TAIL_LINES = 30

_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
"""Quick to start and small, rather than fast in the long run."""

_SETTINGS = {
    # internal topics: one broker, few partitions
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "auto.create.topics.enable": "false",
    # tests don't wait; a broker that was killed may come back once its session has ended
    "broker.session.timeout.ms": 1500,
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


class KafkaServer:
    """A broker as a context manager; it ends with the thread that started it, whatever happens to that."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        advertised: Mapping[str, str] | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        """`folder`: for its data, its properties and its log (server.log); one that was used before goes on.

        `port`: where clients connect; a free one unless given. `advertised`: further listeners, name → the
        "host:port" that clients are told (a proxy's, say); each is bound to a port of its own, in `ports`.
        `settings`: broker settings that are added to the tests' ones, or replace them.
        """
        self._folder = folder
        names = ["CLIENTS", "CONTROLLER", *(advertised or {})]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        """Listener → the port it is bound to."""
        if port is not None:
            self.ports["CLIENTS"] = port
        self.bootstrap_servers = f"127.0.0.1:{self.ports['CLIENTS']}"
        self.log_file = folder / "server.log"
        self._properties = folder / "server.properties"
        self._settings = {**_SETTINGS, **self._listeners(advertised or {}), **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Start it, or start it again on the same ports and data; returns once it answers. Raises KafkaError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}\n" for name, value in self._settings.items()]
        self._properties.write_text("".join(lines))
        if not (self._folder / "data" / "meta.properties").exists():
            self._format()
        # dies with the thread that starts it
        command = [require("setpriv"), "--pdeathsig", "KILL", *self._java("-Xms64m", "-Xmx512m")]
        command += ["kafka.Kafka", str(self._properties)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """SIGTERM, and wait: a clean end. Nothing if it does not run."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise KafkaError(self._explained(f"Kafka did not stop within {_STOP_SECONDS} s")) from None
            self._process = None

    def kill(self) -> None:
        """SIGKILL. Nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay, nobody answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def admin(self) -> AdminClient:
        return AdminClient(lasting_client(self.bootstrap_servers))

    def create_topic(self, name: str, partitions: int = 1, **config: str | int) -> None:
        """`config`: topic settings, with _ for the dot: max_message_bytes=1000. Raises KafkaException."""
        properties = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin = self.admin()
        [done] = admin.create_topics([NewTopic(name, partitions, 1, config=properties)]).values()
        done.result(_START_SECONDS)
        deadline = time.monotonic() + _START_SECONDS
        while not self._has_leaders(admin, name, partitions):
            if time.monotonic() > deadline:
                raise KafkaError(self._explained(f"topic {name} has no leaders after {_START_SECONDS} s"))
            time.sleep(0.02)

    def log_tail(self) -> str:
        """The last lines of its log."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _listeners(self, advertised: Mapping[str, str]) -> dict[str, str]:
        told = {"CLIENTS": self.bootstrap_servers, **advertised}
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.ports['CONTROLLER']}",
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()),
            "advertised.listeners": ",".join(f"{name}://{address}" for name, address in told.items()),
            "inter.broker.listener.name": "CLIENTS",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in self.ports),
            "log.dirs": str(self._folder / "data"),
        }

    def _java(self, *options: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}"
        return [require("java"), *options, *_JAVA, log4j, "-cp", f"{libraries()}/*"]

    def _format(self) -> None:
        command = [*self._java("-Xmx128m"), "kafka.tools.StorageTool", "format"]
        command += ["-t", _CLUSTER_ID, "-c", str(self._properties)]
        with self.log_file.open("ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise KafkaError(self._explained("Kafka's storage could not be formatted"))

    def _wait_until_it_answers(self) -> None:
        process = self._running()
        client = AdminClient({**lasting_client(self.bootstrap_servers), "reconnect.backoff.max.ms": 100})
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if client.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                pass  # not yet
            if process.poll() is not None:
                raise KafkaError(self._explained(f"Kafka ended with code {process.returncode}"))
            if time.monotonic() > deadline:
                raise KafkaError(self._explained(f"Kafka does not answer after {_START_SECONDS} s"))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise KafkaError("Kafka does not run")
        return self._process

    def _explained(self, problem: str) -> str:
        return f"{problem}; its log ({self.log_file}) ends with:\n{self.log_tail()}"

    @staticmethod
    def _has_leaders(admin: AdminClient, name: str, partitions: int) -> bool:
        found: Any = admin.list_topics(name, timeout=_START_SECONDS).topics[name].partitions
        return len(found) == partitions and all(partition.leader >= 0 for partition in found.values())


def free_ports(number: int) -> list[int]:
    """Ports nobody listens on, below those the system gives to outgoing connections.

    Of those a client that tries to reach a stopped broker could get the broker's own port, and talk to itself.
    """
    ports: set[int] = set()
    while len(ports) < number:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.add(port)
    return sorted(ports)
