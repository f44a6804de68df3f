"""The metric catalogue: the name, the labels and the meaning of every metric, once.

A process makes one `Metrics` and hands it to everything that counts. Increments are per batch, not per message.
"""

import os
from collections.abc import Sequence
from typing import Literal, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from recording_worker.metric_files import AllocatedDict

PREFIX = "recording_worker"

# The supervisor serves these from the workers' progress (supervisor/ops_server.py).
LAG = f"{PREFIX}_lag_messages"
RECORDED_UNTIL = f"{PREFIX}_recorded_until_timestamp_seconds"
PARTITIONS_STOPPED = f"{PREFIX}_partitions_stopped"
PARTITIONS_CAREFUL = f"{PREFIX}_partitions_careful"


class BatchSummary(Summary):
    """A Summary that takes the observations of a whole batch in one call."""

    def observe_sum(self, count: int, total: int) -> None:
        """Observe `count` sizes, which add up to `total`."""
        self._count.inc(count)
        self._sum.inc(total)


class BatchHistogram(Histogram):
    """A Histogram that takes equal observations in one call."""

    def observe_many(self, amount: float, count: int) -> None:
        """Observe the same amount `count` times."""
        self._sum.inc(amount * count)
        place = next(place for place, bound in enumerate(self._upper_bounds) if amount <= bound)
        self._buckets[place].inc(count)


class Metrics:
    """All metrics of one process.

    The processes of a service share them through a folder: each counts in files of its own there, and `served` reads
    the files of all.
    """

    def __init__(self, folder: str | None = None, process: str = "") -> None:
        """Make metrics that are kept in `folder`, in the files of `process`; without a folder, in memory only.

        A process with a folder makes only one `Metrics`, because prometheus_client has one setting for all.
        """
        self._folder = folder
        if folder is not None:
            # prometheus_client looks at both whenever it makes a metric
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            vars(values)["MmapedDict"] = AllocatedDict
            values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", meaning, labels, registry=self.registry)

        def gauge(
            name: str, meaning: str, *labels: str, mode: Literal["livesum", "livemin", "livemax"] = "livesum"
        ) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", meaning, labels, registry=self.registry, multiprocess_mode=mode)

        def histogram(name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"{PREFIX}_{name}", meaning, registry=self.registry, buckets=buckets)

        # messages, from the poll to their session batch
        self.messages = counter("messages", "Messages by where they ended and why.", "disposition", "reason")
        self.messages_received = counter(
            "messages_received", "Messages that came in, by source partition.", "partition"
        )
        self.partition_messages = counter(
            "partition_messages", "Messages by source partition, once it is decided where they end.", "partition"
        )
        self.encoded_messages = counter("encoded_messages", "Messages by the encoding of the value.", "encoding")
        self.message_bytes = BatchSummary(
            f"{PREFIX}_message_bytes", "Size of message values as Kafka carries them, bytes.", registry=self.registry
        )
        self.batch_messages = histogram(
            "batch_messages", "Messages in a poll.", (1, 5, 10, 50, 100, 250, 500, 750, 1000)
        )
        self.batch_kib = histogram(
            "batch_kib",
            "Size of a poll's message values as Kafka carries them, KiB.",
            (1, 16, 64, 256, 1024, 4096, 16384, 65536, 262144),
        )
        self.step_seconds = counter("step_seconds", "Time spent in each step, seconds.", "step")
        self.uncompressed_bytes = counter("uncompressed_bytes", "Bytes of values after decompression.")
        self.events = counter("events", "Events recorded into session batches.")
        self.invalid_items = counter(
            "invalid_items", "Snapshot items left out, by why: no_event, too_far_from_now.", "reason"
        )
        self.clock_shift_seconds = Histogram(
            f"{PREFIX}_clock_shift_seconds",
            "How far the times of a message were shifted (correct_clock_skew), by whether its device's clock was slow"
            " or fast, seconds.",
            ("clock",),
            registry=self.registry,
            buckets=(300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800, 2_592_000, 31_536_000),
        )
        self.invalid_utf8 = counter("invalid_utf8_messages", "Messages in which invalid UTF-8 was replaced.")
        self.events_unpacked = counter(
            "events_unpacked",
            "Events that the client had packed and that are written unpacked (unpack_client_compression).",
        )
        self.unpack_failures = counter(
            "unpack_failures",
            "Events that the client had packed and that can't be unpacked. They are written unchanged.",
        )
        self.recorded_message_bytes = BatchSummary(
            f"{PREFIX}_recorded_message_bytes",
            "Size of what a message adds to its session, bytes of lines.",
            registry=self.registry,
        )
        self.events_discarded = counter(
            "events_discarded", "Events taken out of a session batch again, by why.", "reason"
        )
        self.console_logs = counter("console_logs", "Console messages stored in session batches.")
        self.console_logs_left_out = counter(
            "console_logs_left_out",
            "Console messages that were counted, but not stored: max_console_logs_per_session_per_batch.",
        )
        self.warnings = counter("ingestion_warnings", "Ingestion warnings produced, by type.", "type")
        self.dlq_halts = counter(
            "dlq_halts",
            "Partitions that halted because too many of their messages were for the DLQ (consecutive, ratio).",
            "limit",
        )

        # flushes
        self.flushes = counter("flushes", "Flushed session batches, by why they were flushed.", "reason")
        self.flush_seconds = histogram(
            "flush_seconds",
            "Time of a flush, from compression to delivery, seconds.",
            (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 30, 60),
        )
        self.flushed_sessions = counter("flushed_sessions", "Sessions (blocks) written.")
        self.flushed_events = counter("flushed_events", "Events written.")
        self.flushed_bytes = counter("flushed_bytes", "Bytes of batch files written.")
        self.latency_seconds = BatchHistogram(
            f"{PREFIX}_latency_seconds",
            "Time of each message until its offset was delivered, recorded or not, seconds; since the capture service"
            " took it (captured: header now), or since its Kafka timestamp (received).",
            ("since",),
            registry=self.registry,
            buckets=(1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400),
        )
        self.flush_failures = counter("flush_failures", "Flushes that failed.")
        self.storage_retries = counter(
            "storage_retries", "Requests to S3 that failed and were made again, by why.", "error"
        )

        # the worker's loop
        self.loop_pause_seconds = histogram(
            "loop_pause_seconds",
            "Time in a turn of a worker's loop that is not for messages: handing over a session batch, orders, reports,"
            " garbage collection, seconds.",
            (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 1),
        )

        # Kafka
        self.records_too_large = counter(
            "records_too_large", "Records left out because they are larger than their topic allows.", "topic"
        )
        self.records_redated = counter(
            "records_redated",
            "Records sent with the present time, because their topic refuses the time of their message.",
            "topic",
        )
        self.records_refused = counter(
            "records_refused",
            "Records left out because their topic refuses them, except for size, by why.",
            "topic",
            "error",
        )
        self.transactions_aborted = counter(
            "transactions_aborted",
            "Kafka transactions that were aborted and made again, by why. ILLEGAL_GENERATION is normal in a rebalance.",
            "error",
        )
        self.kafka_answered = gauge(
            "kafka_answered_timestamp_seconds",
            "When Kafka last answered the supervisor, which asks every second, seconds since 1970.",
        )
        self.kafka_round_trip = gauge(
            "kafka_round_trip_seconds", "How long Kafka took for its last answer to the supervisor, seconds."
        )
        self.delivery_retries = gauge(
            "delivery_retries",
            "How often the delivery in flight was tried again; 0 once it is delivered; the most of all workers.",
            mode="livemax",
        )
        self.offsets_skipped = counter(
            "offsets_skipped",
            "Offsets that were gone from the log when the worker wanted to read them (on_offset_gap).",
            "partition",
        )

        # what is looked up
        self.store_reads = counter(
            "store_reads",
            "Readings of teams and restrictions, by how they ended: read, unchanged, failed.",
            "store",
            "outcome",
        )
        self.store_read_at = gauge(
            "store_read_timestamp_seconds",
            "When the data in use was last known to be current, seconds since 1970; the oldest of all workers.",
            "store",
            mode="livemin",
        )
        self.store_entries = gauge(
            "store_entries", "Entries in use; the fewest of all workers.", "store", mode="livemin"
        )
        self.store_rejected = gauge(
            "store_entries_rejected",
            "Entries that can't be used and are left out; the most of all workers.",
            "store",
            mode="livemax",
        )
        self.redis_failures = counter(
            "redis_failures",
            "Times that Redis (sessions_redis) could not be asked, was still away, or refused commands.",
        )

        # sessions
        self.new_sessions = counter("new_sessions", "Sessions that no worker had seen before.")
        self.new_sessions_over_limit = counter(
            "new_sessions_over_limit", "New sessions that exceed their team's limit, blocked or not."
        )
        self.sessions_blocked = counter("sessions_blocked", "New sessions that were blocked.")
        self.unlimited_sessions = counter(
            "unlimited_sessions", "Sessions that passed the limit on new ones because Redis could not be asked."
        )
        self.sessions_unmarked = counter(
            "sessions_unmarked", "Stored sessions that could not be marked as seen in Redis for PostHog's consumer."
        )
        self.retention_unpinned = counter(
            "retention_unpinned_sessions",
            "Sessions of a poll that got their team's retention period because Redis could not be asked for their own.",
        )
        self.sessions_handled = gauge("sessions_handled", "Sessions in the session batches now.")
        self.sessions_revoked = gauge(
            "sessions_revoked", "Sessions discarded with revoked partitions; 0 again once recording continues."
        )
        self.session_batch_bytes = gauge("session_batch_bytes", "Raw bytes in the session batches now.")

        # processes
        self.workers = gauge("workers", "Worker processes that run.")
        self.worker_restarts = counter("worker_restarts", "Workers started again, by why they ended.", "reason")
        self.partitions_moved = counter("partitions_moved", "Partitions moved from a busy worker to an idle one.")

    @classmethod
    def of_worker(cls, folder: str, worker: int) -> Self:
        """Return the metrics of a worker. They continue what an earlier process of this worker counted."""
        return cls(folder, _process_of(worker))

    def served(self) -> CollectorRegistry:
        """Return what `/metrics` serves: the counts of all processes of the folder; without one, of this process."""
        if self._folder is None:
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        return registry

    def worker_ended(self, worker: int) -> None:
        """Stop serving what a worker said about its present state. Its counts stay."""
        if self._folder is not None:
            mark_process_dead(_process_of(worker), self._folder)  # type: ignore[no-untyped-call]


def _process_of(worker: int) -> str:
    return f"worker-{worker}"
