"""Hosts as an init system sees them: a supervisor each, started again when it ends, and its workers."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tests.faults.proxy import Proxy
from tests.integration.service import toml_text
from tests.servers.child import require, start_lasting

if TYPE_CHECKING:
    from tests.faults.storage import HostStorage

_ROOT = Path(__file__).parent.parent.parent
_HOST = "tests.faults.host"
"""Not imported here: it puts its storage in place when it is."""


class Host:
    """A host: `recording-worker run` behind a proxy of its own, with storage that fails when told to."""

    def __init__(
        self,
        name: str,
        folder: Path,
        proxy: Proxy,
        storage: "HostStorage",
        settings: Mapping[str, Any],
        environment: dict[str, str],
    ) -> None:
        self.name = name
        self.proxy = proxy
        self.storage = storage
        self.log_file = folder / f"{name}.log"
        self.exits: list[int] = []
        """Exit codes of its supervisors, those the suite ended included."""
        self.wanted = False
        """Whether it is to run: then it is started again when it ends."""
        self._config = folder / f"{name}.toml"
        self._config.write_text(toml_text(dict(settings)))
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RECORDING_WORKER_")}
        self._environment = inherited | storage.environment | environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        """Several faults may start and end it at the same time."""
        self._log: BinaryIO = self.log_file.open("ab", buffering=0)

    def start(self) -> None:
        with self._lock:
            self.wanted = True
            self.keep()

    def keep(self) -> None:
        """Do what an init system does: start it if it should run and does not."""
        with self._lock:
            if self._process is not None and (code := self._process.poll()) is not None:
                self.exits.append(code)
                self._process = None
            if self._process is None and self.wanted:
                # it ends with the suite, whatever happens to that
                command = [require("setpriv", "util-linux"), "--pdeathsig", "KILL", sys.executable, "-m", _HOST, "run"]
                self._process = start_lasting(
                    [*command, "--config", str(self._config)],
                    cwd=_ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    env=self._environment,
                    start_new_session=True,
                )

    def stop(self, seconds: float = 30) -> None:
        """SIGTERM, and wait; it stays away."""
        with self._lock:
            self.wanted = False
            if self._process is not None:
                self._process.terminate()
                self._process.wait(seconds)
            self.keep()

    def kill(self) -> list[int]:
        """SIGKILL to the supervisor; returns its workers, which are to die of it. It stays away until it is started."""
        with self._lock:
            self.wanted = False
            workers = self.workers()
            if self._process is not None:
                self._process.kill()
                self._process.wait(10)
            self.keep()
            return workers

    def terminate(self) -> None:
        """SIGTERM to the supervisor, which is started again once it has ended."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()

    def close(self) -> None:
        for pid in self.workers():
            signal_to(pid, signal.SIGCONT)
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self.storage.close()
        for pid in self.kill():
            signal_to(pid, signal.SIGKILL)
        self._log.close()

    @property
    def pid(self) -> int:
        """The supervisor's process id; 0 while there is none."""
        with self._lock:
            return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        supervisor = self.pid
        return [pid for pid, parent in _parents() if supervisor == parent and "spawn_main" in _command(pid)]

    def worker_at(self, client_port: int) -> int | None:
        """The worker a connection to the proxy is from, if it is one of a worker."""
        return next((pid for pid in self.workers() if has_connection(pid, client_port, self.proxy.ports)), None)

    def logged(self, event: str) -> int:
        """How many lines of its log are about this event."""
        return self.log_file.read_bytes().count(event.encode())

    def hanging(self) -> list[int]:
        """The workers that hang in a write."""
        return self.storage.hanging(self.workers())


def signal_to(pid: int, number: int) -> None:
    """Send a signal, if the process still exists."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _parents() -> Iterator[tuple[int, int]]:
    """Process, its parent: of all that are not dead."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if fields[0] != "Z":
            yield int(stat.parent.name), int(fields[1])


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def has_connection(pid: int, client_port: int, ports: Collection[int]) -> bool:
    """Whether the connection from this local port to one of these ports is one of this process."""
    return connections(pid, ports).get(client_port, False)


def connections(pid: int, ports: Collection[int]) -> dict[int, bool]:
    """The local ports of all connections to these ports, and whether they are connections of this process."""
    own = {*_sockets(pid)}
    found: dict[int, bool] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
            if remote in ports:
                found[local] = found.get(local, False) or f"socket:[{fields[9]}]" in own
    return found


def _sockets(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):  # it has just ended
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(link.readlink())
