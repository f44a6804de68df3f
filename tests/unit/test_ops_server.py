import json
import urllib.request

import pytest

from recording_worker.dependencies import KAFKA, STORAGE
from recording_worker.errors import BootError
from recording_worker.processes.supervisor.board import DependencyStatus
from recording_worker.processes.supervisor.ops_server import OpsServer
from recording_worker.processes.supervisor.slot import LastFlush, WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus
from tests.builders import FakeClock
from tests.status_page import Host

WORKERS = (
    WorkerStatus(0, 4711, WorkerState.RUNNING, 2, LastFlush(1_795_000_000.0, 3, 99)),
    WorkerStatus(1, None, WorkerState.WAITING, 0, None, last_error="<z>"),
)
PARTITIONS = (
    PartitionStatus(0, 0, 10, 15, 20, "", True, 1_795_000_000),
    PartitionStatus(1, None, None, None, None, "", False),
    PartitionStatus(2, 0, 5, 6, 5, "a hole at <5>", True, 1_700_000_000),
)
FAILING = DependencyStatus(STORAGE, 3.0, "<y>", (1,), 1_795_000_000.5, 0.25)


@pytest.fixture
def host() -> Host:
    return Host(Status(FakeClock().monotonic(), (), WORKERS, PARTITIONS))


def test_all_is_recorded_until_the_time_of_the_partition_that_is_furthest_behind(host: Host) -> None:
    """A partition that was read to its end does not count as behind, however long ago its last message came."""
    assert host.status.recorded_until == 1_795_000_000
    behind = PartitionStatus(3, 0, 10, 15, 20, "", False, 1_700_000_000)
    assert Status(0, (), WORKERS, (*PARTITIONS, behind)).recorded_until == 1_700_000_000
    assert Status(0, (), WORKERS, PARTITIONS[2:]).recorded_until == 1_700_000_000
    assert Status(0, (), WORKERS, PARTITIONS[1:2]).recorded_until is None


def test_healthy_while_the_loop_turns(host: Host) -> None:
    assert host.get("/healthz") == (200, "ok\n")
    host.clock.ms += 61_000
    code, text = host.get("/healthz")
    assert code == 503
    assert text == "the supervisor's loop hangs since 61 s\n"


def test_ready_or_the_reason_why_not(host: Host) -> None:
    assert host.get("/readyz") == (200, "ready\n")
    host.status = Status(0, ("workers not up: [1]", "Storage: failing"))
    assert host.get("/readyz") == (503, "workers not up: [1]\nStorage: failing\n")


def test_lag_and_what_is_special_of_partitions_are_metrics(host: Host) -> None:
    code, text = host.get("/metrics")
    assert code == 200
    lines = text.splitlines()
    assert 'recording_worker_lag_messages{partition="0"} 10.0' in lines
    assert 'recording_worker_lag_messages{partition="2"} 0.0' in lines
    until = [line for line in lines if line.startswith("recording_worker_recorded_until_timestamp_seconds{")]
    assert [line.rpartition("{")[2] for line in until] == ['partition="0"} 1.795e+09', 'partition="2"} 1.7e+09']
    assert not any('lag_messages{partition="1"}' in line for line in lines), "not known yet"
    assert "recording_worker_partitions_stopped 1.0" in lines
    assert "recording_worker_partitions_careful 2.0" in lines


def test_what_each_dependency_does_is_a_metric(host: Host) -> None:
    host.status = Status(0, dependencies=(FAILING, DependencyStatus(KAFKA, 0.0, "", (), None, None)))
    lines = host.get("/metrics")[1].splitlines()
    assert 'recording_worker_dependency_answered_timestamp_seconds{dependency="storage"} 1.7950000005e+09' in lines
    assert 'recording_worker_dependency_round_trip_seconds{dependency="storage"} 0.25' in lines
    assert 'recording_worker_dependency_failing_seconds{dependency="storage"} 3.0' in lines
    assert 'recording_worker_dependency_failing_seconds{dependency="kafka"} 0.0' in lines
    assert not any('timestamp_seconds{dependency="kafka"}' in line for line in lines), "not known yet"


def test_without_scripts_the_page_shows_the_essential_and_escapes_it(host: Host) -> None:
    host.status = Status(host.clock.monotonic(), ("waiting for <x>",), WORKERS, PARTITIONS, (FAILING,))
    code, page = host.get("/")
    assert code == 200
    in_short = page.split("<noscript>")[2]
    assert "<h2>Not ready</h2>" in in_short
    assert "<li>waiting for &lt;x&gt;</li>" in in_short
    assert "<tr><td>Storage</td><td>failing for 3 s: &lt;y&gt;</td></tr>" in in_short
    assert "<tr><td>0</td><td>running</td><td></td><td>[0, 2]</td><td>10</td><td>2</td></tr>" in in_short
    assert "<tr><td>1</td><td>waiting</td><td>&lt;z&gt;</td><td>[]</td><td>0</td><td>0</td></tr>" in in_short
    assert "<tr><td>0</td><td>0</td><td>10</td><td>isolated</td></tr>" in in_short
    assert "a hole at &lt;5&gt;" in in_short


def test_a_loop_that_hangs_is_the_first_thing_to_say(host: Host) -> None:
    host.clock.ms += 61_000
    document = json.loads(host.get("/status.json")[1])
    assert (document["healthy"], document["level"]) == (False, "bad")
    assert document["reasons"][0] == "the supervisor's loop hangs since 61 s"
    assert "the supervisor&#x27;s loop hangs since 61 s" in host.get("/")[1]


def test_the_page_loads_only_what_the_server_has_and_says_so(host: Host) -> None:
    server = OpsServer(host.pages, "127.0.0.1", 0)
    address, port = server.address
    for path, kind in {"": "text/html", "status.css": "text/css", "status.js": "text/javascript"}.items():
        with urllib.request.urlopen(f"http://{address}:{port}/{path}", timeout=5) as response:
            assert response.headers["Content-Type"].startswith(kind)
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
    server.close()


def test_port_0_takes_any(host: Host) -> None:
    server = OpsServer(host.pages, "127.0.0.1", 0)
    address, port = server.address
    with urllib.request.urlopen(f"http://{address}:{port}/readyz", timeout=5) as response:
        assert response.read() == b"ready\n"
    server.close()


def test_a_taken_port_is_an_error(host: Host) -> None:
    server = OpsServer(host.pages, "127.0.0.1", 0)
    port = server.address[1]
    with pytest.raises(BootError, match=rf"ops server: can't listen on 127.0.0.1:{port}: Address already in use"):
        OpsServer(Host(host.status).pages, "127.0.0.1", port)
    server.close()


def test_a_host_that_is_nowhere_is_an_error(host: Host) -> None:
    with pytest.raises(BootError, match=r"ops server: can't listen on no\.such\.invalid:0: .*known"):
        OpsServer(host.pages, "no.such.invalid", 0)
