"""How many cores this process may use."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from recording_worker.settings.cgroup import ROOT, cgroup_folders, read_text


def usable_cores(root: Path = ROOT) -> int:
    """Return the cores that this process may run on, or fewer if its cgroup has a smaller CPU quota; at least 1.

    A part of a core counts as one. `root`: see `cgroup`.
    """
    quotas = [math.ceil(quota) for folder in cgroup_folders("cpu", root) for quota in _quota(folder)]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def _quota(folder: Path) -> Iterator[float]:
    """Yield the quota that a cgroup's folder names, if there is one."""
    words = read_text(folder / "cpu.max").split()  # v2: quota or "max", then the period
    words = words or [
        *read_text(folder / "cpu.cfs_quota_us").split(),
        *read_text(folder / "cpu.cfs_period_us").split(),
    ]
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]) > 0:  # -1: no quota
        yield int(words[0]) / int(words[1])
