"""How many workers a host starts unless it is told: as many as it has cores, or as its quota allows."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from recording_worker.settings.cores import usable_cores


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
