"""Metrics of messages that are delivered."""

from recording_worker.metrics.family import PARTITION, CounterFamily, HistogramFamily, Label, SummaryFamily
from recording_worker.outcome import Disposition, Reason

DISPOSITION = Label("disposition", tuple(disposition.label for disposition in Disposition if disposition.is_final))
_OUTCOMES = [(Disposition.OK.label, ""), *((reason.disposition.label, reason.label) for reason in Reason if reason)]

LATENCY_BUCKETS = (1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)


class MessageMetrics:
    """Messages, once the flush that holds them is delivered."""

    messages = CounterFamily(
        "messages",
        "Messages by where they ended and why.",
        DISPOSITION,
        Label("reason", bound="the [reasons](../data/messages.md#dispositions); empty for `ok`"),
        sets=_OUTCOMES,
    )
    partition_messages = CounterFamily("partition_messages", "Messages by source partition.", PARTITION)
    events = CounterFamily("events", "Events recorded.")
    recorded_message_bytes = SummaryFamily(
        "recorded_message_bytes", "Size of the lines that a message adds to its session."
    )
    events_discarded = CounterFamily(
        "events_discarded",
        "Events taken out of a session batch again, by why.",
        Label("reason", (Reason.SESSION_EVENT_LIMIT.label,)),
    )
    console_logs = CounterFamily("console_logs", "Console messages stored.")
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
    latency_seconds = HistogramFamily(
        "latency_seconds",
        "Time of each message until its offset was delivered, recorded or not; since the capture service took it"
        " (`captured`: header `now`), or since its Kafka timestamp (`received`).",
        Label("since", ("captured", "received")),
        buckets=LATENCY_BUCKETS,
    )
