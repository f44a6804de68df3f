"""The document of the status page: what it says, what holds the host up, and what it keeps of the last 15 minutes."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from recording_worker.dependencies import SESSIONS_REDIS, STORAGE
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.board import DependencyStatus
from recording_worker.processes.supervisor.diagnosis import diagnose, find_bottleneck
from recording_worker.processes.supervisor.history import History, Sample
from recording_worker.processes.supervisor.slot import WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus
from recording_worker.processes.supervisor.usage import Usage, usage_of
from tests.builders import FakeClock
from tests.status_page import Host

PAGE = Path(__file__).parents[2] / "docs" / "operate" / "status.md"


def document(host: Host) -> Any:
    return json.loads(host.get("/status.json")[1])


def keys(value: object, path: str = "") -> set[str]:
    """The keys of a document, as the docs write them."""
    if isinstance(value, Mapping):
        return {each for key, inner in value.items() for each in keys(inner, f"{path}.{key}" if path else key)}
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return {each for inner in value for each in keys(inner, f"{path}[]")}
    return {path}


def test_every_key_is_documented() -> None:
    host = Host()
    host.fails()
    documented = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(keys(document(host))) == sorted(documented)


STAGES = {"gather": 0.05, "compress": 0.2, "store": 0.6, "deliver": 0.15}


def test_a_host_that_works() -> None:
    host = Host()
    host.works()
    said = document(host)
    assert (said["ready"], said["level"], said["verdict"], said["reasons"]) == (True, "good", "Recording", [])
    assert said["bottleneck"]["who"] == ""
    assert said["lag"]["messages"] == 255
    assert 1 <= said["lag"]["seconds"] <= 3
    assert 1500 < said["rates"]["messages_per_second"] < 3000
    assert said["flushes"]["per_second"] == pytest.approx(0.2)
    assert said["flushes"]["mean_seconds"] == pytest.approx(1.3)
    shares = {each["name"]: each["share"] for each in said["flushes"]["stages"]}
    assert shares == {name: pytest.approx(share) for name, share in STAGES.items()}
    assert [each["cpu_cores"] for each in said["workers"]] == [pytest.approx(0.55)] * 2
    assert {len(values) for values in said["series"].values()} == {180}
    assert said["dlq"][0] == {"reason": "invalid_json", "messages": 1.0, "recent": 1.0}


def test_a_host_that_fails_says_why_and_what_happens_meanwhile() -> None:
    host = Host()
    host.fails()
    said = document(host)
    assert (said["ready"], said["level"], said["verdict"]) == (False, "bad", "Not ready")
    assert said["bottleneck"]["who"] == "Storage"
    assert [each["text"][:14] for each in said["errors"]] == ["worker 1 ended", "Storage fails:"], "the latest first"
    [storage] = [each for each in said["dependencies"] if each["name"] == "storage"]
    assert storage["meanwhile"] == STORAGE.without
    assert storage["workers"] == [0, 1]
    waiting = said["workers"][1]
    assert (waiting["pid"], waiting["memory_bytes"], waiting["cpu_cores"]) == (None, None, None)


def test_settings_are_shown_without_secrets() -> None:
    host = Host(sessions_redis=SecretStr("redis://:hush-hush@redis/0"), teams=None)
    text = host.get("/status.json")[1]
    assert "hush" not in text
    shown = {each["name"]: each["value"] for each in json.loads(text)["settings"]}
    assert (shown["sessions_redis"], shown["workers"], shown["storage"]) == (
        "redis://***@redis/0",
        "2",
        "s3://recordings",
    )


BUSY = PartitionStatus(0, 0, 0, 10, 9_000, "", False, 0, 1_000.0)
OTHER = PartitionStatus(1, 1, 0, 10, 8_000, "", False, 0, 1_000.0)
WORKERS = tuple(WorkerStatus(number, 10 + number, WorkerState.RUNNING, 0, None) for number in (0, 1))


def sampled(*, flush_share: float = 0.0, cores: tuple[float, float] = (0.0, 0.0)) -> History:
    """A history of two workers that have flushed and used their CPU this much for 5 s."""
    clock = FakeClock()
    history = History(Metrics().served(), clock)
    for seconds in (0.0, 5.0):
        usage = {number: (10 + number, Usage(1, seconds * used)) for number, used in enumerate(cores)}
        totals = {"flush_seconds": 2 * flush_share * seconds}
        history._samples.append(Sample(clock.monotonic() + seconds, totals=totals, usage=usage))
    return history


@pytest.mark.parametrize(
    ("status", "history", "who"),
    [
        (Status(0, (), WORKERS, (BUSY, OTHER)), sampled(flush_share=0.9), "Flushes"),
        (Status(0, (), WORKERS, (BUSY, OTHER)), sampled(cores=(0.95, 0.9)), "CPU"),
        (Status(0, (), WORKERS, (BUSY, OTHER)), sampled(cores=(0.95, 0.2)), "CPU of worker 0"),
        (Status(0, (), WORKERS, (BUSY, OTHER)), sampled(), "Reading from Kafka"),
        (Status(0, (), WORKERS, (BUSY, PartitionStatus(1, 1, 5, 5, 5, "", False))), sampled(), "Partition 0"),
        (Status(0, (), (), (BUSY, OTHER)), sampled(), "Workers"),
        (Status(0, (), WORKERS, (PartitionStatus(1, 1, 5, 5, 5, "", False),)), sampled(flush_share=1), ""),
        (
            Status(0, (), WORKERS, (BUSY,), (DependencyStatus(STORAGE, 3.0, "refused", (0,), None, None),)),
            sampled(cores=(0.95, 0.9)),
            "Storage",
        ),
    ],
)
def test_what_holds_the_host_up(status: Status, history: History, who: str) -> None:
    assert find_bottleneck(status, history, now=2_000.0).who == who


def test_the_cpu_of_a_worker_counts_from_its_own_start() -> None:
    history = sampled(cores=(0.5, 0.5))
    at, usage = history.latest.at, {0: (10, Usage(1, 5.0)), 1: (99, Usage(1, 7.0))}
    history._samples.append(Sample(at + 5.0, usage=usage))
    assert history.cpu() == {0: 0.5}
    history._samples.append(Sample(at + 10.0, usage=usage | {1: (99, Usage(1, 8.0))}))
    assert history.cpu()[1] == pytest.approx(0.2)


SILENT = WorkerStatus(0, 10, WorkerState.RUNNING, 0, None, silent_seconds=4.0)


def test_a_worker_that_stands_still_is_named_before_the_host_is_far_behind() -> None:
    status = Status(0, (), (SILENT, WORKERS[1]), (BUSY,))
    assert find_bottleneck(status, sampled(), now=1_005.0).who == "Worker 0"
    assert diagnose(status) == ("warning", "Recording, but worker 0 stands still")
    both = Status(0, (), (SILENT, dataclasses.replace(WORKERS[1], silent_seconds=7.0)), (BUSY,))
    assert find_bottleneck(both, sampled(), now=1_005.0) == (
        "Workers 0, 1",
        "Silent for 7 s: stopped from outside, hung, or waiting for a flush.",
    )


def test_a_silence_means_nothing_if_nothing_waits() -> None:
    status = Status(0, (), (SILENT,), (PartitionStatus(1, 1, 5, 5, 5, "", False),))
    assert find_bottleneck(status, sampled(), now=1_005.0).who == ""
    assert diagnose(status) == ("good", "Recording")


def test_a_host_that_is_a_batch_behind_keeps_up() -> None:
    status = Status(0, (), WORKERS, (BUSY,))
    assert find_bottleneck(status, sampled(cores=(1, 1)), now=1_030.0).who == ""


def test_ready_is_not_always_well() -> None:
    away = (DependencyStatus(SESSIONS_REDIS, 3.0, "refused", (0,), None, None),)
    assert diagnose(Status(0, (), WORKERS, (), away)) == ("warning", "Recording, but Redis (sessions) fails")
    stopped = PartitionStatus(0, 0, 0, 0, 0, "a hole", False)
    assert diagnose(Status(0, (), WORKERS, (stopped,))) == ("warning", "Recording, but 1 partition is stopped")


def test_lag_in_time_counts_from_the_last_moment_without_lag() -> None:
    caught_up = PartitionStatus(0, 0, 10, 10, 10, "", False, 100, 900.0)
    assert Status(0, (), (), (caught_up,)).lag_seconds(1_000.0) == 0
    assert Status(0, (), (), (caught_up, BUSY)).lag_seconds(1_060.0) == 60
    assert Status(0, (), (), (PartitionStatus(0, 0, 5, 5, 10, "", False),)).lag_seconds(1_000.0) is None


def test_the_history_counts_from_the_metrics_and_keeps_15_minutes() -> None:
    metrics, clock = Metrics(), FakeClock()
    workers = (WorkerStatus(0, os.getpid(), WorkerState.RUNNING, 0, None),)
    history, status = History(metrics.served(), clock), Status(0, (), workers)
    for _ in range(200):
        metrics.messages_received.labels("0").inc(50)
        metrics.messages_received.labels("1").inc(50)
        metrics.messages.labels("dlq", "invalid_json").inc(5)
        metrics.message_bytes.observe(400)
        metrics.flushed_bytes.inc(50)
        metrics.flushed_events.inc(35)
        metrics.flush_seconds.observe(2.5)
        metrics.flush_stage_seconds.labels("store").observe(3)
        metrics.flush_stage_seconds.labels("deliver").observe(1)
        history.take(status)
        clock.ms += 5_000
    rates = {total: history.rate(total) for total in ("messages", "bytes", "written_bytes", "events", "flush_seconds")}
    assert rates == {"messages": 20, "bytes": 80, "written_bytes": 10, "events": 7, "flush_seconds": 0.5}
    assert history.rate("flushes") == pytest.approx(0.2)
    assert len(history.series()["messages_per_second"]) == 180
    assert set(history.series()["messages_per_second"]) == {20}
    assert history.stage_shares() == {"store": 0.75, "deliver": 0.25}, "stages that take no time are left out"
    assert history.recent_dlq() == {"invalid_json": 900}
    assert history.latest.memory_bytes > 10_000_000


def test_the_kernel_says_what_a_process_uses() -> None:
    used = usage_of(os.getpid())
    assert used is not None
    assert used.memory_bytes > 10_000_000
    assert used.cpu_seconds > 0
    assert usage_of(1 << 30) is None
