"""The README runs: its commands work as written, in the order of the page, in a copy of the checkout."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command import environment
from tests.servers.ports import free_ports
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
KAFKA_PORT, OPS_PORT = free_ports(2)
OPS = f"http://127.0.0.1:{OPS_PORT}"
SAMPLE_EVENTS = 5834
SERVES = "until Ctrl-C"
"""What the README says next to a command that does not end by itself."""


def commands() -> Iterator[str]:
    """The lines of the README's ```sh blocks."""
    for block in re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL):
        yield from block.splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of this checkout, committed or not, with this environment as `.venv` and the native core as built."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listed, cwd=ROOT, text=True).split("\0")
    built = [str(path.relative_to(ROOT)) for path in ROOT.glob("recording_worker/*.so")]
    for name in filter(None, [*names, *built]):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


class Reader:
    """Follows the README in a folder, with ports that are free and batches that don't wait for ten seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = environment(
            PORT=str(KAFKA_PORT),
            RECORDING_WORKER_BOOTSTRAP_SERVERS=f"127.0.0.1:{KAFKA_PORT}",
            RECORDING_WORKER_OPS_PORT=str(OPS_PORT),
            RECORDING_WORKER_MAX_BATCH_AGE="1",
        )
        # the environment exists: make must not set it up again from this folder
        self._shell = 'make() { command make --old-file=.venv/.installed "$@"; }\n'
        self._output = folder / "output"
        self._serving: list[subprocess.Popen[bytes]] = []

    def follow(self, line: str) -> str:
        """Run a command to its end, or until it serves; returns what it wrote."""
        if line.startswith("export "):
            self._shell += f"{line}\n"
        if line.startswith("make test "):
            line = line.replace("make", "make --dry-run", 1)  # it would run this test
        if line.startswith("sleep "):
            wait_for(_sample_is_flushed, "the sample is flushed", 60)
            return ""
        with self._output.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euc", self._shell + line],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._serving.append(process)
        if SERVES in line:
            wait_for(lambda: self._serves(process), f"it serves: {line}", 90)
        else:
            code = process.wait(120)
            self._serving.pop()
            assert code == 0, f"{line}\n{self._output.read_text()}"
        said = self._output.read_text()
        self._output.unlink()  # what serves may go on writing
        return said

    def interrupt(self) -> list[int]:
        """End what serves, the latest first, as Ctrl-C does; returns the exit codes."""
        codes = []
        while self._serving:
            process = self._serving.pop()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            try:
                codes.append(process.wait(60))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                codes.append(process.wait())
        return codes

    def _serves(self, process: subprocess.Popen[bytes]) -> bool:
        said = self._output.read_text()
        assert process.poll() is None, said
        if page := re.search(r"^http://\S+$", said, re.MULTILINE):
            return _get(page[0]).startswith("<!doctype html>")
        return "Kafka listens on" in said or ("ops server" in said and _get(f"{OPS}/readyz") == "ready\n")


def _sample_is_flushed() -> bool:
    events = re.search(r"^recording_worker_flushed_events_total (\S+)$", _get(f"{OPS}/metrics"), re.MULTILINE)
    return events is not None and float(events[1]) == SAMPLE_EVENTS


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_the_commands_work_in_the_order_of_the_page(checkout: Path) -> None:
    reader = Reader(checkout)
    try:
        said = {line.partition(" #")[0].strip(): reader.follow(line) for line in commands()}
    finally:
        codes = reader.interrupt()
    assert len(codes) == 3
    assert (codes[0], codes[-1]) == (0, 0), "run and play end well; make kafka, between them, says it was interrupted"
    assert "PASS" in said["make demo"]
    for place in ("out", "recordings"):
        assert "12 sessions in " in said[f"recording-worker sessions {place}/blocks"]
    assert (checkout / "session.jsonl").read_text().count("\n") == 332
    assert (checkout / "session.html").read_text().startswith("<!doctype html>")
