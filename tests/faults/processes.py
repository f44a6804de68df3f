"""Hosts as an init system sees them: a supervisor each, started again when it ends, and its workers."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tests.faults.proxy import Proxy
from tests.integration.service import toml_text

_ROOT = Path(__file__).parent.parent.parent
_HOST = "tests.faults.host"
"""Not imported here: it puts its storage in place when it is."""


class Host:
    """A host: `recording-worker run` behind a proxy of its own, with storage that fails when told to."""

    def __init__(
        self, name: str, folder: Path, proxy: Proxy, settings: Mapping[str, Any], environment: dict[str, str]
    ) -> None:
        self.name = name
        self.proxy = proxy
        self.log_file = folder / f"{name}.log"
        self.exits: list[int] = []
        """Exit codes of its supervisors, those the suite ended included."""
        self.wanted = False
        """Whether it is to run: then it is started again when it ends."""
        self._control = folder / f"{name}.storage"
        self._control.touch()
        self._config = folder / f"{name}.toml"
        self._config.write_text(toml_text(dict(settings)))
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RECORDING_WORKER_")}
        self._environment = inherited | {"FAULTY_STORAGE": str(self._control)} | environment
        self._process: subprocess.Popen[bytes] | None = None
        self._log: BinaryIO = self.log_file.open("ab", buffering=0)

    def start(self) -> None:
        self.wanted = True
        self.keep()

    def keep(self) -> None:
        """Do what an init system does: start it if it should run and does not."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self.exits.append(code)
            self._process = None
        if self._process is None and self.wanted:
            self._process = subprocess.Popen(
                # it ends with the suite, whatever happens to that
                ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", _HOST, "run", "--config", str(self._config)],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=self._environment,
                start_new_session=True,
            )

    def stop(self, seconds: float = 30) -> None:
        """SIGTERM, and wait; it stays away."""
        self.wanted = False
        if self._process is not None:
            self._process.terminate()
            self._process.wait(seconds)
        self.keep()

    def kill(self) -> list[int]:
        """SIGKILL to the supervisor; returns its workers, which are to die of it. It stays away until it is started."""
        self.wanted = False
        workers = self.workers()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        self.keep()
        return workers

    def terminate(self) -> None:
        """SIGTERM to the supervisor, which is started again once it has ended."""
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        for pid in self.workers():
            signal_to(pid, signal.SIGCONT)
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        for pid in self.kill():
            signal_to(pid, signal.SIGKILL)
        self._log.close()

    @property
    def pid(self) -> int:
        """The supervisor's process id; 0 while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return [pid for pid, parent in _parents() if self.pid and parent == self.pid and "spawn_main" in _command(pid)]

    def worker_at(self, client_port: int) -> int | None:
        """The worker a connection to the proxy is from, if it is one of a worker."""
        inode = _socket_inode(client_port, self.proxy.port)
        return next((pid for pid in self.workers() if inode is not None and _has_socket(pid, inode)), None)

    def set_storage(self, order: str) -> None:
        """`fail`, `full`, `hang`, or nothing for storage that works."""
        temporary = self._control.with_name(f".{self._control.name}")
        temporary.write_text(order)
        temporary.rename(self._control)

    @property
    def failed_writes(self) -> int:
        """How many writes of its workers have failed or hung."""
        hits = self._control.with_name(f"{self._control.name}.hits")
        return len(hits.read_bytes()) if hits.exists() else 0

    def logged(self, event: str) -> int:
        """How many lines of its log are about this event."""
        return self.log_file.read_bytes().count(event.encode())

    def hanging(self) -> list[int]:
        """The workers that hang in a write.

        The system gives the ids of those that were killed to other processes and threads, even to the tests' own.
        """
        found = [int(path.suffix[1:]) for path in self._control.parent.glob(f"{self._control.name}.hanging.*")]
        return [pid for pid in self.workers() if pid in found]


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


def _socket_inode(local_port: int, remote_port: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = [int(address.rpartition(":")[2], 16) for address in fields[1:3]]
        if ports == [local_port, remote_port]:
            return fields[9]
    return None


def _has_socket(pid: int, inode: str) -> bool:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()) == f"socket:[{inode}]":
                return True
    return False
