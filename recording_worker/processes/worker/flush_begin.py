"""FlushBegin: what a worker does before it stores a session batch."""

from collections.abc import Iterable, Mapping

from recording_worker.formats.source import source_topic
from recording_worker.kafka.topic_id import TopicGuard
from recording_worker.processes.control import Flushing, WorkerChannel
from recording_worker.processes.worker.assignment import Assignment
from recording_worker.settings.model import Settings


class FlushBegin:
    """Tells the supervisor what a flush holds, and makes sure that the topic is the one that was read."""

    def __init__(self, settings: Settings, assignment: Assignment, channel: WorkerChannel, guard: TopicGuard) -> None:
        self._topic = settings.topic
        self._assignment = assignment
        self._channel = channel
        self._guard = guard

    def report(self, offsets: Mapping[int, int]) -> None:
        """Report the flush. `offsets`: partition → the next one to read once it is delivered."""
        held = self._assignment.placements(offsets)
        self._channel.send(Flushing(tuple(at._replace(offset=offsets[at.partition]) for at in held)))

    def name_sources(self, partitions: Iterable[int]) -> dict[int, str]:
        """Return the sources of the partitions that are held; see Flusher. Raises FlushError."""
        # known before the check, for a partition may be lost meanwhile
        topic_ids = self._assignment.topic_ids(partitions)
        for topic_id in set(topic_ids.values()):
            self._guard.check(topic_id)
        return {number: f"{source_topic(self._topic, of)}/{number}" for number, of in topic_ids.items()}
