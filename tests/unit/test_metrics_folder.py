import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from recording_worker.processes.metrics_folder import metrics_folder

HOLD = """
import sys
from recording_worker.processes.metrics_folder import metrics_folder
with metrics_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_the_folder_is_removed_at_the_end(temporary: Path) -> None:
    with metrics_folder() as folder:
        assert [*temporary.iterdir()] == [Path(folder)]
    assert [*temporary.iterdir()] == []


def test_folders_of_killed_services_are_removed_and_others_are_left(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        theirs = Path(service.stdout.readline().strip())
        (theirs / "counter_supervisor.db").touch()
        being_made = temporary / "recording-worker-metrics-new"
        being_made.mkdir()
        with metrics_folder() as ours:
            assert {*temporary.iterdir()} == {theirs, being_made, Path(ours)}
        service.kill()
    with metrics_folder() as ours:
        assert {*temporary.iterdir()} == {being_made, Path(ours)}
