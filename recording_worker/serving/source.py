"""Source: where `serve` knows sessions and their blocks from."""

from typing import NamedTuple, Protocol

from recording_worker.formats.batch_file import BatchFileError, FileMissingError
from recording_worker.reading.catalogue import Catalogue, ListedSession, SessionQuery, StoredBlock
from recording_worker.serving.place import Place
from recording_worker.serving.upkeep import Task

MAX_LISTED = 50_000
"""The most blocks of a session that are listed."""


class BlockPlace(NamedTuple):
    """Where a block is. Times are milliseconds since 1970."""

    file: str
    """The name of its file; see RangedFile."""
    start: int
    length: int
    first_timestamp: float
    last_timestamp: float


class Deletion(NamedTuple):
    """A session is deleted."""

    at: int
    """Seconds since 1970."""
    by: str | None = None


class Source(Protocol):
    """Any thread may ask. Raises WorkerError if it can't answer."""

    tasks: list[Task]
    """What it does in the background. Nothing is served before each was done once."""

    def sessions(self, team_id: int, query: SessionQuery) -> list[ListedSession]:
        """Return the sessions of a team, the latest first. Deleted ones are left out."""

    def blocks(self, team_id: int, session_id: str) -> list[BlockPlace] | Deletion:
        """Return a session's blocks by time, at most one more than MAX_LISTED."""

    def find(self, team_id: int, session_id: str, file: str, start: int, length: int) -> StoredBlock | Deletion | None:
        """Return the block of this session that takes these bytes of a file; None if it has none there."""

    def deletion(self, team_id: int, session_id: str) -> Deletion | None:
        """Return the deletion of a session; None if it is not deleted."""


def look_at(file: str, place: Place, catalogue: Catalogue) -> bool:
    """Add a file to the catalogue if it is new there. Return whether the storage has it. Raises BatchFileError."""
    if catalogue.knows(file):
        return True
    try:
        opened = place.open(file)
    except BatchFileError:
        return False
    for problem in catalogue.add([opened]):
        if isinstance(problem, FileMissingError):
            return False
        raise problem
    return True
