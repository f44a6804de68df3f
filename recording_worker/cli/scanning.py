"""What the commands that read batch files share: they go through the files, and write what they find."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import track

from recording_worker.cli.options import KEY_SETTINGS, S3_SETTINGS, settings_from, settings_options
from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.keys.open import open_keys
from recording_worker.reading.batch_files import Block, read_blocks
from recording_worker.reading.decryption import Decryption
from recording_worker.reading.session_events import check_one_team, session_lines
from recording_worker.settings.model import Settings
from recording_worker.storage.locate import Locator
from recording_worker.text import counted, printable

Item = TypeVar("Item")
_SETTINGS = (*S3_SETTINGS, *KEY_SETTINGS)
_NAMED_SESSIONS = 5
"""The most sessions that an error names."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths a command was given, and the settings for S3 and for keys."""

    given: tuple[str, ...]
    settings: Settings


class Scan:
    """Goes through batch files, with a progress bar on standard error if that is a terminal.

    Continues after a file that can't be read. `raise_problems` reports these files at the end.
    """

    def __init__(self, paths: Paths) -> None:
        self.found = list(_tracked("Listing files", Locator(paths.settings).find(paths.given)))
        """The files to read."""
        self.store = open_keys(paths.settings)
        if self.store is not None:
            click.get_current_context().call_on_close(self.store.close)  # when the command ends
        self.decryption = Decryption(self.store)
        """The keys of the sessions, and which of them are deleted."""
        self.problems: list[BatchFileError] = []
        """What is wrong with each file and block that could not be read so far."""

    @property
    def files(self) -> int:
        """The number of files to read."""
        return len(self.found)

    def blocks(self) -> Iterator[list[Block]]:
        """Yield the blocks of each file that can be read."""
        for found in _tracked("Reading indexes", read_blocks(self.found, self.decryption), len(self.found)):
            if isinstance(found, BatchFileError):
                self.problems.append(found)
            else:
                yield found

    def lines(self, session: list[Block]) -> Iterator[bytes]:
        """Yield a session's lines from the blocks that can be read, in time order, without line breaks."""
        return session_lines(session, self.problems.append)

    def raise_problems(self) -> None:
        """Raise BatchFileError if something could not be read, with one line for each problem."""
        if self.problems:
            raise BatchFileError("\n".join(printable(str(problem)) for problem in self.problems))


def _tracked(title: str, items: Iterable[Item], total: int | None = None) -> Iterable[Item]:
    """Yield the same items, with a progress bar on standard error if that is a terminal."""
    console = Console(stderr=True)
    return track(items, title, total=total, console=console, transient=True, disable=not console.is_terminal)


def session_blocks(scan: Scan, wanted: str, team_id: int | None) -> list[Block]:
    """Return the blocks of one session, which is named by its id, or by how its id begins.

    Raises WorkerError if there are no blocks, if several ids begin like this, or if several teams use the id.
    """
    found = [
        block
        for file_blocks in scan.blocks()
        for block in file_blocks
        if block.entry.session_id.startswith(wanted) and team_id in (None, block.entry.team_id)
    ]
    ids = sorted({block.entry.session_id for block in found})
    if not found:
        scan.raise_problems()
        team = "" if team_id is None else f" of team {team_id}"
        listing = "`recording-worker sessions` lists the sessions"
        raise WorkerError(f"no session {wanted}{team} in {counted(scan.files, 'batch file')}: {listing}")
    if wanted not in ids and len(ids) > 1:
        more = "" if len(ids) <= _NAMED_SESSIONS else f" and {len(ids) - _NAMED_SESSIONS:,} more"
        named = ", ".join(map(printable, ids[:_NAMED_SESSIONS]))
        raise WorkerError(f"{len(ids):,} sessions begin with {wanted}, so say more of the id: {named}{more}")
    session_id = wanted if wanted in ids else ids[0]
    found = [block for block in found if block.entry.session_id == session_id]
    check_one_team(found, session_id)
    scan.decryption.check((found[0].entry.team_id, session_id))
    return found


def paths_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument PATH... as `paths: Paths`, and the options for S3 and for keys.

    Must be the last decorator, so that the command's own options come first in its help.
    """

    @click.argument("paths", metavar="PATH...", nargs=-1, required=True)
    @settings_options(_SETTINGS)
    @wraps(command)
    def with_paths(paths: tuple[str, ...], config: Path | None, **options: Any) -> Any:
        flags = {name: options.pop(name) for name in _SETTINGS}
        return command(paths=Paths(paths, settings_from(config, flags)), **options)

    return with_paths
