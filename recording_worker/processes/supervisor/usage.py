"""What a process uses, as the kernel says it."""

import os
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """What a process uses."""

    memory_bytes: int
    """Its resident memory."""
    cpu_seconds: float
    """The CPU time that it has used since its start."""


def usage_of(pid: int) -> Usage | None:
    """Return what a process uses; None if it is gone, or the system has no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name, in brackets, may hold anything
    return Usage(int(fields[21]) * _PAGE_BYTES, (int(fields[11]) + int(fields[12])) / _TICKS)
