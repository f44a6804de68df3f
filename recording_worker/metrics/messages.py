"""Metrics of messages, from the poll to their session batch."""

from recording_worker.metrics.family import PARTITION, CounterFamily, HistogramFamily, Label, SummaryFamily
from recording_worker.outcome import Disposition, Reason

_OUTCOMES = [(Disposition.OK.label, ""), *((reason.disposition.label, reason.label) for reason in Reason if reason)]


class MessageMetrics:
    """Messages, from the poll to the flush that delivers them."""

    messages = CounterFamily(
        "messages",
        "Messages by where they ended and why.",
        Label("disposition", tuple(disposition.label for disposition in Disposition if disposition.is_final)),
        Label("reason", bound="the [reasons](../data/messages.md#dispositions); empty for `ok`"),
        sets=_OUTCOMES,
    )
    messages_received = CounterFamily("messages_received", "Messages that came in, by source partition.", PARTITION)
    partition_messages = CounterFamily(
        "partition_messages", "Messages by source partition, once it is decided where they end.", PARTITION
    )
    encoded_messages = CounterFamily(
        "encoded_messages",
        "Messages by the encoding of the value.",
        Label("encoding", ("plain", "gzip", "lz4", "zstd")),
    )
    message_bytes = SummaryFamily("message_bytes", "Size of message values as Kafka carries them.")
    batch_messages = HistogramFamily(
        "batch_messages", "Messages in a poll.", buckets=(1, 5, 10, 50, 100, 250, 500, 750, 1000)
    )
    batch_bytes = HistogramFamily(
        "batch_bytes",
        "Size of a poll's message values as Kafka carries them.",
        buckets=tuple(kib * 1024 for kib in (1, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144)),
    )
    step_seconds = CounterFamily(
        "step_seconds", "Time spent in each step.", Label("step", bound="the steps of the pipeline")
    )
    uncompressed_bytes = CounterFamily("uncompressed_bytes", "Size of message values after decompression.")
    events = CounterFamily("events", "Events recorded into session batches.")
    recorded_message_bytes = SummaryFamily(
        "recorded_message_bytes", "Size of the lines that a message adds to its session."
    )
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
    events_discarded = CounterFamily(
        "events_discarded",
        "Events taken out of a session batch again, by why.",
        Label("reason", (Reason.SESSION_EVENT_LIMIT.label,)),
    )
    console_logs = CounterFamily("console_logs", "Console messages stored in session batches.")
    console_logs_left_out = CounterFamily(
        "console_logs_left_out",
        "Console messages that were counted, but not stored (`max_console_logs_per_session_per_batch`).",
    )
    warnings = CounterFamily(
        "ingestion_warnings",
        "Ingestion warnings produced, by type.",
        Label(
            "type",
            (
                Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS.label,
                Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE.label,
                "replay_lib_version_too_old",
            ),
        ),
    )
    dlq_halts = CounterFamily(
        "dlq_halts",
        "Partitions that halted because too many of their messages were for the DLQ.",
        Label("limit", ("consecutive", "ratio")),
    )
