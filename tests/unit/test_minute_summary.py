"""The line that says each minute what was done."""

from structlog.testing import capture_logs

from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.history import History
from recording_worker.processes.supervisor.status import Status
from recording_worker.processes.supervisor.summary import MinuteSummary
from tests.builders import FakeClock


def test_a_minute_says_what_was_delivered_in_it_and_an_idle_one_says_nothing() -> None:
    metrics, clock, status = Metrics(), FakeClock(), Status(0.0)
    history = History(metrics.registry, clock)
    metrics.messages.labels("ok", "").inc(3)
    history.take(status)
    summary = MinuteSummary(history)

    def pass_time(seconds: float) -> None:
        clock.ms += round(seconds * 1000)
        history.take(status)
        summary.turn(status)

    with capture_logs() as logged:
        metrics.messages.labels("ok", "").inc(5)
        metrics.messages.labels("dlq", "missing_token").inc(2)
        metrics.flush_seconds.observe(0.5)
        metrics.flushed_bytes.inc(2_500_000)
        pass_time(55)
        assert logged == []
        pass_time(5)
        assert logged == [
            {
                "event": "summary",
                "log_level": "info",
                "messages": 7,
                "recorded": 5,
                "dropped": 0,
                "redirected": 0,
                "dlq": 2,
                "flushes": 1,
                "megabytes": 2.5,
                "lag": 0,
                "partitions": 0,
            }
        ]
        pass_time(60)
        assert len(logged) == 1
        metrics.messages.labels("drop", "unknown_team").inc()
        pass_time(5)
        summary.log_rest(status)
    assert [(line["messages"], line["dropped"], line["recorded"]) for line in logged[1:]] == [(1, 1, 0)]
