"""DlqTopics: the DLQ topic and the audit topic, read as a read_committed reader does."""

from collections.abc import Generator
from contextlib import closing

from recording_worker.errors import ConfigError
from recording_worker.formats.timestamps import utc_text
from recording_worker.kafka.admin import Admin, LogBounds
from recording_worker.kafka.topic_reader import Stretch, first_retained_ms, read_topic, settled_bounds, whole
from recording_worker.operations.dlq.audit import AuditLog, read_audit_record
from recording_worker.operations.dlq.dead_letter import DeadLetter, Place, Selection, read_dead_letter
from recording_worker.operations.progress import ProgressBar
from recording_worker.settings.model import Settings

_AUDIT_CONFIG = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""An audit record that is gone is a message that may be sent twice."""


class DlqTopics:
    """What the commands read. Everything raises WorkerError."""

    def __init__(self, settings: Settings, progress: ProgressBar, now_ms: int) -> None:
        self._settings = settings
        self._progress = progress
        self._now_ms = now_ms
        self._admin = Admin(settings)
        self.notes: list[str] = []

    def dead_letters(self, selection: Selection) -> Generator[DeadLetter]:
        """The letters that are asked for, of those that are there now: partition by partition, oldest first."""
        topic = self._settings.dlq_topic
        bounds = settled_bounds(self._admin, topic)
        if not bounds:
            raise ConfigError(f"there is no topic {topic} (dlq_topic)")
        if strangers := sorted({place.partition for place in selection.places} - bounds.keys()):
            raise ConfigError(f"topic {topic} has no partition {', '.join(map(str, strangers))}: it has {len(bounds)}")
        for number, bound in bounds.items():
            if bound.stable_end < bound.end:
                self.notes.append(
                    f"partition {number} of {topic} has an open transaction at offset {bound.stable_end}:"
                    " what comes after was not read"
                )
        stretches = self._stretches(selection, bounds)
        with (
            self._progress("reading DLQ", sum(end - start for start, end in stretches.values())) as report,
            closing(read_topic(self._settings, topic, stretches, report)) as records,
        ):
            yield from filter(selection.matches, map(read_dead_letter, records))

    def audit_log(self) -> AuditLog:
        """The letters that are dealt with, as of now."""
        topic, dlq_topic = self._settings.dlq_audit_topic, self._settings.dlq_topic
        bounds = settled_bounds(self._admin, topic)
        if any(bound.stable_end < bound.end for bound in bounds.values()):
            raise ConfigError(f"a transaction is open on topic {topic}; try again once it has ended")
        horizon_ms = first_retained_ms(self._settings, topic, bounds, self._now_ms)
        if horizon_ms:
            self.notes.append(
                f"topic {topic} holds nothing from before {utc_text(horizon_ms)} UTC any more: of letters as old,"
                " nobody knows whether they were redriven"
            )
        log = AuditLog(dlq_topic, horizon_ms)
        stretches = whole(bounds)
        with self._progress("reading audit", sum(end - start for start, end in stretches.values())) as report:
            for record in read_topic(self._settings, topic, stretches, report):
                try:
                    log.add(read_audit_record(record.value))
                except ValueError as error:
                    raise ConfigError(
                        f"the record {record.place} is none of the dlq commands', and the audit topic holds nothing"
                        f" else: {error}"
                    ) from error
        return log

    def create_audit_topic(self) -> None:
        """Make the audit topic where it is not there yet."""
        topic = self._settings.dlq_audit_topic
        if not self._admin.partitions(topic):
            self._admin.create_topic(topic, _AUDIT_CONFIG)

    def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic; none where there is no such topic."""
        return self._admin.partitions(topic)

    def _stretches(self, selection: Selection, bounds: dict[int, LogBounds]) -> dict[int, Stretch]:
        """What has to be read to find all that is asked for."""
        stretches = whole(bounds)
        if selection.places:
            stretches = {
                number: _narrowed(stretches[number], [place for place in selection.places if place.partition == number])
                for number in {place.partition for place in selection.places}
            }
        if selection.since_ms is not None:
            found = self._admin.offsets_at(self._settings.dlq_topic, list(stretches), selection.since_ms)
            for number, offset in found.items():
                start, end = stretches[number]
                stretches[number] = Stretch(end if offset is None else max(start, offset), end)
        return stretches


def _narrowed(stretch: Stretch, places: list[Place]) -> Stretch:
    offsets = [place.offset for place in places]
    start = max(stretch.start, min(offsets))
    return Stretch(start, max(start, min(stretch.end, max(offsets) + 1)))
