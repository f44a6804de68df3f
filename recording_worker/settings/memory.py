"""MemoryBudget: what each part of a worker may hold. All of it follows from one figure."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from recording_worker.settings.cgroup import ROOT, cgroup_folders, read_text

MIB = 1024 * 1024
DEFAULT_MEMORY = 512 * MIB
"""The budget of a worker if nothing limits the memory of its container."""
PROCESS_BYTES = 64 * MIB
"""What a worker takes that holds no messages: Python, libraries, connections."""
COMPRESSION_BYTES = 24 * MIB
"""What the compression of blocks takes in addition to the blocks."""
DECODING_FACTOR = 6
"""A message takes up to this many times its decompressed size while it is decoded."""
SUPERVISOR_BYTES = 128 * MIB
_NO_LIMIT = 1 << 60
"""From here on a number stands for no limit."""


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How much each part of a worker may hold, in bytes. Together they are the worker's `memory`."""

    fetch_bytes: int
    """The queue of fetched messages; the largest fetch; and the messages of a poll. librdkafka frees a fetch when its
    last message is done, so that a queue and a poll may each keep one fetch more alive."""
    poll_bytes: int
    """The lines of a poll, after which the rest of the poll waits."""
    large_bytes: int
    """A message that takes more than this is large. It is decoded only while the worker holds no session batch."""
    held_bytes: int
    """The lines of all session batches: the one that is filled, and the one that is being flushed."""
    batch_bytes: int
    """A session batch that is due for its flush. So the next one has room while this one is flushed."""
    kept_bytes: int
    """The memory of lines and of compressed blocks that is used again. Fresh memory costs the system time."""


def memory_budget(memory: int, *, keeps_files: bool) -> MemoryBudget:
    """Divide the memory of a worker. `keeps_files`: the storage keeps a file in memory until it is stored."""
    rest = max(memory, 2 * PROCESS_BYTES) - PROCESS_BYTES
    fetch, poll, large = rest // 28, rest // 14, rest // 56
    held = rest - COMPRESSION_BYTES - 4 * fetch - poll - DECODING_FACTOR * large
    kept = held
    if keeps_files:  # a file is as large as its batch, if that does not compress
        held = held * 3 // 5
    return MemoryBudget(fetch, poll, large, held, held * 2 // 3, kept)


def least_memory(max_decompressed_bytes: int) -> int:
    """Return the memory in which the largest message can be decoded. The compression keeps its buffers meanwhile."""
    return PROCESS_BYTES + COMPRESSION_BYTES + DECODING_FACTOR * max_decompressed_bytes


def default_memory(workers: int) -> int:
    """Return a worker's memory: 512 MiB, or if that is less, its share of the memory of this process's container."""
    limit = container_memory()
    return DEFAULT_MEMORY if limit is None else min(DEFAULT_MEMORY, (limit - SUPERVISOR_BYTES) // workers)


@cache
def container_memory(root: Path = ROOT) -> int | None:
    """Return the memory limit of this process's cgroup, or the least one of those around it; None without one.

    `root`: see `cgroup`. The limit is read once.
    """
    texts = [
        read_text(folder / "memory.max") or read_text(folder / "memory.limit_in_bytes")
        for folder in cgroup_folders("memory", root)
    ]
    limits = [int(text) for text in map(str.strip, texts) if text.isdecimal()]  # else "max"
    return min((limit for limit in limits if limit < _NO_LIMIT), default=None)
