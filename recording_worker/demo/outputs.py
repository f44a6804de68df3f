"""Reads what came out of a run: from the DLQ and overflow topics, the metrics, and the batch files' indexes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import Metric

from recording_worker.demo.traffic import Outcome
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.formats.dlq_headers import REASON
from recording_worker.kafka.topic_tail import TopicTail
from recording_worker.messages import Record
from recording_worker.outcome import Disposition, Reason
from recording_worker.reading.batch_files import read_blocks
from recording_worker.settings.model import Settings
from recording_worker.storage.local.file import find_files


class DivertedCounter:
    """Counts the messages that the service put on the DLQ and on the overflow topic, while it runs.

    They are read at once, because the embedded broker keeps only 5 MiB of a partition.
    """

    def __init__(self, settings: Settings) -> None:
        self._dlq_topic = settings.dlq_topic
        self._tail = TopicTail(settings, (settings.dlq_topic, settings.overflow_topic))
        self.outcomes: Counter[Outcome] = Counter()

    def count(self) -> None:
        """Count what has come since the last call. Raises WorkerError."""
        self.outcomes.update(map(self._outcome, self._tail.read()))

    def count_rest(self) -> None:
        """Count what is left, and stop reading. Raises WorkerError."""
        self.outcomes.update(map(self._outcome, self._tail.read_to_end()))

    def _outcome(self, record: Record) -> Outcome:
        if record.topic == self._dlq_topic:
            label = next(value for name, value in reversed(record.headers) if name == REASON and value is not None)
            return Outcome(Disposition.DLQ, Reason[label.decode().upper()])
        return Outcome(Disposition.REDIRECT, Reason.OVERFLOW_FORCED)


def received_of_metrics(families: Iterable[Metric]) -> int:
    """Return how many messages the service has read, as its /metrics counts them."""
    samples = (sample for family in families for sample in family.samples)
    return sum(round(sample.value) for sample in samples if sample.name == "recording_worker_messages_received_total")


def dropped_of_metrics(families: Iterable[Metric]) -> Counter[Outcome]:
    """Return the dropped messages by reason, as the service's /metrics counts them."""
    drops: Counter[Outcome] = Counter()
    for family in families:
        for sample in family.samples:
            if sample.name == "recording_worker_messages_total" and sample.labels["disposition"] == "drop":
                drops[Outcome(Disposition.DROP, Reason[sample.labels["reason"].upper()])] += round(sample.value)
    return drops


@dataclass(slots=True)
class Recorded:
    """What batch files hold, according to their indexes."""

    messages: dict[tuple[str, int], int] = field(default_factory=dict)
    """The number of events of each recorded message, by (source, offset)."""
    repeated: int = 0
    """How many copies there are of messages that were already recorded."""
    blocks: int = 0
    files: int = 0
    sessions: Counter[str] = field(default_factory=Counter)
    """The number of events of each session, by its id."""

    @property
    def events(self) -> int:
        return sum(self.messages.values())


def recorded_in(folder: Path) -> Recorded:
    """Read the indexes of all batch files in a folder. Raises BatchFileError for a file that is not a batch file."""
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
