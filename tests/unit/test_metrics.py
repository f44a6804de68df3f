"""Metrics that several processes share through a folder. Each test counts in processes of its own: the folder is a
setting of a process."""

import multiprocessing
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from recording_worker.metrics import Metrics
from recording_worker.metrics.family import BatchHistogram

SPAWN = multiprocessing.get_context("spawn")


def in_a_process(work: Callable[[str], None], folder: Path) -> None:
    process = SPAWN.Process(target=work, args=(str(folder),))
    process.start()
    process.join()
    assert process.exitcode == 0


def work_as_worker_0(folder: str) -> None:
    metrics = Metrics.of_worker(folder, 0)
    metrics.messages.labels("drop", "session_blocked").inc(3)
    metrics.recorded_message_bytes.observe_sum(2, 30)
    metrics.sessions_handled.set(5)


def work_as_worker_1(folder: str) -> None:
    metrics = Metrics.of_worker(folder, 1)
    metrics.messages.labels("drop", "session_blocked").inc(4)
    metrics.sessions_handled.set(6)


def serve_as_supervisor(folder: str) -> None:
    metrics = Metrics(folder, "supervisor")
    metrics.workers.set(2)
    registry = metrics.served()
    assert sample(registry, "messages_total", disposition="drop", reason="session_blocked") == 7 + 3
    assert sample(registry, "recorded_message_bytes_sum") == 60
    assert sample(registry, "recorded_message_bytes_count") == 4
    assert sample(registry, "sessions_handled") == 11
    assert sample(registry, "workers") == 2
    assert sample(registry, "flushes_total", reason="size") == 0, "served before it is counted"
    assert sample(registry, "store_reads_total", store="teams", outcome="read") is None
    metrics.expect(store=["teams"])
    assert sample(registry, "store_reads_total", store="teams", outcome="read") == 0
    metrics.worker_ended(1)
    assert sample(registry, "messages_total", disposition="drop", reason="session_blocked") == 10
    assert sample(registry, "sessions_handled") == 5


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"recording_worker_{name}", labels)


def test_the_supervisor_serves_what_all_processes_count(tmp_path: Path) -> None:
    in_a_process(work_as_worker_0, tmp_path)
    in_a_process(work_as_worker_1, tmp_path)
    in_a_process(work_as_worker_0, tmp_path)  # a restart goes on from what the process before it counted
    files = {path.name for path in tmp_path.iterdir()}
    assert {name for name in files if name.startswith("counter_")} == {"counter_worker-0.db", "counter_worker-1.db"}
    in_a_process(serve_as_supervisor, tmp_path)


def test_without_a_folder_each_metrics_counts_for_itself() -> None:
    one, other = Metrics(), Metrics()
    one.events.inc(3)
    assert b"recording_worker_events_total 3.0" in generate_latest(one.served())
    assert b"recording_worker_events_total 0.0" in generate_latest(other.served())
    one.worker_ended(0)


@pytest.mark.parametrize("sizes", [[], [256], [1, 256, 257, 10**12, 1024, 5, 2**26]])
def test_a_histogram_takes_many_observations_at_once(sizes: list[int]) -> None:
    at_once, one_by_one, in_groups = (Metrics().block_bytes for _ in range(3))
    at_once.observe_all(sizes)
    for size in sizes:
        one_by_one.observe(size)
    in_groups.observe_many(Counter(sizes).items())

    def figures(histogram: BatchHistogram) -> tuple[float, list[float]]:
        return histogram._sum.get(), [bucket.get() for bucket in histogram._buckets]

    assert figures(at_once) == figures(one_by_one) == figures(in_groups)


@pytest.mark.parametrize("sizes", [[], [7], [1, 2, 3]])
def test_a_summary_takes_the_observations_of_a_batch_at_once(sizes: list[int]) -> None:
    at_once, one_by_one = Metrics().recorded_message_bytes, Metrics().recorded_message_bytes
    at_once.observe_sum(len(sizes), sum(sizes))
    for size in sizes:
        one_by_one.observe(size)
    assert at_once._count.get() == one_by_one._count.get() == len(sizes)
    assert at_once._sum.get() == one_by_one._sum.get() == sum(sizes)


def work_as_many(folder: str) -> None:
    """Each process counts something of its own, too."""
    worker = len(list(Path(folder).glob("counter_*")))
    metrics = Metrics.of_worker(folder, worker)
    metrics.expect(partition=[str(worker)])
    metrics.messages_received.labels(str(worker)).inc(worker)
    metrics.flush_stage_seconds.labels("store").observe(worker / 10)
    metrics.recorded_message_bytes.observe_sum(2, worker)
    metrics.sessions_handled.set(worker)
    metrics.delivery_retries.set(worker)


def compare_with_the_library(folder: str) -> None:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    ours = Metrics(folder, "supervisor").served()
    expected, served = (sorted(generate_latest(each).decode().splitlines()) for each in (registry, ours))
    assert len(served) > 300
    assert served == expected
    assert sorted(generate_latest(ours).decode().splitlines()) == served, "a second time"


def test_what_is_served_is_what_the_library_would_serve(tmp_path: Path) -> None:
    for _ in range(3):
        in_a_process(work_as_many, tmp_path)
    in_a_process(compare_with_the_library, tmp_path)
