import urllib.request

import pytest

from recording_worker.dependencies import KAFKA, STORAGE
from recording_worker.errors import BootError
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.board import DependencyStatus
from recording_worker.processes.supervisor.ops_server import OpsPages, OpsServer, render_page
from recording_worker.processes.supervisor.slot import WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus
from tests.builders import FakeClock

WORKERS = (
    WorkerStatus(0, 4711, WorkerState.RUNNING, 2, "12:00:00 UTC: 3 sessions, 99 bytes"),
    WorkerStatus(1, None, WorkerState.WAITING, 0, ""),
)
PARTITIONS = (
    PartitionStatus(0, 0, 10, 15, 20, "", True, 1_795_000_000),
    PartitionStatus(1, None, None, None, None, "", False),
    PartitionStatus(2, 0, 5, 6, 5, "a hole at <5>", True, 1_700_000_000),
)
FAILING = DependencyStatus(STORAGE, 3.0, "<y>", (1,), 1_795_000_000.5, 0.25)


class Pages:
    """The pages, asked without a server."""

    def __init__(self, status: Status) -> None:
        self.status = status
        self.clock = FakeClock()
        self.pages = OpsPages(lambda: self.status, self.clock, Metrics().served())

    def get(self, path: str) -> tuple[int, str]:
        answer = self.pages.by_path[path].answer()
        return answer.status, answer.body.decode()


@pytest.fixture
def pages() -> Pages:
    return Pages(Status(FakeClock().monotonic(), (), WORKERS, PARTITIONS))


def test_all_is_recorded_until_the_time_of_the_partition_that_is_furthest_behind(pages: Pages) -> None:
    """A partition that was read to its end does not count as behind, however long ago its last message came."""
    assert "Recorded until: 2026-11-18 " in pages.get("/")[1]
    behind = PartitionStatus(3, 0, 10, 15, 20, "", False, 1_700_000_000)
    pages.status = Status(0, (), WORKERS, (*PARTITIONS, behind))
    assert "Recorded until: 2023-11-14 22:13:20 UTC" in pages.get("/")[1]
    pages.status = Status(0, (), WORKERS, PARTITIONS[2:])
    assert "Recorded until: 2023-11-14 22:13:20 UTC" in pages.get("/")[1]
    pages.status = Status(0, (), WORKERS, PARTITIONS[1:2])
    assert "Recorded until: nothing yet" in pages.get("/")[1]


def test_healthy_while_the_loop_turns(pages: Pages) -> None:
    assert pages.get("/healthz") == (200, "ok\n")
    pages.clock.ms += 61_000
    code, text = pages.get("/healthz")
    assert code == 503
    assert text == "the supervisor's loop hangs since 61 s\n"


def test_ready_or_the_reason_why_not(pages: Pages) -> None:
    assert pages.get("/readyz") == (200, "ready\n")
    pages.status = Status(0, ("workers not up: [1]", "Storage: failing"))
    assert pages.get("/readyz") == (503, "workers not up: [1]\nStorage: failing\n")


def test_lag_and_what_is_special_of_partitions_are_metrics(pages: Pages) -> None:
    code, text = pages.get("/metrics")
    assert code == 200
    lines = text.splitlines()
    assert 'recording_worker_lag_messages{partition="0"} 10.0' in lines
    assert 'recording_worker_lag_messages{partition="2"} 0.0' in lines
    until = [line for line in lines if line.startswith("recording_worker_recorded_until_timestamp_seconds{")]
    assert [line.rpartition("{")[2] for line in until] == ['partition="0"} 1.795e+09', 'partition="2"} 1.7e+09']
    assert not any('lag_messages{partition="1"}' in line for line in lines), "not known yet"
    assert "recording_worker_partitions_stopped 1.0" in lines
    assert "recording_worker_partitions_careful 2.0" in lines


def test_what_each_dependency_does_is_a_metric(pages: Pages) -> None:
    pages.status = Status(0, dependencies=(FAILING, DependencyStatus(KAFKA, 0.0, "", (), None, None)))
    lines = pages.get("/metrics")[1].splitlines()
    assert 'recording_worker_dependency_answered_timestamp_seconds{dependency="storage"} 1.7950000005e+09' in lines
    assert 'recording_worker_dependency_round_trip_seconds{dependency="storage"} 0.25' in lines
    assert 'recording_worker_dependency_failing_seconds{dependency="storage"} 3.0' in lines
    assert 'recording_worker_dependency_failing_seconds{dependency="kafka"} 0.0' in lines
    assert not any('timestamp_seconds{dependency="kafka"}' in line for line in lines), "not known yet"


def test_the_page_shows_everything_and_escapes_it(pages: Pages) -> None:
    code, page = pages.get("/")
    assert code == 200
    assert "<h1>recording-worker: ready</h1>" in page
    assert "<tr><td>0</td><td>4711</td><td>running</td><td>0 2</td>" in page
    assert "<tr><td>1</td><td>-</td><td>waiting</td>" in page
    assert "<tr><td>0</td><td>0</td><td>10</td><td>15</td><td>20</td><td>10</td><td>isolated</td></tr>" in page
    assert "a hole at &lt;5&gt;" in page
    assert "<5>" not in page
    assert "not ready: waiting for &lt;x&gt;" in render_page(Status(0, ("waiting for <x>",)))
    assert "Storage: failing for 3 s: &lt;y&gt;" in render_page(Status(0, dependencies=(FAILING,)))


def test_port_0_takes_any(pages: Pages) -> None:
    server = OpsServer(pages.pages, "127.0.0.1", 0)
    host, port = server.address
    with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=5) as response:
        assert response.read() == b"ready\n"
    server.close()


def test_a_taken_port_is_an_error(pages: Pages) -> None:
    server = OpsServer(pages.pages, "127.0.0.1", 0)
    port = server.address[1]
    with pytest.raises(BootError, match=rf"ops server: can't listen on 127.0.0.1:{port}: Address already in use"):
        OpsServer(Pages(pages.status).pages, "127.0.0.1", port)
    server.close()


def test_a_host_that_is_nowhere_is_an_error(pages: Pages) -> None:
    with pytest.raises(BootError, match=r"ops server: can't listen on no\.such\.invalid:0: .*known"):
        OpsServer(pages.pages, "no.such.invalid", 0)
