"""How many workers a host starts unless it is told, and which cores each of them is pinned to."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from recording_worker.errors import ConfigError
from recording_worker.settings.cores import cores_of, parse_cores, usable_cores
from recording_worker.settings.load import load_settings


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)))


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 16), ("200000 100000", 2), ("150000 100000", 2), ("20000 100000", 1), ("9900000 100000", 16)],
)
def test_a_quota_counts_if_it_is_smaller(tmp_path: Path, quota: str, cores: int) -> None:
    write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": quota})
    assert usable_cores(tmp_path) == cores


def test_the_smallest_quota_above_a_process_counts(tmp_path: Path) -> None:
    write(tmp_path, {"proc/self/cgroup": "0::/pods/one/main"})
    for folder, quota in (("pods", "800000"), ("pods/one", "300000"), ("pods/one/main", "max")):
        write(tmp_path, {f"sys/fs/cgroup/{folder}/cpu.max": f"{quota} 100000"})
    assert usable_cores(tmp_path) == 3


@pytest.mark.parametrize(("quota", "cores"), [("-1", 16), ("400000", 4)])
def test_cgroups_of_version_1(tmp_path: Path, quota: str, cores: int) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": quota,
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert usable_cores(tmp_path) == cores


def test_without_cgroups_all_cores_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 16


@pytest.mark.parametrize(
    ("text", "cores"), [("0", [0]), ("0-3", [0, 1, 2, 3]), ("8, 2-3,10-11", [8, 2, 3, 10, 11]), ("7-7", [7])]
)
def test_a_list_of_cores_is_written_as_the_kernel_does(text: str, cores: list[int]) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize("text", ["", "a", "0-", "-3", "3-1", "0,0", "1-3,2", "0;1", "0-99999999"])
def test_what_is_no_list_of_cores_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_cores(text)
    if text:
        with pytest.raises(ConfigError, match=r"^--cpus: must .* \(got "):
            load_settings({"cpus": text}, None, {})


@pytest.mark.parametrize(
    ("workers", "cores", "each"),
    [
        (2, [4, 5], [[4], [5]]),
        (2, [0, 1, 2, 3], [[0, 1], [2, 3]]),
        (2, [0, 1, 2], [[0], [1, 2]]),
        (4, [7, 9], [[7], [7], [9], [9]]),
        (3, [1], [[1], [1], [1]]),
    ],
)
def test_the_cores_are_divided_among_the_workers_in_their_order(
    workers: int, cores: list[int], each: list[list[int]]
) -> None:
    assert [[*cores_of(worker, workers, cores)] for worker in range(workers)] == each


def test_there_is_a_worker_for_each_core_that_workers_are_pinned_to() -> None:
    assert load_settings({"cpus": "0-2,8"}, None, {}).workers == 4
    assert load_settings({"cpus": "0-2,8", "workers": "8"}, None, {}).workers == 8
    assert load_settings({"cpus": "0-63"}, None, {}).workers == 16, "no more than this process may use"
    assert load_settings({}, None, {}).workers == 16
