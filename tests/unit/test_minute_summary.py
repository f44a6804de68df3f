"""The line that says each minute what was done."""

from structlog.testing import capture_logs

from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.status import Status
from recording_worker.processes.supervisor.summary import MinuteSummary


def test_a_minute_says_what_was_delivered_in_it_and_an_idle_one_says_nothing() -> None:
    metrics = Metrics()
    metrics.messages.labels("ok", "").inc(3)
    summary = MinuteSummary(metrics.registry, lambda: Status(0.0))
    with capture_logs() as logged:
        summary.turn()
        metrics.messages.labels("ok", "").inc(5)
        metrics.messages.labels("dlq", "missing_token").inc(2)
        metrics.flushes.labels("age").inc()
        metrics.flushed_bytes.inc(2_500_000)
        summary.turn()
        summary.turn()
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
