"""Metrics of session batches and of their flush to storage."""

from recording_worker.metrics.family import CounterFamily, GaugeFamily, HistogramFamily, Label


class FlushMetrics:
    """Session batches, and their flush to storage."""

    flushes = CounterFamily(
        "flushes",
        "Flushed session batches, by why they were flushed.",
        Label("reason", ("size", "age", "memory", "revoke", "stop", "isolation")),
    )
    flush_seconds = HistogramFamily(
        "flush_seconds",
        "Time of a flush, from compression to delivery.",
        buckets=(0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 30, 60),
    )
    flushed_sessions = CounterFamily("flushed_sessions", "Sessions (blocks) written.")
    flushed_events = CounterFamily("flushed_events", "Events written.")
    flushed_bytes = CounterFamily("flushed_bytes", "Size of the batch files written.")
    flush_failures = CounterFamily("flush_failures", "Flushes that failed.")
    storage_retries = CounterFamily(
        "storage_retries",
        "Requests to S3 that failed and were made again, by why.",
        Label("error", bound="the errors of S3 and of its client that may pass"),
    )
    delivery_retries = GaugeFamily(
        "delivery_retries",
        "How often the delivery in flight was tried again; 0 once it is delivered; the most of all workers.",
        mode="livemax",
    )
    sessions_handled = GaugeFamily("sessions_handled", "Sessions in the session batches now.")
    sessions_revoked = GaugeFamily(
        "sessions_revoked", "Sessions discarded with revoked partitions; 0 again once recording continues."
    )
    session_batch_bytes = GaugeFamily("session_batch_bytes", "What the session batches hold now, lines uncompressed.")
