"""The memory of a worker: what its parts may take, and what a container leaves it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.settings.memory import (
    COMPRESSION_BYTES,
    DECODING_FACTOR,
    MIB,
    PROCESS_BYTES,
    container_memory,
    default_memory,
    least_memory,
    memory_budget,
)
from recording_worker.settings.model import Settings


@given(st.integers(128 * MIB, 1 << 40), st.booleans())
def test_the_parts_together_are_the_whole(memory: int, keeps_files: bool) -> None:
    budget = memory_budget(memory, keeps_files=keeps_files)
    fetched = 4 * budget.fetch_bytes
    decoding = DECODING_FACTOR * budget.large_bytes + budget.poll_bytes
    file = budget.batch_bytes if keeps_files else 0
    assert PROCESS_BYTES + COMPRESSION_BYTES + fetched + decoding + budget.held_bytes + file <= memory
    assert 0 < budget.batch_bytes < budget.held_bytes


def test_the_largest_message_fits_beside_nothing() -> None:
    settings = Settings()
    assert least_memory(settings.max_decompressed_bytes) <= settings.memory_bytes


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"memory": "256MiB", "workers": 3},
            "memory is 256MiB for each of 3 workers, .* needs 472MiB: set more memory",
        ),
        ({"memory": "1GiB", "max_batch_bytes": "768MiB"}, "max_batch_bytes is 768MiB, but memory 1GiB has room for .*"),
    ],
)
def test_what_does_not_fit_is_said(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Settings(**settings)


def test_a_lower_limit_of_a_batch_is_kept() -> None:
    assert Settings(max_batch_bytes=1000).budget.batch_bytes == 1000
    assert Settings(memory=1024 * MIB).budget.batch_bytes > Settings().budget.batch_bytes


def limits_in(folder: Path, membership: str, limits: dict[str, str]) -> int | None:
    """Lay out cgroups as the system shows them (path → content), and read the limit of the process they describe."""
    files = {"proc/self/cgroup": membership, **{f"sys/fs/cgroup/{path}": text for path, text in limits.items()}}
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return container_memory(folder)


@pytest.mark.parametrize(
    ("membership", "limits", "found"),
    [
        ("0::/\n", {"memory.max": "1000\n"}, 1000),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {}, None),
        ("0::/pod/app\n", {"pod/memory.max": "2000\n", "pod/app/memory.max": "max\n"}, 2000),
        ("0::/pod/app\n", {"pod/memory.max": "2000\n", "pod/app/memory.max": "500\n"}, 500),
        ("0::/of/the/host\n", {"memory.max": "700\n"}, 700),
        ("3:cpu:/\n2:memory:/app\n0::/\n", {"memory/app/memory.limit_in_bytes": "900\n"}, 900),
        ("2:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
    ],
)
def test_the_limit_of_a_container(membership: str, limits: dict[str, str], found: int | None, tmp_path: Path) -> None:
    assert limits_in(tmp_path, membership, limits) == found


def test_a_system_without_cgroups(tmp_path: Path) -> None:
    assert container_memory(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("limit", "workers", "memory"),
    [(None, 64, 512 * MIB), (8192 * MIB, 2, 512 * MIB), (1024 * MIB, 2, 448 * MIB), (1024 * MIB, 1, 512 * MIB)],
)
def test_workers_share_the_memory_of_their_container(
    limit: int | None, workers: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recording_worker.settings.memory.container_memory", lambda: limit)
    assert default_memory(workers) == memory
