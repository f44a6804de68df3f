"""Real limits of the system for running processes, set and lifted by tests."""

import itertools
import multiprocessing
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_POLLED = 7
"""A lower limit would break `poll`, which takes no more descriptors than the limit. So the lowest may all be used."""
_PIDS = Path("/sys/fs/cgroup/pids")
_UNIFIED = Path("/sys/fs/cgroup")


@contextmanager
def no_descriptors(pid: int, but: int = 0) -> Iterator[None]:
    """Let a process open no more files, pipes or sockets, `but` this many. Those that are open stay so."""
    taken = open_descriptors(pid)
    free = (number for number in itertools.count(_POLLED) if number not in taken)
    limit = next(itertools.islice(free, but, None))
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it may have ended
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def in_own_process(function: Callable[..., None], *arguments: object) -> None:
    """Run a function of a module in a fresh process, where nobody else opens or closes files. Raises its error."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        process.submit(function, *arguments).result()


def open_descriptors(pid: int) -> set[int]:
    return {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}


@contextmanager
def no_processes(pid: int) -> Iterator[None]:
    """Let a process start no more processes or threads.

    Root has no limit of processes of its own (RLIMIT_NPROC), so for root this is a pids cgroup, as a container has one.
    Skips the test if there is none that it may use.
    """
    if os.geteuid() != 0:
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NPROC)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (0, hard))
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NPROC, (soft, hard))
        return
    parent = _cgroup_of(pid)
    group = parent / f"recording-worker-test-{pid}"
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text("0")  # fewer than there are is allowed: then no new one is granted
    except OSError as refused:
        pytest.skip(f"root is not bound by RLIMIT_NPROC, and no pids cgroup can be made here: {refused}")
    try:
        yield
    finally:
        (group / "pids.max").write_text("max")
        for process in (group / "cgroup.procs").read_text().split():
            (parent / "cgroup.procs").write_text(process)
        group.rmdir()


def _cgroup_of(pid: int) -> Path:
    """Return the folder of the cgroup that counts the tasks of a process, in either version of cgroups."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "pids" in controllers.split(","):
            return _PIDS / path.lstrip("/")
        unified = path
    return _UNIFIED / unified.lstrip("/")


@contextmanager
def small_folder(folder: Path, kib: int) -> Iterator[None]:
    """Make `folder` a file system of this size in memory. Skips the test if this user may not mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a full folder needs a small file system, and none can be mounted here: {mounted.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Take all space that is left in the folder's file system."""
    with suppress(OSError), (folder / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
