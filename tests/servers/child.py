"""ServerProcess: a server as a child process that tests stop, kill, pause and start again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_STOP_SECONDS = 30
_LOG_TAIL_LINES = 30


class ServerError(Exception):
    """A server that the tests need does not start or stop. The text says why."""


def require(program: str, package: str, *folders: Path) -> str:
    """Return the path of a program in one of these folders, or on the PATH. Raises ServerError if it is not there."""
    for folder in folders:
        if os.access(folder / program, os.X_OK):
            return str(folder / program)
    if found := shutil.which(program):
        return found
    raise ServerError(f"{program} is missing: install {package} (see tools/system-packages)")


# The system kills a server when the thread that started it ends. This one lives as long as the process of the tests.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="starter")


def start_lasting(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that ends with this one, rather than with this thread; options as `subprocess.Popen` has them."""
    return _STARTER.submit(lambda: subprocess.Popen(command, **options)).result()


class ServerProcess:
    """A context manager. The server ends with the process that started it, whatever happens to that."""

    stop_signal = signal.SIGTERM
    start_seconds = 30

    def __init__(self, name: str, log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """Its process id. Raises ServerError if it does not run."""
        return self._running().pid

    def start(self) -> None:
        """Start it, or start it again on the same port. Returns once it answers. Raises ServerError."""
        command = [require("setpriv", "util-linux"), "--pdeathsig", "KILL", *self.command()]
        with self.log_file.open("ab") as log:
            self._process = start_lasting(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Send it the stop signal and wait for its end. Does nothing if it does not run. Raises ServerError."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(self._explained(f"does not stop within {_STOP_SECONDS} s")) from None
        self._process = None

    def ends(self, seconds: float) -> bool:
        """Wait so long for it to end by itself. Returns whether it has ended."""
        try:
            self._running().wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._process = None
        return True

    def kill(self) -> None:
        """Send it SIGKILL and wait for its end. Does nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Send it and its children SIGSTOP, and wait until it stands: its connections stay, but nobody answers."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{process.pid}/stat")
        while process.poll() is None and stat.read_text().rpartition(")")[2].split()[0] not in "Tt":
            time.sleep(0.01)
        self._signal_children(signal.SIGSTOP)

    def resume(self) -> None:
        """Send it and its children SIGCONT."""
        self._signal_children(signal.SIGCONT)
        self._running().send_signal(signal.SIGCONT)

    def _signal_children(self, number: signal.Signals) -> None:
        """Signal the processes that it has started, such as the one that serves a connection of PostgreSQL."""
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill it, and start it at the end."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause it, and resume it at the end. Returns once it answers."""
        self.pause()
        try:
            yield
        finally:
            self.resume()
            self._wait_until_it_answers()

    def command(self) -> list[str]:
        """The program to run, and its arguments."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it takes requests."""
        raise NotImplementedError

    def _wait_until_it_answers(self) -> None:
        process = self._running()
        deadline = time.monotonic() + self.start_seconds
        while not self.answers():
            if process.poll() is not None:
                raise ServerError(self._explained(f"ended with code {process.returncode}"))
            if time.monotonic() > deadline:
                raise ServerError(self._explained(f"does not answer after {self.start_seconds} s"))
            time.sleep(0.02)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError(f"{self.name} does not run")
        return self._process

    def _explained(self, problem: str) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([f"{self.name} {problem}; its log ({self.log_file}) ends with:", *lines])


def answered(ask: Callable[[], object], *not_yet: type[Exception]) -> bool:
    """Whether this can be asked without one of these errors."""
    try:
        ask()
    except not_yet:
        return False
    return True
