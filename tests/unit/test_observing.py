"""What follows how the service goes: one look serves all, and a fault of one does not stop the others."""

import pytest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.behind import BehindLog
from recording_worker.processes.supervisor.history import History
from recording_worker.processes.supervisor.observing import observed
from recording_worker.processes.supervisor.status import Status
from tests.builders import FakeClock


class Walks(Collector):
    """Counts how often the metrics are read."""

    count = 0

    def collect(self) -> list[Metric]:
        self.count += 1
        return []


def test_one_walk_over_the_metrics_serves_all() -> None:
    metrics, clock, walks = Metrics(), FakeClock(), Walks()
    metrics.registry.register(walks)
    walks.count = 0
    history = History(metrics.registry, clock)
    with capture_logs() as lines:
        with observed(lambda: Status(0.0), history, clock):
            assert walks.count == 1, "one at the start"
            metrics.messages.labels("ok", "").inc(5)
        assert walks.count == 2, "and one at the end"
    assert [(line["event"], line["messages"]) for line in lines] == [("summary", 5)]


def test_each_fault_has_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    history, clock = History(Metrics().registry, FakeClock()), FakeClock()

    def fails(_log: BehindLog, _status: Status) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(BehindLog, "turn", fails)
    with (
        capture_logs() as lines,
        observed(lambda: Status(0.0), history, clock),
    ):
        assert history.latest.totals, "a sample was taken"
    assert {line["event"] for line in lines} == {"can't tell whether this host falls behind"}
