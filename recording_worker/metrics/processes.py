"""Metrics of the supervisor, its workers and their partitions."""

from recording_worker.metrics.family import (
    PARTITION,
    WORKER,
    CounterFamily,
    GaugeFamily,
    HistogramFamily,
    Label,
    StatusCounterFamily,
    StatusFamily,
)


class ProcessMetrics:
    """The supervisor, its workers and their partitions."""

    workers = GaugeFamily("workers", "Worker processes that run.")
    worker_restarts = CounterFamily(
        "worker_restarts", "Workers started again, by why they ended.", Label("reason", ("failed", "killed", "stuck"))
    )
    partitions_moved = CounterFamily("partitions_moved", "Partitions moved from a busy worker to an idle one.")
    build_info = StatusFamily("build_info", "Always 1. The label says what runs.", Label("version", bound="one"))
    start_time = StatusFamily("start_timestamp_seconds", "When the supervisor was started.")
    worker_up = StatusFamily("worker_up", "Whether the worker takes orders: 1 if it does, else 0.", WORKER)
    worker_partitions = StatusFamily("worker_partitions", "Partitions that the worker has.", WORKER)
    worker_memory = StatusFamily("worker_resident_memory_bytes", "Memory that the worker's process has.", WORKER)
    worker_memory_budget = StatusFamily("worker_memory_budget_bytes", "What each worker may take (`memory`).")
    worker_cpu = StatusCounterFamily("worker_cpu_seconds", "CPU time of the worker's process.", WORKER)
    worker_read = StatusFamily(
        "worker_read_timestamp_seconds", "When the worker last said that it had read messages.", WORKER
    )
    worker_flushed = StatusFamily(
        "worker_flush_timestamp_seconds", "When the worker last delivered a session batch.", WORKER
    )
    worker_committed = StatusFamily(
        "worker_commit_timestamp_seconds",
        "When the committed offset of a partition that the worker reads last moved. With `exactly_once` a session batch"
        " and its offsets are delivered at once; otherwise the offsets follow.",
        WORKER,
    )
    partition_lag = StatusFamily(
        "partition_lag_seconds",
        "For how long the oldest message has waited that is not delivered, at most; 0 if no message waits.",
        PARTITION,
    )
    lag = StatusFamily("lag_messages", "Messages between the committed offset and the log's end.", PARTITION)
    recorded_until = StatusFamily(
        "recorded_until_timestamp_seconds", "Kafka timestamp of the latest message that was delivered.", PARTITION
    )
    partitions_stopped = StatusFamily(
        "partitions_stopped",
        "Partitions that are not read any more: messages would be left out, or too many go to the DLQ.",
    )
    partitions_isolated = StatusFamily(
        "partitions_careful",
        "Isolated partitions: they are read message by message, because workers died over them.",
    )
    loop_pause_seconds = HistogramFamily(
        "loop_pause_seconds",
        "Time in a turn of a worker's loop that is not for messages: handing over a session batch, orders, reports,"
        " garbage collection.",
        buckets=(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 1),
    )
