"""handle_results: sends each message on that has to go elsewhere, and counts the messages as processed."""

import logging
from collections import Counter

import structlog

from recording_worker.clock import Clock
from recording_worker.formats.dlq_headers import Source, as_posthog, dlq_headers
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step
from recording_worker.settings.choices import DlqHeaders

log = structlog.get_logger()


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
        *,
        names_dlq_messages: bool = True,
    ) -> None:
        """`names_dlq_messages`: whether to log how many messages go to the DLQ, and why."""
        self._names_dlq_messages = names_dlq_messages
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
        if log.is_enabled_for(logging.DEBUG):
            _log_decisions(batch)
        if self._names_dlq_messages:
            _log_dlq_messages(batch)

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


def _log_dlq_messages(batch: MessageBatch) -> None:
    """Log how many messages go to the DLQ for each reason, and where the last of them is. Its content stays out."""
    counts: Counter[int] = Counter()
    last: dict[int, int] = {}
    for row in batch.rows_that_are(Disposition.DLQ):
        counts[batch.reasons[row]] += 1
        last[batch.reasons[row]] = row
    for reason, messages in counts.items():
        row = last[reason]
        log.warning(
            "messages go to the DLQ",
            reason=Reason(reason).label,
            messages=messages,
            step=batch.why(row)[0],
            partition=batch.partitions[row],
            offset=batch.offsets[row],
            fold_by=reason,
        )


def _log_decisions(batch: MessageBatch) -> None:
    for (partition, disposition, reason), messages in batch.outcomes().items():
        log.debug(
            "messages decided on",
            partition=partition,
            disposition=Disposition(disposition).label,
            reason=Reason(reason).label if reason else "",
            messages=messages,
        )
