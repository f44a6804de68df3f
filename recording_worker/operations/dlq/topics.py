"""DlqTopics: reads the DLQ topic and the audit topic as a read_committed reader."""

from collections.abc import Collection, Generator
from contextlib import closing

from recording_worker.errors import ConfigError
from recording_worker.formats.timestamps import utc_text
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.topic_reader import OffsetRange
from recording_worker.kafka.topic_snapshot import TopicSnapshot
from recording_worker.operations.dlq.audit import AuditLog, read_audit_record
from recording_worker.operations.dlq.dead_letter import DeadLetter, Place, Selection, read_dead_letter
from recording_worker.progress import ProgressBar
from recording_worker.settings.model import Settings

_AUDIT_CONFIG = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Keeps all audit records: without its audit record a message may be sent twice."""


class DlqTopics:
    """What the dlq commands read. Everything raises WorkerError."""

    def __init__(self, settings: Settings, progress: ProgressBar, now_ms: int) -> None:
        self._settings = settings
        self._progress = progress
        self._now_ms = now_ms
        self._admin = Admin(settings)
        self.notes: list[str] = []

    def dead_letters(self, selection: Selection) -> Generator[DeadLetter]:
        """Yield the wanted letters that exist now. The letters of one partition come in order."""
        snapshot = TopicSnapshot.take(self._settings, self._admin, self._settings.dlq_topic)
        topic, partitions = snapshot.topic, snapshot.partitions
        if not partitions:
            raise ConfigError(f"there is no topic {topic} (dlq_topic)")
        if unknown := sorted({place.partition for place in selection.places} - {*partitions}):
            raise ConfigError(
                f"topic {topic} has no partition {', '.join(map(str, unknown))}: it has {len(partitions)}"
            )
        self.notes += snapshot.unread_notes()
        if selection.places:
            snapshot = snapshot.narrowed(_ranges(selection.places))
        if selection.since_ms is not None:
            snapshot = snapshot.since(selection.since_ms)
        with closing(snapshot.records("reading DLQ", self._progress)) as records:
            yield from filter(selection.matches, map(read_dead_letter, records))

    def audit_log(self) -> AuditLog:
        """Read what has been done about dead letters up to now."""
        snapshot = TopicSnapshot.take(self._settings, self._admin, self._settings.dlq_audit_topic)
        topic = snapshot.topic
        if snapshot.open_transactions:
            raise ConfigError(f"a transaction is open on topic {topic}; try again once it has ended")
        horizon_ms = snapshot.complete_since_ms(self._now_ms)
        if horizon_ms:
            self.notes.append(
                f"topic {topic} no longer holds anything from before {utc_text(horizon_ms)} UTC: nobody knows whether"
                " older letters were redriven"
            )
        log = AuditLog(self._settings.dlq_topic, horizon_ms)
        for record in snapshot.records("reading audit", self._progress):
            try:
                log.add(read_audit_record(record.value))
            except ValueError as error:
                raise ConfigError(
                    f"the record {record.place} was not written by a dlq command, and the audit topic must hold"
                    f" nothing else: {error}"
                ) from error
        return log

    def create_audit_topic(self) -> None:
        """Make the audit topic, if it is not there yet."""
        topic = self._settings.dlq_audit_topic
        if not self._admin.partitions(topic):
            self._admin.create_topic(topic, _AUDIT_CONFIG)

    def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic; an empty list if there is no such topic."""
        return self._admin.partitions(topic)


def _ranges(places: Collection[Place]) -> dict[int, OffsetRange]:
    """Partition → the offsets from the first of the places in it to the last."""
    offsets: dict[int, list[int]] = {}
    for place in places:
        offsets.setdefault(place.partition, []).append(place.offset)
    return {number: OffsetRange(min(found), max(found) + 1) for number, found in offsets.items()}
