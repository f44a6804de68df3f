"""The cgroups of this process, in which a container's limits stand (cgroups(7))."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
"""The folder in which /proc and /sys are."""


def cgroup_folders(controller: str, root: Path = ROOT) -> Iterator[Path]:
    """Yield the folders of this process's cgroup and of those around it, for a controller such as `cpu` or `memory`.

    Of both versions of cgroups. In a container the outer ones may be hidden, so a folder may be missing.
    """
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _number, controllers, group = line.split(":", 2)
        mounted = root / "sys/fs/cgroup"
        if controllers:  # version 1
            if controller not in controllers.split(","):
                continue
            mounted /= controller
        folder = mounted / group.lstrip("/")
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(mounted))


def read_text(file: Path) -> str:
    """Return the content of a file; nothing if it can't be read."""
    try:
        return file.read_text()
    except OSError:
        return ""
