"""The folder in which the processes of a service share their metrics."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog

from recording_worker.errors import WorkerError

log = structlog.get_logger()

_PREFIX = "recording-worker-metrics-"
_LOCK = "lock"
"""A file in the folder that its supervisor keeps locked. The kernel unlocks it, however the supervisor ends."""


@contextmanager
def metrics_folder() -> Iterator[str]:
    """Make the folder, and remove it at the end. Also remove what killed supervisors left.

    Raises WorkerError if no folder can be made.
    """
    with ExitStack() as at_exit:
        try:
            _remove_old()
            made = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
            folder = at_exit.enter_context(made)
            lock = at_exit.enter_context((Path(folder) / _LOCK).open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            why = error.strerror or error
            raise WorkerError(f"can't make a folder for metrics ({why}): set TMPDIR to one with room") from error
        yield folder


def _remove_old() -> None:
    """Remove our user's folders that no supervisor has locked."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            # a folder without a lock file is just being made
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
        except OSError:
            continue  # in use, or already gone
        log.info("removed the metrics of a service that was killed", folder=str(folder))
