"""record_session_event: adds the events of each message to the block of its session."""

import structlog

from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step

log = structlog.get_logger()


class RecordSessionEvent(Step):
    """Reads `decoded`, `teams`; adds to `session_batch`. Ends rows of sessions over the event limit: drop.

    Such a session is taken out of the session batch again, and its events are counted. Logs each batch of the
    `debug_partition`.
    """

    name = "record_session_event"

    def __init__(self, metrics: Metrics, debug_partition: int | None = None) -> None:
        self._metrics = metrics
        self._debug_partition = debug_partition

    def run(self, batch: MessageBatch) -> None:
        session_batch, decoded = batch.session_batch, batch.decoded
        if session_batch is None or decoded is None:
            return
        self._metrics.sessions_revoked.set(0)  # recording goes on
        events = 0
        discarded = session_batch.discarded_events
        sizes: list[int] = []
        for row in batch.ok_rows():
            team, retention = batch.teams[row], batch.retentions[row]
            assert team is not None
            assert retention is not None
            if session_batch.record(batch.partitions[row], batch.offsets[row], team, retention, decoded, row):
                events += decoded.event_count(row)
                sizes.append(decoded.line_bytes(row))
            else:
                text = "the session has more events in this batch than max_events_per_session_per_batch"
                batch.end(row, Disposition.DROP, Reason.SESSION_EVENT_LIMIT, self.name, text)
        self._metrics.events.inc(events)
        self._metrics.recorded_message_bytes.observe_all(sizes)
        if session_batch.discarded_events > discarded:
            reason = Reason.SESSION_EVENT_LIMIT.label
            self._metrics.events_discarded.labels(reason).inc(session_batch.discarded_events - discarded)
        if self._debug_partition in batch.partitions:
            self._log(batch, self._debug_partition)

    def _log(self, batch: MessageBatch, partition: int) -> None:
        rows = [row for row, number in enumerate(batch.partitions) if number == partition]
        log.debug(
            "batch",
            partition=partition,
            messages=len(rows),
            first_offset=batch.offsets[rows[0]],
            last_offset=batch.offsets[rows[-1]],
            bytes=sum(len(batch.values[row] or b"") for row in rows),
            ended=[(batch.offsets[row], *batch.errors[row]) for row in rows if row in batch.errors],
        )
