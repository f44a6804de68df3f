"""The broker of a run: a real Kafka on cores of its own, its topics, and what a group has committed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from benchmarks.contenders.process import ContenderError
from benchmarks.end_to_end.loads import partition_of
from benchmarks.end_to_end.machine import pinned
from recording_worker.messages import Message
from recording_worker.settings.model import Settings
from tests.servers.kafka import KafkaServer

_ACKNOWLEDGE_SECONDS = 120
_TIMEOUT = 10


class PinnedKafka(KafkaServer):
    """A broker that stays on its cores."""

    def __init__(self, folder: Path, cores: Sequence[int]) -> None:
        super().__init__(folder)
        self._cores = cores

    def command(self) -> list[str]:
        return [*pinned(self._cores), *super().command()]

    def create_output_topics(self) -> None:
        """Create the topics that the product writes to."""
        names = Settings()
        outputs = (names.metadata_topic, names.console_logs_topic, names.warnings_topic, names.dlq_topic)
        for topic in (*outputs, names.overflow_topic):
            self.create_topic(topic)


def fill(bootstrap_servers: str, topic: str, partitions: int, messages: Iterable[Message]) -> None:
    """Put the messages into a topic, each session's into one partition, and wait until all are acknowledged.

    Raises ContenderError if the broker refuses one.
    """
    refused: list[str] = []

    def acknowledged(error: KafkaError | None, _: object) -> None:
        if error is not None:
            refused.append(error.str())

    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": 50,
            "batch.size": 4_000_000,
            "message.max.bytes": 100_000_000,
            "queue.buffering.max.kbytes": 262_144,
        }
    )
    for message in messages:
        assert message.key is not None
        while True:
            try:
                producer.produce(
                    topic,
                    partition=partition_of(message.key, partitions),
                    key=message.key,
                    value=message.value,
                    headers=[*message.headers],
                    timestamp=message.timestamp_ms,
                    on_delivery=acknowledged,
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(_ACKNOWLEDGE_SECONDS) or refused:
        raise ContenderError(f"the broker does not take the load: {refused[0] if refused else 'no answer'}")


class Group:
    """Looks at a group's committed offsets, without being a member."""

    def __init__(self, bootstrap_servers: str, group: str, topic: str, partitions: int) -> None:
        self._client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 0})
        self._at = [TopicPartition(topic, number) for number in range(partitions)]
        self._ends = {at.partition: self._client.get_watermark_offsets(at, timeout=_TIMEOUT)[1] for at in self._at}

    def has_read_all(self) -> bool:
        """Return whether the group has committed the end of each partition that has messages."""
        committed = {at.partition: at.offset for at in self._client.committed(self._at, timeout=_TIMEOUT)}
        return all(committed[number] >= end for number, end in self._ends.items() if end)

    def close(self) -> None:
        self._client.close()
