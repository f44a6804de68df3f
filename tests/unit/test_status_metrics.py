"""What the supervisor serves of its workers and partitions."""

import os
import time

from prometheus_client import CollectorRegistry

from recording_worker import __version__
from recording_worker.processes.supervisor.slot import LastFlush, WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus
from recording_worker.processes.supervisor.status_metrics import StatusCollector

NOW = int(time.time())
STATUS = Status(
    0.0,
    workers=(
        WorkerStatus(0, os.getpid(), WorkerState.RUNNING, 2, LastFlush(NOW - 7.5, 3, 99), NOW - 1.5, NOW - 6.5),
        WorkerStatus(1, None, WorkerState.WAITING, 0, None),
    ),
    partitions=(
        PartitionStatus(0, 0, 10, 15, 20, "", False, NOW - 900, NOW - 90),
        PartitionStatus(1, 0, 20, 20, 20, "", False, NOW - 900),
        PartitionStatus(2, None, None, None, None, "", False),
    ),
    memory_budget=512,
)


def served(name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: STATUS))
    return registry.get_sample_value(f"recording_worker_{name}", labels)


def test_workers_say_whether_they_are_up_and_what_they_take() -> None:
    assert [served("worker_up", worker=worker) for worker in "01"] == [1, 0]
    assert [served("worker_partitions", worker=worker) for worker in "01"] == [2, 0]
    assert [served("worker_flush_timestamp_seconds", worker=worker) for worker in "01"] == [NOW - 7.5, None]
    assert [served("worker_read_timestamp_seconds", worker=worker) for worker in "01"] == [NOW - 1.5, None]
    assert [served("worker_commit_timestamp_seconds", worker=worker) for worker in "01"] == [NOW - 6.5, None]
    assert served("worker_memory_budget_bytes") == 512
    memory, cpu = served("worker_resident_memory_bytes", worker="0"), served("worker_cpu_seconds_total", worker="0")
    assert memory is not None
    assert 10_000_000 < memory < 10_000_000_000
    assert cpu is not None
    assert 0 < cpu <= time.process_time() + 0.1
    assert served("worker_cpu_seconds_total", worker="1") is None


def test_lag_in_seconds_is_0_where_no_message_waits() -> None:
    lag = served("partition_lag_seconds", partition="0")
    assert lag is not None
    assert 90 <= lag < 390
    assert served("partition_lag_seconds", partition="1") == 0
    assert served("partition_lag_seconds", partition="2") is None


def test_the_version_and_the_start_are_served() -> None:
    assert served("build_info", version=__version__) == 1
    started = served("start_timestamp_seconds")
    assert started is not None
    assert 0 <= time.time() - started < 60
