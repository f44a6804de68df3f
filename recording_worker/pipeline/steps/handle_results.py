"""handle_results: sends each message on that has to go elsewhere, and counts the messages as processed."""

from recording_worker.clock import Clock
from recording_worker.formats.dlq_headers import Source, as_posthog, dlq_headers
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step
from recording_worker.settings.choices import DlqHeaders


class HandleResults(Step):
    """Reads dispositions and reasons; adds the DLQ, overflow and backfill records.

    The records leave with the offsets of the session batch, so a message is never acknowledged before its record is.
    """

    name = "handle_results"

    def __init__(
        self,
        dlq_topic: str,
        overflow_topic: str,
        backfill_topic: str,
        clock: Clock,
        metrics: Metrics,
        headers: DlqHeaders = DlqHeaders.DASHES,
    ) -> None:
        self._dlq_topic = dlq_topic
        self._clock = clock
        self._headers = headers
        self._overflow_topic = overflow_topic
        self._backfill_topic = backfill_topic
        self._processed = {
            disposition: metrics.messages_processed.labels(disposition.label)
            for disposition in Disposition
            if disposition.is_final
        }

    def run(self, batch: MessageBatch) -> None:
        for row in batch.rows_that_are(Disposition.DLQ):
            batch.records.append((batch.partitions[row], self._dlq_record(batch, row)))
        for row in batch.rows_that_are(Disposition.REDIRECT):
            batch.records.append((batch.partitions[row], self._redirected_record(batch, row)))
        for disposition, processed in self._processed.items():
            processed.inc(batch.dispositions.count(disposition))

    def _dlq_record(self, batch: MessageBatch, row: int) -> OutputRecord:
        """Return the message unchanged, with headers added that say where it came from, and why and where it ended."""
        step, error = batch.why(row)
        message = batch.message(row)
        source = Source(batch.topic, message.partition, message.offset, message.timestamp_ms, batch.topic_id)
        why = dlq_headers(source, reason=Reason(batch.reasons[row]).label, step=step, error=error)
        if self._headers is DlqHeaders.POSTHOG:
            why = as_posthog(why, self._clock.now_ms())
        headers = [*message.headers, *why]
        return OutputRecord(self._dlq_topic, message.key, message.value, headers, 0, as_it_came=True)

    def _redirected_record(self, batch: MessageBatch, row: int) -> OutputRecord:
        message = batch.message(row)
        topic = self._backfill_topic if batch.reasons[row] == Reason.LAG_SHED else self._overflow_topic
        timestamp_ms = max(message.timestamp_ms, 0)
        return OutputRecord(topic, message.key, message.value, message.headers, timestamp_ms, as_it_came=True)
