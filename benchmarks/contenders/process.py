"""Contender processes: started on one core, asked for rounds, and stopped."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""


class ContenderError(Exception):
    """A contender that can't be built or started, or that failed. The text says which and why."""


class Contender:
    """A process that holds the messages in memory and runs passes over them when asked to.

    A context manager: the process ends with the block. Raises ContenderError if the process ends early.
    """

    def __init__(self, name: str, command: Sequence[str | Path], messages: Path) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 closed on exit
        self._process = subprocess.Popen(
            [*map(str, command), str(messages)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def run(self, seconds: float) -> dict[str, Any]:
        """Run passes for at least `seconds` of CPU time. Returns the seconds of one pass, and what it found."""
        return self._ask(f"pass {seconds}")

    def digest(self) -> str:
        """Return a hash over the JSON values of all lines."""
        return str(self._ask("digest")["digest"])

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(command, file=self._process.stdin, flush=True)
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            self._process.wait()
            self._errors.seek(0)
            last_line = (self._errors.read().strip() or "no message").splitlines()[-1]
            raise ContenderError(f"{self.name} failed with exit code {self._process.returncode}: {last_line}") from None
        return answer


def stay_on_one_core() -> None:
    """Keep this process, and those it starts from now on, on one core, if the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
