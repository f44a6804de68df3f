from structlog.testing import capture_logs

from recording_worker.messages import Message
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.obtain_batch import ObtainBatch
from recording_worker.pipeline.steps.record_session_event import RecordSessionEvent
from recording_worker.recording.session_batch import SessionBatchManager, SessionLimits
from tests.builders import FakeClock, counted, decoded, event, message, session_message

NO_LIMITS = SessionLimits()


def obtained(*messages: Message, limits: SessionLimits = NO_LIMITS) -> MessageBatch:
    """The messages after the steps before this one."""
    rows = decoded(*messages)
    ObtainBatch(SessionBatchManager("recordings", FakeClock(), 1 << 30, 10.0, limits)).run(rows)
    return rows


def test_events_are_counted_as_recorded() -> None:
    metrics = Metrics()
    rows = obtained(
        session_message(0, "a", [event()] * 2),
        message(1, value=b"not json"),
        session_message(2, "b", [event()]),
        session_message(3, "a", [event()]),
    )
    RecordSessionEvent(metrics).run(rows)
    assert rows.session_batch is not None
    assert rows.session_batch.session_count == 2
    assert counted(metrics, "events_recorded_total") == 4
    assert counted(metrics, "events_total") == 0, "not delivered"


def test_a_session_over_the_event_limit_is_dropped() -> None:
    metrics = Metrics()
    few = session_message(0, "a", [event()] * 2), session_message(1, "b", [event()])
    rows = obtained(*few, session_message(2, "a", [event()] * 2), limits=SessionLimits(events=3))
    RecordSessionEvent(metrics).run(rows)
    assert list(rows.dispositions) == [Disposition.OK, Disposition.OK, Disposition.DROP]
    assert rows.reasons[2] == Reason.SESSION_EVENT_LIMIT
    assert counted(metrics, "events_recorded_total") == 3


def test_the_gauge_of_revoked_sessions_is_reset_once_recording_goes_on() -> None:
    metrics = Metrics()
    metrics.sessions_revoked.set(7)
    step = RecordSessionEvent(metrics)
    step.run(obtained())
    assert counted(metrics, "sessions_revoked") == 7
    step.run(obtained(message(0)))
    assert counted(metrics, "sessions_revoked") == 0


def test_batches_of_the_debug_partition_are_logged() -> None:
    step = RecordSessionEvent(Metrics(), debug_partition=1)
    with capture_logs() as logs:
        step.run(obtained(message(0)))
        assert logs == []
        step.run(obtained(message(0), message(6, 1, value=b"1234"), message(1), message(8, 1, value=None)))
    why = "the value is not an object with the strings distinct_id and data"
    parse = "parse_session_recording_message"
    assert logs == [
        {
            "event": "batch",
            "log_level": "debug",
            "partition": 1,
            "messages": 2,
            "first_offset": 6,
            "last_offset": 8,
            "bytes": 4,
            "ended": [(6, parse, why), (8, parse, "the message has no value, or no Kafka timestamp")],
        }
    ]
