"""BehindLog: the log says once that the host falls behind, and once that it keeps up again."""

from structlog.testing import capture_logs

from recording_worker.dependencies import STORAGE
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.behind import BehindLog
from recording_worker.processes.supervisor.board import DependencyStatus
from recording_worker.processes.supervisor.history import History
from recording_worker.processes.supervisor.slot import WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus
from tests.builders import FakeClock

WORKERS = (WorkerStatus(0, 10, WorkerState.RUNNING, 0, None),)


def test_it_is_said_once_until_it_changes() -> None:
    clock = FakeClock()
    now = clock.now_ms() / 1000

    def behind(seconds: float, *dependencies: DependencyStatus) -> Status:
        return Status(0, (), WORKERS, (PartitionStatus(0, 0, 0, 10, 500, "", False, 0, now - seconds),), dependencies)

    storage_away = DependencyStatus(STORAGE, 3.0, "refused", (0,), None, None)
    turns = [behind(30), behind(90, storage_away), behind(90), behind(120), behind(30), behind(30), behind(61)]
    said: list[list[str]] = []
    log = BehindLog(History(Metrics().served(), clock), clock)
    with capture_logs() as lines:
        for status in turns:
            log.turn(status)
            said.append([line["event"] for line in lines])
            lines.clear()
    assert said == [[], [], ["falls behind"], [], ["keeps up again"], [], ["falls behind"]]


def test_the_line_says_what_holds_the_host_up() -> None:
    clock = FakeClock()
    partition = PartitionStatus(0, 0, 0, 10, 500, "", False, 0, clock.now_ms() / 1000 - 75)
    status = Status(0, (), WORKERS, (partition,))
    with capture_logs() as lines:
        BehindLog(History(Metrics().served(), clock), clock).turn(status)
    [line] = lines
    assert (line["log_level"], line["lag_seconds"], line["lag"]) == ("warning", 75, 500)
    assert line["bottleneck"] == "Reading from Kafka"
    assert line["why"]
