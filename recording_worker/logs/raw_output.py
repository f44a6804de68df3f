"""RawOutput: what a worker writes to stderr without our logs, such as the stacks of a crash, as lines of the log.

With JSON lines in the log, all else would break its readers. So a worker's stderr leads to a file, and the supervisor
logs what comes there. It can do that after the worker has crashed, too.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

import structlog

from recording_worker.repeating import repeating

log = structlog.get_logger()

_NAME = "stderr-"
_LOOK_SECONDS = 0.5
_MOST_BYTES = 64 * 1024
"""What is logged of one look, at most: the end of what came."""


def divert_stderr(folder: str, worker: int) -> TextIO:
    """Let stderr of this process lead to a file in the folder. Return a stream to where it led before, for the log."""
    before = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    file = os.open(Path(folder) / f"{_NAME}{worker}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 2)
    os.close(file)
    return before


class RawOutput:
    """The supervisor's end: logs what workers wrote to such files in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._read: dict[str, int] = {}
        """File name → how much of it was read."""

    def logged(self) -> AbstractContextManager[None]:
        """Log what comes while the body runs, on a thread, and what is left when it ends."""
        return repeating(self.look, _LOOK_SECONDS, "raw output")

    def look(self) -> None:
        """Log what came since the last look."""
        for path in sorted(self._folder.glob(f"{_NAME}*")):
            start = self._read.get(path.name, 0)
            try:
                size = path.stat().st_size
                if size <= start:
                    continue
                with path.open("rb") as file:
                    file.seek(max(start, size - _MOST_BYTES))
                    text = file.read(_MOST_BYTES).decode(errors="backslashreplace")
            except OSError as error:
                log.warning("what a worker wrote to stderr can't be read", file=path.name, error=str(error))
                continue
            self._read[path.name] = size
            log.error("a worker wrote to stderr", worker=int(path.name.removeprefix(_NAME)), text=text.splitlines())
