"""Metrics of the work on messages, from the poll to their session batch."""

from recording_worker.metrics.family import PARTITION, SIZES, CounterFamily, HistogramFamily, Label
from recording_worker.metrics.messages import DISPOSITION, LATENCY_BUCKETS

_STEP = Label("step", bound="the steps of the pipeline")
_ACTIVITY = Label("activity", ("poll", "flush", "steps", "rest"))


class WorkMetrics:
    """Work on messages. A message that is read again, because it was not delivered, is work again."""

    messages_received = CounterFamily("messages_received", "Messages that were read, by source partition.", PARTITION)
    messages_processed = CounterFamily(
        "messages_processed",
        "Messages that went through the pipeline, by where they will end if their session batch is delivered.",
        DISPOSITION,
    )
    events_recorded = CounterFamily("events_recorded", "Events recorded into session batches.")
    encoded_messages = CounterFamily(
        "encoded_messages",
        "Messages by the encoding of the value.",
        Label("encoding", ("plain", "gzip", "lz4", "zstd")),
    )
    message_bytes = HistogramFamily("message_bytes", "Size of message values as Kafka carries them.", buckets=SIZES)
    batch_messages = HistogramFamily(
        "batch_messages", "Messages in a poll.", buckets=(1, 5, 10, 50, 100, 250, 500, 750, 1000)
    )
    batch_bytes = HistogramFamily(
        "batch_bytes",
        "Size of a poll's message values as Kafka carries them.",
        buckets=tuple(kib * 1024 for kib in (1, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144)),
    )
    read_lag_seconds = HistogramFamily(
        "read_lag_seconds",
        "How old each message was when it was processed, since its Kafka timestamp.",
        buckets=LATENCY_BUCKETS,
    )
    step_seconds = CounterFamily("step_seconds", "Time spent in each step.", _STEP)
    step_cpu_seconds = CounterFamily("step_cpu_seconds", "CPU time of the worker's loop in each step.", _STEP)
    loop_seconds = CounterFamily(
        "loop_seconds",
        "Time of the workers' loops: waiting for messages (`poll`), waiting for a flush because there is no room for"
        " more (`flush`), in the steps of the pipeline (`steps`), on orders, reports and garbage collection (`rest`).",
        _ACTIVITY,
    )
    loop_cpu_seconds = CounterFamily("loop_cpu_seconds", "CPU time of the workers' loops, likewise.", _ACTIVITY)
    uncompressed_bytes = CounterFamily("uncompressed_bytes", "Size of message values after decompression.")
    invalid_items = CounterFamily(
        "invalid_items", "Snapshot items left out, by why.", Label("reason", ("no_event", "too_far_from_now"))
    )
    clock_shift_seconds = HistogramFamily(
        "clock_shift_seconds",
        "How far the times of a message were shifted (`correct_clock_skew`), by whether its device's clock was slow or"
        " fast.",
        Label("clock", ("slow", "fast")),
        buckets=(300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800, 2_592_000, 31_536_000),
    )
    invalid_utf8 = CounterFamily("invalid_utf8_messages", "Messages in which invalid UTF-8 was replaced.")
    events_unpacked = CounterFamily(
        "events_unpacked",
        "Events that the client had packed and that are written unpacked (`unpack_client_compression`).",
    )
    unpack_failures = CounterFamily(
        "unpack_failures",
        "Events that the client had packed and that can't be unpacked. They are written unchanged.",
    )
    dlq_halts = CounterFamily(
        "dlq_halts",
        "Partitions that halted because too many of their messages were for the DLQ.",
        Label("limit", ("consecutive", "ratio")),
    )
