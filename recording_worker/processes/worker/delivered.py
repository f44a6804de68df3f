"""Counts what is delivered: a message counts once, however often it was read before that."""

import time
from collections.abc import Iterable

from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.recording.flush import FlushedPartition
from recording_worker.recording.session_batch import Since


def count_delivered(parts: Iterable[tuple[int, FlushedPartition]], metrics: Metrics) -> None:
    """Count the messages of these partitions' parts of a batch, and how long they took until now.

    Their times are known to the second.
    """
    now = time.time()
    for number, part in parts:
        ended, held, warned = part.counts
        for (disposition, reason), messages in ended.items():
            label = Reason(reason).label if reason else ""
            metrics.messages.labels(Disposition(disposition).label, label).inc(messages)
        metrics.partition_messages.labels(number).inc(ended.total())
        metrics.events.inc(held.events)
        metrics.events_discarded.labels(Reason.SESSION_EVENT_LIMIT.label).inc(held.discarded_events)
        metrics.recorded_message_bytes.observe_sum(held.messages, held.line_bytes)
        metrics.console_logs.inc(held.console_logs_stored)
        metrics.console_logs_left_out.inc(held.console_logs_left_out)
        for kind, warnings in warned.items():
            metrics.warnings.labels(kind).inc(warnings)
        for since in Since:
            metrics.latency_seconds.labels(since).observe_many(
                (max(0.0, now - second - 0.5), messages)
                for (each, second), messages in part.seconds.items()
                if each is since
            )
