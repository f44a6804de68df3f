from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps.handle_results import HandleResults
from recording_worker.settings.choices import DlqHeaders
from tests.builders import TOPIC, FakeClock, batch, counted, headers, message

STEP = HandleResults("the-dlq", "the-overflow", "the-backfill", FakeClock(), Metrics())


def test_a_dlq_record_is_the_unchanged_message_with_its_reason_and_source() -> None:
    rows = batch(message(0), message(7, 3, value=b"\xffbroken", key=None, timestamp_ms=123))
    rows.end(1, Disposition.DLQ, Reason.INVALID_JSON, "parse_session_recording_message", "the value is not JSON")
    STEP.run(rows)
    ((partition, record),) = rows.records
    assert partition == 3
    assert (record.topic, record.key, record.value, record.as_it_came) == ("the-dlq", None, b"\xffbroken", True)
    assert record.timestamp_ms == 0, "the broker's time"
    assert record.headers[: len(headers())] == headers()
    assert dict(record.headers[len(headers()) :]) == {
        "dlq-reason": b"invalid_json",
        "dlq-step": b"parse_session_recording_message",
        "dlq-topic": TOPIC.encode(),
        "dlq-partition": b"3",
        "dlq-offset": b"7",
        "dlq-timestamp": b"123",
        "dlq-error": b"the value is not JSON",
    }


def test_a_dlq_record_with_the_headers_of_posthog() -> None:
    """As sendMessageToDLQ of PostHog's nodejs/src/worker/ingestion/pipeline-helpers.ts spells them."""
    rows = batch(message(7, 3, timestamp_ms=123))
    rows.end(0, Disposition.DLQ, Reason.INVALID_JSON, "parse_session_recording_message", "the value is not JSON")
    HandleResults("dlq", "overflow", "backfill", FakeClock(), Metrics(), DlqHeaders.POSTHOG).run(rows)
    ((_, record),) = rows.records
    assert dict(record.headers[len(headers()) :]) == {
        "dlq_reason": b"invalid_json",
        "dlq_step": b"parse_session_recording_message",
        "dlq_topic": TOPIC.encode(),
        "dlq_partition": b"3",
        "dlq_offset": b"7",
        "dlq_timestamp": b"2026-11-18T11:06:40.000Z",
        "dlq-timestamp": b"123",
        "dlq-error": b"the value is not JSON",
    }


def test_an_overflow_record_is_the_unchanged_message() -> None:
    rows = batch(message(5, 2))
    rows.end(0, Disposition.REDIRECT, Reason.OVERFLOW_FORCED, "apply_restrictions")
    STEP.run(rows)
    ((partition, record),) = rows.records
    source = rows.message(0)
    assert partition == 2
    assert (record.topic, record.as_it_came) == ("the-overflow", True)
    assert (record.key, record.value, record.headers) == (source.key, source.value, source.headers)
    assert record.timestamp_ms == source.timestamp_ms


def test_messages_shed_for_lag_go_to_the_backfill_topic_and_hot_sessions_to_overflow() -> None:
    rows = batch(message(0), message(1))
    rows.end(0, Disposition.REDIRECT, Reason.LAG_SHED, "shed_lag")
    rows.end(1, Disposition.REDIRECT, Reason.OVERFLOW_HOT_SESSION, "redirect_hot_sessions")
    STEP.run(rows)
    assert [record.topic for _, record in rows.records] == ["the-backfill", "the-overflow"]
    assert rows.records[0][1][1:] == rows.records[1][1][1:]


def test_dropped_and_ok_rows_leave_no_record() -> None:
    rows = batch(message(0), message(1))
    rows.end(0, Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION, "apply_restrictions")
    STEP.run(rows)
    assert rows.records == []


def test_rows_are_counted_by_how_they_ended_except_in_partitions_that_halt() -> None:
    metrics = Metrics()
    rows = batch(message(0), message(1), message(2), message(7, 1), message(8, 2))
    rows.end(1, Disposition.DROP, Reason.SESSION_BLOCKED, "limit_new_sessions")
    rows.end(3, Disposition.DROP, Reason.SESSION_BLOCKED, "limit_new_sessions")
    rows.halt(2, "why")
    HandleResults("the-dlq", "the-overflow", "the-backfill", FakeClock(), metrics).run(rows)
    assert counted(metrics, "messages_processed_total", disposition="ok") == 2
    assert counted(metrics, "messages_processed_total", disposition="drop") == 2
    assert counted(metrics, "messages_processed_total", disposition="held") is None
