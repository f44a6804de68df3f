"""The command line as a process for the tests."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line a failed command says, without its prefix."""
        [line] = self.err.splitlines()
        return line.removeprefix("recording-worker: error: ")


def environment(**variables: str) -> dict[str, str]:
    """The tests' environment without settings, except the given ones."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RECORDING_WORKER_")}
    return inherited | variables


def start(*arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
    """Start a command, in a process group of its own as a terminal would."""
    return subprocess.Popen(
        [sys.executable, "-m", "recording_worker", *map(str, arguments)],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*arguments: str | Path, timeout: float = 60, **variables: str) -> Result:
    """Run a command to its end."""
    with start(*arguments, **variables) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Result(process.returncode, out, err)


def group_members(group: int) -> list[str]:
    """The processes of a process group that are not dead, as lines of /proc/…/stat."""
    lines = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            line = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        state, _parent, process_group, *_ = line.rpartition(")")[2].split()
        if int(process_group) == group and state != "Z":
            lines.append(line)
    return lines
