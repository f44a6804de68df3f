"""record_session_event: each message's events into the block of its session."""

from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step


class RecordSessionEvent(Step):
    """Reads `decoded`, `teams`; adds to `session_batch`. Ends rows of sessions over the event limit: drop.

    What the session batch held of such a session is taken out of it again, and counted.
    """

    name = "record_session_event"

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def run(self, batch: MessageBatch) -> None:
        session_batch, decoded = batch.session_batch, batch.decoded
        if session_batch is None or decoded is None:
            return
        events = 0
        discarded = session_batch.discarded_events
        for row in batch.ok_rows():
            team, retention = batch.teams[row], batch.retentions[row]
            assert team is not None
            assert retention is not None
            if session_batch.record(batch.partitions[row], batch.offsets[row], team, retention, decoded, row):
                events += decoded.event_count(row)
            else:
                text = "the session has more events in this batch than max_events_per_session_per_batch"
                batch.end(row, Disposition.DROP, Reason.SESSION_EVENT_LIMIT, self.name, text)
        self._metrics.events.inc(events)
        if session_batch.discarded_events > discarded:
            reason = Reason.SESSION_EVENT_LIMIT.label
            self._metrics.events_discarded.labels(reason).inc(session_batch.discarded_events - discarded)
