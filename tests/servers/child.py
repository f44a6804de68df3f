"""ServerProcess: a server as a child process that tests stop, kill, pause and start again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_START_SECONDS = 30
_STOP_SECONDS = 30


class ServerError(Exception):
    """A server that the tests need is not available."""


def require(program: str, package: str, *folders: Path) -> str:
    """The path of a program of one of these folders, or of the PATH. Raises ServerError if it does not exist."""
    for folder in folders:
        if os.access(folder / program, os.X_OK):
            return str(folder / program)
    if found := shutil.which(program):
        return found
    raise ServerError(f"{program} is missing: install {package} (tools/system-packages python3 servers)")


class ServerProcess:
    """A context manager. The server ends with the thread that started it, whatever happens to that."""

    stop_signal = signal.SIGTERM

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

    def start(self) -> None:
        """Start it, or start it again on the same port; returns once it answers. Raises ServerError."""
        command = [require("setpriv", "util-linux"), "--pdeathsig", "KILL", *self.command()]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"{self.name} does not start; its log:\n{self.log_file.read_text(errors='replace')}")
            time.sleep(0.02)

    def stop(self) -> None:
        """A clean end. Nothing if it does not run."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(self.stop_signal)
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL. Nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self) -> list[str]:
        """What to run."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it takes requests."""
        raise NotImplementedError

    @property
    def runs(self) -> bool:
        return self._process is not None


def answered(ask: Callable[[], object], *not_yet: type[Exception]) -> bool:
    """Whether this can be asked already."""
    try:
        ask()
    except not_yet:
        return False
    return True
