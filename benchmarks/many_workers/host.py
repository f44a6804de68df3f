"""A host: `recording-worker run` as a process, asked over HTTP, and looked at through /proc."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.servers.ports import free_ports

_LOOK_SECONDS = 0.2
_STOP_SECONDS = 120
_TICKS = os.sysconf("SC_CLK_TCK")
_LISTED_STATES = {"01"}
"""ESTABLISHED, as /proc/net/tcp writes it."""


class HostError(Exception):
    """A host that does not do what it is asked to."""


class Host:
    """A context manager: it kills what still runs at its end."""

    def __init__(self, name: str, folder: Path, bootstrap_servers: str, topic: str, workers: int) -> None:
        self._log = folder / f"{name}.log"
        (port,) = free_ports(1)
        self._url = f"http://127.0.0.1:{port}/"
        command = [sys.executable, "-m", "recording_worker", "run", "--any-token", "--storage", "blackhole:"]
        command += ["--bootstrap-servers", bootstrap_servers, "--topic", topic, "--workers", str(workers)]
        command += ["--ops-port", str(port), "--log-json", "--drain-deadline", "60s"]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("RECORDING_WORKER_")}
        self.started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables, start_new_session=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> float:
        """Stop it as an init system does. Return the seconds that it took. Raises HostError."""
        began = time.monotonic()
        self._process.terminate()
        if code := self._process.wait(_STOP_SECONDS):
            raise HostError(self._explained(f"ended with code {code}"))
        return time.monotonic() - began

    def page(self, name: str) -> bytes:
        """Return a page of its ops server; nothing while there is none, or it says that the host is not ready."""
        try:
            with urllib.request.urlopen(self._url + name, timeout=60) as response:
                return bytes(response.read())
        except (urllib.error.URLError, OSError):
            return b""

    def status(self) -> dict[str, Any]:
        """Return the document of /status.json; empty while there is none."""
        found: dict[str, Any] = json.loads(self.page("status.json") or b"{}")
        return found

    def wait_for(self, done: Callable[[], bool], what: str, seconds: float) -> float:
        """Wait until something is done. Return the seconds since its start. Raises HostError."""
        deadline = time.monotonic() + seconds
        while not done():
            if self._process.poll() is not None:
                raise HostError(self._explained(f"ended with code {self._process.returncode}"))
            if time.monotonic() > deadline:
                raise HostError(self._explained(f"has not {what} within {seconds:.0f} s"))
            time.sleep(_LOOK_SECONDS)
        return time.monotonic() - self.started

    def is_ready(self) -> bool:
        """Return whether it records."""
        return bool(self.page("readyz"))

    def held(self) -> int:
        """Return how many partitions are with its workers."""
        return sum(at["worker"] is not None for at in self.status().get("partitions", []))

    def received(self) -> float:
        """Return how many messages it has read."""
        lines = self.page("metrics").decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("recording_worker_messages_received_t"))

    @property
    def supervisor(self) -> int:
        """The process id of the supervisor."""
        return self._process.pid

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        return [each["pid"] for each in self.status()["workers"] if each["pid"] is not None]

    def _explained(self, problem: str) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"the host {problem}; its log ends with:", *lines])


def cpu_seconds(pids: Sequence[int]) -> dict[int, float]:
    """Return process id → the CPU seconds that it has used since its start."""
    found = {}
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def memory_mib(pid: int) -> Mapping[str, float]:
    """Return what the kernel says of a process's memory, MiB: Rss, Pss, and what is its own alone (Private)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return {"Rss": sizes["Rss"], "Pss": sizes["Pss"], "Private": sizes["Private_Clean"] + sizes["Private_Dirty"]}


def connections_to(port: int) -> int:
    """Return how many connections to a port of this machine there are."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [line.split()[2:4] for line in lines]
    return sum(int(remote.rpartition(":")[2], 16) == port and state in _LISTED_STATES for remote, state in ends)
