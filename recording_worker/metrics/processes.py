"""Metrics of the supervisor, its workers and their partitions."""

from recording_worker.metrics.family import PARTITION, CounterFamily, GaugeFamily, HistogramFamily, Label, StatusFamily


class ProcessMetrics:
    """The supervisor, its workers and their partitions."""

    workers = GaugeFamily("workers", "Worker processes that run.")
    worker_restarts = CounterFamily(
        "worker_restarts", "Workers started again, by why they ended.", Label("reason", ("failed", "killed", "stuck"))
    )
    partitions_moved = CounterFamily("partitions_moved", "Partitions moved from a busy worker to an idle one.")
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
