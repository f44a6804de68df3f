"""The list of sessions that commands keep in the user's cache: one database for each set of paths."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from recording_worker.cache_folder import cache_folder
from recording_worker.cli.scanning import Paths, Scan
from recording_worker.errors import WorkerError
from recording_worker.reading.catalogue import Catalogue, Report
from recording_worker.reading.session_list import SessionList

_KEPT_SECONDS = 30 * 86_400
"""How long a database is kept that nobody opens. It holds what the pages of users said."""


def from_anywhere(paths: Paths) -> Paths:
    """Return the same paths, as they are known in any working folder."""
    return replace(paths, given=tuple(path if "://" in path else str(Path(path).absolute()) for path in paths.given))


def open_session_list(scan: Scan, paths: Paths) -> SessionList:
    """Return the list of the sessions in the files of a scan, after reading the indexes that it does not know yet.

    `scan.problems` gets what can't be read. Both are made of paths that are `from_anywhere`. Raises WorkerError.
    """
    folder = cache_folder() / "sessions"
    path = folder / f"{_name(paths)}.sqlite"
    try:
        _remove_old(folder, keep=path.name)
        sessions = SessionList(Catalogue(path), scan.store)
        os.utime(path)
    except OSError as error:
        raise WorkerError(f"can't use the cache {folder}: {error.strerror}") from error
    with count_bar("Reading indexes") as report:
        scan.problems += sessions.update(scan.found, report)
    return sessions


@contextmanager
def count_bar(title: str) -> Iterator[Report]:
    """Show a progress bar on standard error, if that is a terminal. Yields a function to call with the count done."""
    console = Console(stderr=True)
    columns = TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _name(paths: Paths) -> str:
    text = "\0".join([*sorted(paths.given), str(paths.settings.s3_endpoint)])
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def _remove_old(folder: Path, keep: str) -> None:
    """Remove databases that nobody has opened for long. Raises OSError."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if not path.name.startswith(keep) and time.time() - path.stat().st_mtime > _KEPT_SECONDS:
            path.unlink(missing_ok=True)
