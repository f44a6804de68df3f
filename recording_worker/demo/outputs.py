"""What came out of a run: the DLQ and overflow topics, the metrics, and the batch files' own indexes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from prometheus_client import Metric

from recording_worker.demo.traffic import Outcome
from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.formats.dlq_headers import REASON
from recording_worker.kafka.clients import QUIET_LOGGER
from recording_worker.outcome import Disposition, Reason
from recording_worker.reading.batch_files import read_blocks
from recording_worker.storage.local import find_files

_TIMEOUT = 10.0


class TopicReader:
    """Reads the DLQ and the overflow topic, from their beginning, beside the service."""

    def __init__(self, bootstrap_servers: str, dlq_topic: str, overflow_topic: str) -> None:
        self._dlq_topic = dlq_topic
        config = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "demo-check",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
        self._consumer = Consumer(config, logger=QUIET_LOGGER)
        self._positions: dict[tuple[str, int], int] = {}
        partitions = []
        for topic in (dlq_topic, overflow_topic):
            for number in self._consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic].partitions:
                partitions.append(TopicPartition(topic, number, OFFSET_BEGINNING))
                self._positions[topic, number] = 0
        self._consumer.assign(partitions)
        self.outcomes: Counter[Outcome] = Counter()

    def read(self, timeout: float = 0) -> None:
        """Count what is there."""
        for message in self._consumer.consume(1000, timeout):
            if message.error() is not None:
                raise WorkerError(f"can't read {message.topic()}: {message.error()}")
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            assert topic is not None
            assert partition is not None
            assert offset is not None
            self._positions[topic, partition] = offset + 1
            if topic == self._dlq_topic:
                reason = dict(message.headers() or [])[REASON]
                assert isinstance(reason, bytes)
                self.outcomes[Outcome(Disposition.DLQ, Reason[reason.decode().upper()])] += 1
            else:
                self.outcomes[Outcome(Disposition.REDIRECT, Reason.OVERFLOW_FORCED)] += 1

    def read_to_end(self) -> None:
        """Count the rest. Raises WorkerError."""
        try:
            for (topic, number), position in list(self._positions.items()):
                _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_TIMEOUT)
                while position < end:
                    self.read(timeout=0.1)
                    position = self._positions[topic, number]
        except KafkaException as problem:
            raise WorkerError(f"can't read the DLQ and overflow topics: {problem.args[0].str()}") from None
        finally:
            self._consumer.close()


def dropped_of_metrics(families: Iterable[Metric]) -> Counter[Outcome]:
    """Dropped messages by reason, as the service's /metrics count them."""
    drops: Counter[Outcome] = Counter()
    for family in families:
        for sample in family.samples:
            if sample.name == "recording_worker_messages_total" and sample.labels["disposition"] == "drop":
                drops[Outcome(Disposition.DROP, Reason[sample.labels["reason"].upper()])] += round(sample.value)
    return drops


@dataclass(slots=True)
class Recorded:
    """What batch files hold, by their own indexes."""

    messages: dict[tuple[str, int], int] = field(default_factory=dict)
    """(source, offset) of each recorded message → its events."""
    repeated: int = 0
    """Further copies of messages that are recorded more than once."""
    blocks: int = 0
    files: int = 0
    sessions: Counter[str] = field(default_factory=Counter)
    """Session id → events."""

    @property
    def events(self) -> int:
        return sum(self.messages.values())


def recorded_in(folder: Path) -> Recorded:
    """Read the indexes of all batch files of a folder. Raises BatchFileError for a file that is none."""
    recorded = Recorded()
    for blocks in read_blocks(find_files([str(folder)])):
        if isinstance(blocks, BatchFileError):
            raise blocks
        recorded.files += 1
        recorded.blocks += len(blocks)
        for entry in (block.entry for block in blocks):
            recorded.sessions[entry.session_id] += entry.events
            for offset, lines in entry.messages:
                recorded.repeated += (entry.source, offset) in recorded.messages
                recorded.messages[entry.source, offset] = lines
    return recorded
