"""How many cores this process may use, and which of them each worker is pinned to."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from recording_worker.settings.cgroup import ROOT, cgroup_folders, read_text

_MOST_CORES = 1 << 16
"""More than a kernel knows."""


def usable_cores(root: Path = ROOT) -> int:
    """Return the cores that this process may run on, or fewer if its cgroup has a smaller CPU quota; at least 1.

    A part of a core counts as one. `root`: see `cgroup`.
    """
    quotas = [math.ceil(quota) for folder in cgroup_folders("cpu", root) for quota in _quota(folder)]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def parse_cores(text: str) -> list[int]:
    """Return the cores of a list as the kernel writes it: `0-3,8,10-11`. Raises ValueError."""
    cores: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else True)) or int(last or first) >= _MOST_CORES:
            raise ValueError("must be a list of cores such as 0-3,8,10-11")
        cores += range(int(first), int(last or first) + 1)
    if not cores or len(set(cores)) < len(cores):
        raise ValueError("must name each core once, and the lower end of a range first")
    return cores


def cores_of(worker: int, workers: int, cores: Sequence[int]) -> Sequence[int]:
    """Return the cores that a worker is pinned to: its part of the list, in order, or one that it shares."""
    if workers >= len(cores):
        return [cores[worker * len(cores) // workers]]
    return cores[worker * len(cores) // workers : (worker + 1) * len(cores) // workers]


def _quota(folder: Path) -> Iterator[float]:
    """Yield the quota that a cgroup's folder names, if there is one."""
    words = read_text(folder / "cpu.max").split()  # v2: quota or "max", then the period
    words = words or [
        *read_text(folder / "cpu.cfs_quota_us").split(),
        *read_text(folder / "cpu.cfs_period_us").split(),
    ]
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]) > 0:  # -1: no quota
        yield int(words[0]) / int(words[1])
