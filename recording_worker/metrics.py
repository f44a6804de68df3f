"""The metric catalogue: every metric's name, labels and meaning, once.

In `recording-worker run` the processes share them through prometheus-client's
multi-process mode, so the environment variable PROMETHEUS_MULTIPROC_DIR must be
set before this module is first imported. Increments are per batch, not per message.
"""

import os
from collections.abc import Collection

from prometheus_client import Counter, Gauge, Histogram, Summary, values

PREFIX = "recording_worker"

PROCESS_VARIABLE = "RECORDING_WORKER_METRICS_PROCESS"
"""The environment variable that names a worker's place: its files are told from other processes' by that."""

if "PROMETHEUS_MULTIPROC_DIR" in os.environ and (place := os.environ.get(PROCESS_VARIABLE)):
    # a worker goes on with the files of the one before it, or there would be more of them with every restart
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


class BatchSummary(Summary):
    """A Summary that takes the observations of a whole batch in one call."""

    def observe_all(self, sizes: Collection[int]) -> None:
        """The same as observing each of `sizes`."""
        self._count.inc(len(sizes))
        self._sum.inc(sum(sizes))


MESSAGES = Counter(f"{PREFIX}_messages", "Messages by where they ended and why.", ["disposition", "reason"])
PARTITION_MESSAGES = Counter(f"{PREFIX}_partition_messages", "Messages by source partition.", ["partition"])
ENCODED_MESSAGES = Counter(f"{PREFIX}_encoded_messages", "Messages by the encoding of the value.", ["encoding"])
MESSAGE_BYTES = BatchSummary(f"{PREFIX}_message_bytes", "Size of message values as carried, bytes.")
BATCH_MESSAGES = Histogram(
    f"{PREFIX}_batch_messages", "Messages in a poll.", buckets=(1, 5, 10, 50, 100, 250, 500, 750, 1000)
)
BATCH_KIB = Histogram(
    f"{PREFIX}_batch_kib",
    "Size of a poll's message values as carried, KiB.",
    buckets=(1, 16, 64, 256, 1024, 4096, 16384, 65536, 262144),
)
STEP_SECONDS = Counter(f"{PREFIX}_step_seconds", "Time spent in each step, seconds.", ["step"])
UNCOMPRESSED_BYTES = Counter(f"{PREFIX}_uncompressed_bytes", "Bytes of values after decompression.")
EVENTS = Counter(f"{PREFIX}_events", "Events recorded into session batches.")
INVALID_ITEMS = Counter(f"{PREFIX}_invalid_items", "Snapshot items left out as no event.")
INVALID_UTF8 = Counter(f"{PREFIX}_invalid_utf8_messages", "Messages in which invalid UTF-8 was replaced.")
EVENTS_UNPACKED = Counter(
    f"{PREFIX}_events_unpacked", "Events the client had packed that are written unpacked (unpack_client_compression)."
)
UNPACK_FAILURES = Counter(
    f"{PREFIX}_unpack_failures", "Events the client had packed that can't be unpacked, and are written as they came."
)
EVENTS_DISCARDED = Counter(
    f"{PREFIX}_events_discarded", "Events taken out of a session batch again, by why.", ["reason"]
)
WARNINGS = Counter(f"{PREFIX}_ingestion_warnings", "Ingestion warnings produced, by type.", ["type"])

FLUSHES = Counter(f"{PREFIX}_flushes", "Flushed session batches, by why they were flushed.", ["reason"])
FLUSH_SECONDS = Histogram(
    f"{PREFIX}_flush_seconds",
    "Time a flush took, compression to delivery, seconds.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
FLUSHED_SESSIONS = Counter(f"{PREFIX}_flushed_sessions", "Sessions (blocks) written.")
FLUSHED_EVENTS = Counter(f"{PREFIX}_flushed_events", "Events written.")
FLUSHED_BYTES = Counter(f"{PREFIX}_flushed_bytes", "Bytes of batch files written.")
FLUSH_FAILURES = Counter(f"{PREFIX}_flush_failures", "Flushes that failed.")
STORAGE_RETRIES = Counter(
    f"{PREFIX}_storage_retries", "Requests to S3 that failed and were made again, by why.", ["error"]
)

RECORDS_TOO_LARGE = Counter(
    f"{PREFIX}_records_too_large", "Records left out because their topic takes none so large.", ["topic"]
)

DLQ_HALTS = Counter(
    f"{PREFIX}_dlq_halts", "Partitions halted since too many of their messages were for the DLQ, by limit.", ["limit"]
)

TRANSACTIONS_ABORTED = Counter(
    f"{PREFIX}_transactions_aborted", "Kafka transactions that were aborted and made again, by why.", ["error"]
)
OFFSETS_SKIPPED = Counter(
    f"{PREFIX}_offsets_skipped",
    "Offsets that were gone from the log when they were to be read (on_offset_gap), by partition.",
    ["partition"],
)

STORE_READS = Counter(
    f"{PREFIX}_store_reads", "Readings of teams and restrictions, by how they ended.", ["store", "outcome"]
)
STORE_READ_AT = Gauge(
    f"{PREFIX}_store_read_timestamp_seconds",
    "When what is in use was last found to be current, seconds since 1970; of the workers the oldest.",
    ["store"],
    multiprocess_mode="livemin",
)
STORE_ENTRIES = Gauge(
    f"{PREFIX}_store_entries", "Entries in use; of the workers the fewest.", ["store"], multiprocess_mode="livemin"
)
STORE_REJECTED = Gauge(
    f"{PREFIX}_store_entries_rejected",
    "Entries that can't be used and are left out, one by one; of the workers the most.",
    ["store"],
    multiprocess_mode="livemax",
)

REDIS_FAILURES = Counter(
    f"{PREFIX}_redis_failures", "Times that Redis could not be asked for sessions, was still away, or refused commands."
)
NEW_SESSIONS = Counter(f"{PREFIX}_new_sessions", "Sessions seen for the first time by any worker.")
NEW_SESSIONS_OVER_LIMIT = Counter(
    f"{PREFIX}_new_sessions_over_limit", "New sessions for which their team had no token, blocked or not."
)
SESSIONS_BLOCKED = Counter(f"{PREFIX}_sessions_blocked", "New sessions that were blocked.")
UNLIMITED_SESSIONS = Counter(
    f"{PREFIX}_unlimited_sessions", "Sessions that passed the limit on new ones since Redis could not be asked."
)
RETENTION_UNPINNED = Counter(
    f"{PREFIX}_retention_unpinned_sessions",
    "Sessions of a poll that have their team's retention period, since Redis could not be asked for their own.",
)

SESSIONS_HANDLED = Gauge(
    f"{PREFIX}_sessions_handled", "Sessions in the session batches now.", multiprocess_mode="livesum"
)
SESSIONS_REVOKED = Gauge(
    f"{PREFIX}_sessions_revoked",
    "Sessions discarded with revoked partitions; back to 0 once recording goes on.",
    multiprocess_mode="livesum",
)
BATCH_BYTES = Gauge(
    f"{PREFIX}_session_batch_bytes", "Raw bytes in the session batches now.", multiprocess_mode="livesum"
)

WORKERS = Gauge(f"{PREFIX}_workers", "Worker processes running.", multiprocess_mode="livesum")
WORKER_RESTARTS = Counter(f"{PREFIX}_worker_restarts", "Workers started again, by why they ended.", ["reason"])
PARTITIONS_MOVED = Counter(f"{PREFIX}_partitions_moved", "Partitions moved from a worker that lags to an idle one.")
# These are served by the supervisor from the workers' progress (supervisor/ops_server.py).
LAG = f"{PREFIX}_lag_messages"
PARTITIONS_STOPPED = f"{PREFIX}_partitions_stopped"
PARTITIONS_CAREFUL = f"{PREFIX}_partitions_careful"
