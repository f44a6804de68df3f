"""Shared metrics in a folder that has no space: a real one, and full."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from tests import limits

COUNT = """
import sys
from pathlib import Path
from tests import limits
from recording_worker.metrics import Metrics
folder, when = sys.argv[1:]
if when == "at the start":
    limits.fill(Path(folder))
metrics = Metrics.of_worker(folder, 0)
metrics.events.inc(5)
if when == "while it runs":
    limits.fill(Path(folder))
for partition in range(5000):
    metrics.partition_messages.labels(str(partition)).inc()
metrics.events.inc(2)
print(metrics.events._value.get(), metrics.partition_messages.labels("4999")._value.get())
"""


def count(folder: Path, when: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COUNT, str(folder), when], capture_output=True, text=True, timeout=100, check=False
    )


def served_events(folder: Path) -> float | None:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry.get_sample_value("recording_worker_events_total")


@pytest.mark.parametrize("when", ["never", "at the start", "while it runs"])
def test_counting_goes_on_in_a_folder_without_space(tmp_path: Path, when: str) -> None:
    with limits.small_folder(tmp_path, 8192):
        done = count(tmp_path, when)
        assert done.returncode != -signal.SIGBUS
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "7.0 1.0")
        assert ("no space for metrics" in done.stdout) == (when != "never")
        # what is there stays readable, and is as of the moment when the space ended
        assert served_events(tmp_path) == {"never": 7.0, "at the start": None, "while it runs": 5.0}[when]


def test_a_file_has_its_space_before_it_is_written_to(tmp_path: Path) -> None:
    assert count(tmp_path, "never").returncode == 0
    files = [path.stat() for path in tmp_path.glob("*.db")]
    assert files
    assert all(file.st_blocks * 512 >= file.st_size for file in files)
