"""Metrics of session batches and of their flush to storage."""

from recording_worker.metrics.family import SIZES, CounterFamily, GaugeFamily, HistogramFamily, Label

S3_OPERATION = Label(
    "operation",
    (
        "put_object",
        "create_multipart_upload",
        "upload_part",
        "complete_multipart_upload",
        "abort_multipart_upload",
        "head_object",
    ),
    bound="`put_object`, `head_object`, and `create_`, `complete_` and `abort_multipart_upload`, `upload_part`",
)
FLUSH_BUCKETS = (
    *(0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 15, 30, 45, 60),
    *(90, 120, 180, 300, 600, 1200, 1800),
)
"""To beyond the time for which requests and transactions are tried again."""


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
        buckets=FLUSH_BUCKETS,
    )
    flush_stage_seconds = HistogramFamily(
        "flush_stage_seconds",
        "Time of each stage of a flush: taking over the session batch, compressing its lines, encrypting"
        " its blocks, storing its files, delivering its records and offsets.",
        Label("stage", ("gather", "compress", "encrypt", "store", "deliver")),
        buckets=FLUSH_BUCKETS,
    )
    session_bytes = HistogramFamily(
        "session_bytes", "Size of a session's lines in a batch file, uncompressed.", buckets=SIZES
    )
    block_bytes = HistogramFamily(
        "block_bytes", "Size of a session's block in a batch file, compressed.", buckets=SIZES
    )
    file_bytes = HistogramFamily("file_bytes", "Size of a batch file.", buckets=tuple(1024 * at for at in SIZES))
    flushed_sessions = CounterFamily("flushed_sessions", "Sessions (blocks) written.")
    flushed_events = CounterFamily("flushed_events", "Events written.")
    flushed_bytes = CounterFamily("flushed_bytes", "Size of the batch files written.")
    flush_failures = CounterFamily("flush_failures", "Flushes that failed.")
    storage_retries = CounterFamily(
        "storage_retries",
        "Requests to S3 that failed and were made again, by why.",
        Label("error", bound="the errors of S3 and of its client that may pass"),
    )
    storage_request_seconds = HistogramFamily(
        "storage_request_seconds",
        "Time of each request to S3, whether it succeeded or not.",
        S3_OPERATION,
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
    )
    storage_request_failures = CounterFamily(
        "storage_request_failures", "Requests to S3 that failed, tried again or not.", S3_OPERATION
    )
    storage_sent_bytes = CounterFamily(
        "storage_sent_bytes",
        "Bodies of the requests to S3 that succeeded.",
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
