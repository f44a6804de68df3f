"""A DLQ on a real Kafka for the tests, with hand-made letters."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from recording_worker.formats.dlq_headers import Source, dlq_headers
from recording_worker.messages import Headers
from tests import builders
from tests.integration.command import Result, run, start

PARTITIONS = 2


class DlqStage:
    """A source topic and a DLQ of two partitions each. The audit topic does not exist yet."""

    def __init__(self, bootstrap_servers: str, new_topic: Callable[..., str], folder: Path) -> None:
        self.servers = bootstrap_servers
        self.source, self.dlq = new_topic(PARTITIONS), new_topic(PARTITIONS)
        self.audit = f"{self.dlq}-audit"
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        self.config = folder / "dlq.toml"
        self.use(bootstrap_servers)
        self.sent = 0
        """Letters sent. Each belongs to another message, whose source offset and value are the letter's number."""

    def use(self, bootstrap_servers: str) -> None:
        """Choose the brokers that the commands connect to."""
        names = {"bootstrap_servers": bootstrap_servers, "dlq_topic": self.dlq, "dlq_audit_topic": self.audit}
        self.config.write_text("".join(f'{name} = "{value}"\n' for name, value in names.items()))

    def letters(
        self,
        number: int = 1,
        *,
        reason: str = "invalid_json",
        step: str = "parse_session_recording_message",
        timestamp_ms: int = 0,
        source: str | None = None,
        **headers: str | None,
    ) -> None:
        """Send some letters, to each DLQ partition in turn. The source partition has the same number."""
        for _ in range(number):
            partition = self.sent % PARTITIONS
            why = dlq_headers(
                Source(self.source if source is None else source, partition, self.sent, builders.NOW_MS),
                reason=reason,
                step=step,
                error=f"what is wrong with {self.sent}",
            )
            self.letter(b"%d" % self.sent, [*builders.headers(**headers), *why], partition, timestamp_ms=timestamp_ms)
            self.sent += 1

    def letter(
        self,
        value: bytes | None,
        headers: Headers,
        partition: int = 0,
        *,
        key: bytes | None = b"session-1",
        timestamp_ms: int = 0,
    ) -> None:
        """Send one record to the DLQ."""
        self.produce(self.dlq, value, headers, partition, key=key, timestamp_ms=timestamp_ms)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        headers: Headers = (),
        partition: int = 0,
        *,
        key: bytes | None = None,
        timestamp_ms: int = 0,
    ) -> None:
        """Send one record."""
        failures: list[object] = []
        self._producer.produce(
            topic,
            value,
            key,
            partition=partition,
            headers=[*headers],
            timestamp=timestamp_ms,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        assert self._producer.flush(30) == 0
        assert failures == []

    def run(self, command: str, *arguments: str | Path) -> Result:
        return run("dlq", command, "--config", self.config, *arguments)

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        return start("dlq", command, "--config", self.config, *arguments)

    def done(self, command: str, *arguments: str) -> str:
        """Run a command that must succeed; return what it prints."""
        result = self.run(command, *arguments)
        assert result.code == 0, result
        return result.out

    def listed(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.done("list", "--json", *arguments))
        return found

    def numbers(self, *arguments: str) -> list[int]:
        """The numbers of the letters that are listed."""
        found = self.listed("--limit", "1000000", *arguments)
        return sorted(letter["source"]["offset"] for letter in found["letters"])

    def sent_back(self, topic: str | None = None) -> Counter[int]:
        """Number of a letter → how often its message is in the source topic, for a read_committed reader."""
        return Counter(int(message.value()) for message in self.read(topic or self.source))

    def audited(self) -> list[dict[str, Any]]:
        """The audit records."""
        return [json.loads(message.value()) for message in self.read(self.audit)]

    def read(self, topic: str) -> list[Any]:
        """The messages that a read_committed reader finds in a topic, partition by partition."""
        settings = {"group.id": "readers", "isolation.level": "read_committed", "enable.partition.eof": True}
        messages: list[Any] = []
        with closing(Consumer({"bootstrap.servers": self.servers, "log_level": 0, **settings})) as client:
            partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
            for number in sorted(partitions):
                client.assign([TopicPartition(topic, number, 0)])
                while True:
                    [message] = client.consume(1, 30)
                    error = message.error()
                    if error is not None:
                        assert error.code() == KafkaError._PARTITION_EOF, error
                        break
                    messages.append(message)
        return messages
