"""How many cores this process may use."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def usable_cores(root: Path = _ROOT) -> int:
    """Return the cores that this process may run on, or fewer if its cgroup has a smaller CPU quota; at least 1.

    A part of a core counts as one. `root` is the folder in which /proc and /sys are.
    """
    quotas = [math.ceil(quota) for quota in _quotas(root)]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of this process's cgroup and those above it. In a container these may be hidden."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _number, controllers, group = line.split(":", 2)
        mounted = root / "sys/fs/cgroup"
        if controllers:  # cgroup v1
            if "cpu" not in controllers.split(","):
                continue
            mounted /= "cpu"
        folder = mounted / group.lstrip("/")
        for place in (folder, *folder.parents):
            if place.is_relative_to(mounted):
                yield from _quota(place)


def _quota(folder: Path) -> Iterator[float]:
    """Yield the quota that a cgroup's folder names, if there is one."""
    words = _text(folder / "cpu.max").split()  # v2: quota or "max", then the period
    words = words or [*_text(folder / "cpu.cfs_quota_us").split(), *_text(folder / "cpu.cfs_period_us").split()]
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]) > 0:  # -1: no quota
        yield int(words[0]) / int(words[1])


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
