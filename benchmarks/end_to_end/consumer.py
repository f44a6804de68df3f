"""A consumer as processes: started, watched, stopped, and what they used."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.contenders.process import ContenderError
from benchmarks.end_to_end.machine import pinned

_POLL_SECONDS = 0.1
_STOP_SECONDS = 120
_LOG_TAIL_LINES = 15


class ConsumerProcess:
    """A consumer's first process and its children. A context manager: it kills what still runs at its end."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, cores: Sequence[int], environment: Mapping[str, str]
    ) -> None:
        """`folder` gets its output, and is the folder that it runs in."""
        self.name = name
        self.output = folder / "stdout"
        self.log = folder / "stderr"
        self.started = time.monotonic()
        with self.output.open("wb") as output, self.log.open("wb") as errors:
            self._process = subprocess.Popen(
                [*pinned(cores), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        self._peaks: dict[int, int] = {}
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._over = threading.Event()
        self._watcher.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._watcher.join()
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()

    def wait_for(self, done: Callable[[], bool], what: str, seconds: float) -> float:
        """Wait until something is done. Return the seconds since the start. Raises ContenderError."""
        while not done():
            if self._process.poll() is not None:
                raise ContenderError(self._explained(f"ended with code {self._process.returncode}"))
            if time.monotonic() - self.started > seconds:
                raise ContenderError(self._explained(f"has not {what} within {seconds:.0f} s"))
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - self.started

    def stop(self) -> float:
        """Stop it as an init system does. Return the CPU seconds of all its processes. Raises ContenderError."""
        self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while True:
            pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                raise ContenderError(self._explained(f"does not stop within {_STOP_SECONDS} s"))
            time.sleep(_POLL_SECONDS)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode:
            raise ContenderError(self._explained(f"ended with code {self._process.returncode}"))
        return used.ru_utime + used.ru_stime

    @property
    def peak_rss(self) -> int:
        """The most resident memory that one of its processes had, bytes."""
        return max(self._peaks.values(), default=0)

    def _watch(self) -> None:
        """Ask the kernel for each process's peak now and then. A process's peak never falls."""
        while not self._over.wait(_POLL_SECONDS):
            for pid in [self._process.pid, *_children(self._process.pid)]:
                self._peaks[pid] = max(self._peaks.get(pid, 0), _peak_rss(pid))

    def _explained(self, problem: str) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([f"{self.name} {problem}; its log ends with:", *lines])


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _peak_rss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
