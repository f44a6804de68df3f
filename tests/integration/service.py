"""`recording-worker run` as a process for the tests, and numbered messages that tell what was recorded."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zstandard
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tests import builders
from tests.waiting import wait_for

TOPIC = "recordings"
GROUP = "recorders"


class Service:
    """One supervisor with its workers, from the constructor on."""

    def __init__(
        self,
        folder: Path,
        bootstrap_servers: str,
        name: str = "host",
        *,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        """`environment`: variables in addition to the tests'; `hooks.environment` returns some."""
        self.storage = folder / "storage"
        self.storage.mkdir(exist_ok=True)
        self.log_file = folder / f"{name}.log"
        config = folder / f"{name}.toml"
        config.write_text(
            toml_text(
                {
                    "bootstrap_servers": bootstrap_servers,
                    "topic": TOPIC,
                    "group_id": GROUP,
                    "workers": 2,
                    # on the embedded broker transactions mean nothing
                    "delivery": "at_least_once",
                    "any_token": True,
                    **({} if "storage" in settings else {"storage_dir": str(self.storage)}),
                    "max_batch_age": 0.3,
                    "poll_timeout": 0.05,
                    "ops_port": 0,
                    "log_json": True,
                    # the embedded broker lets a rebalance take nearly as long
                    "kafka_consumer": {"session.timeout.ms": 2500, "heartbeat.interval.ms": 300},
                    **settings,
                }
            )
        )
        variables = {key: value for key, value in os.environ.items() if not key.startswith("RECORDING_WORKER_")}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "recording_worker", "run", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables | dict(environment or {}),
                start_new_session=True,
            )

    def log(self) -> list[dict[str, Any]]:
        """The log lines that are JSON."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines about this, each as often as it happened: lines that are alike are counted."""
        lines = [line for line in self.log() if event in line["event"]]
        return [line for line in lines for _ in range(line.get("repeated", 1))]

    def errors(self) -> list[str]:
        """What kept the service from starting."""
        return [line["event"] for line in self.log() if line["level"] == "critical"]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the ops server; 0 while there is no server."""
        servers = self.logged("ops server")
        if not servers:
            return 0, ""
        try:
            with urllib.request.urlopen(servers[0]["url"] + path, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    @property
    def address(self) -> str:
        """The host and port of the ops server."""
        url: str = self.logged("ops server")[0]["url"]
        return urlsplit(url).netloc

    def metric(self, name: str) -> dict[str, float]:
        """Labels, as written, → value."""
        found = re.findall(rf"^recording_worker_{name}(\{{.*\}})? (\S+)$", self.get("metrics")[1], re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def counts(self, name: str) -> dict[str, float]:
        """Labels, as written, → value, without what has not been counted."""
        return {labels: value for labels, value in self.metric(name).items() if value}

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log_file.read_text()
            return self.get("readyz")[0] == 200

        wait_for(ready, "the service to be ready", signs=self.signs)

    def signs(self) -> int:
        """What shows that it goes on: the length of its log."""
        return self.log_file.stat().st_size

    def worker_pids(self) -> dict[int, int]:
        """Worker → process id, of those started last."""
        return {line["worker"]: line["pid"] for line in self.logged("worker started")}

    def status(self) -> Any:
        """What /status.json says; nothing while there is no server."""
        return json.loads(self.get("status.json")[1] or "{}")

    def partitions(self) -> set[int]:
        """What is in workers' hands."""
        known = self.status().get("partitions", [])
        return {each["number"] for each in known if each["worker"] is not None and not each["note"]}

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def interrupt(self) -> int:
        """Ctrl-C: SIGINT to the whole process group; returns the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Traffic:
    """Numbered messages, spread over partitions."""

    def __init__(self, bootstrap_servers: str, partitions: int, *, topic: str = TOPIC, group: str = GROUP) -> None:
        # asks for the group's offsets, and is no member of it
        self._client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 0})
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        self._topic = topic
        self._partitions = partitions
        self.sessions = 40
        """How many the messages are of, in turn."""
        self.sent = 0

    def close(self) -> None:
        self._client.close()
        self._producer.close()

    def send(self, messages: int, text: str = "", *, age: float = 0.0) -> None:
        """Send some more, each with this text in its event, `age` seconds ago; wait for their acknowledgement."""
        now = int((time.time() - age) * 1000)
        failures: list[object] = []
        for number in range(self.sent, self.sent + messages):
            session = f"session-{number % self.sessions}"
            event = builders.event(now, type=5, number=number, text=text)
            self._producer.produce(
                self._topic,
                partition=number % self._partitions,
                key=session.encode(),
                value=gzip.compress(builders.value([event], session_id=session)),
                headers=[*builders.headers(session_id=session)],
                timestamp=now,
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
        assert self._producer.flush(30) == 0
        assert not failures
        self.sent += messages

    def ends(self) -> dict[int, int]:
        """Partition → the log's end."""
        return {
            number: self._client.get_watermark_offsets(TopicPartition(self._topic, number), timeout=10)[1]
            for number in range(self._partitions)
        }

    def committed(self) -> dict[int, int]:
        """Partition → what the group has committed; nothing while a broker that was started again loads its groups."""
        asked = [TopicPartition(self._topic, number) for number in range(self._partitions)]
        try:
            return {at.partition: at.offset for at in self._client.committed(asked, timeout=10)}
        except KafkaException as problem:
            if problem.args[0].code() in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS):
                return {}
            raise

    def wait_until_committed(self, service: Service | None = None) -> None:
        """Wait while the group commits something now and then, or this service logs something."""
        ends = self.ends()

        def signs() -> object:
            return self.committed(), service and service.signs()

        wait_for(lambda: self.committed() == ends, f"the group to commit {ends}", signs=signs)


def recorded(storage: Path) -> Counter[int]:
    """Message number → how often it is in the batch files."""
    return numbers_in(path.read_bytes() for path in sorted(storage.rglob("*")) if path.is_file())


def numbers_in(contents: Iterable[bytes]) -> Counter[int]:
    """The same of batch files of these contents."""
    numbers: Counter[int] = Counter()
    for content in contents:
        with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as lines:
            numbers.update(json.loads(line)[1]["data"]["number"] for line in lines.read().splitlines())
    return numbers


def read_topic(bootstrap_servers: str, topic: str) -> list[Any]:
    """All records of a topic of one partition, as JSON."""
    client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "readers", "log_level": 0})
    at = TopicPartition(topic, 0, 0)
    _, end = client.get_watermark_offsets(at, timeout=10)
    client.assign([at])
    values: list[Any] = []
    while len(values) < end:
        values += [json.loads(message.value() or b"null") for message in client.consume(end - len(values), 10)]
    client.close()
    return values


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def toml_text(settings: Mapping[str, Any]) -> str:
    """The settings as a TOML file: tables last, whatever their place."""
    tables: Iterable[tuple[str, Any]] = [(name, value) for name, value in settings.items() if isinstance(value, dict)]
    flat = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items() if not isinstance(value, dict))
    return flat + "".join(
        f"[{name}]\n" + "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables
    )
