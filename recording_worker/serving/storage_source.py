"""StorageSource: knows blocks by the indexes of all files in the storage, and deletions by the metadata topic.

It lists the storage, and follows the topic. What it learns is kept in a catalogue. Deletions are never forgotten.
"""

import random
import time
from collections.abc import Iterable

import structlog

from recording_worker.clock import Clock
from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError, parse_block_url
from recording_worker.formats.block_metadata import read_listed
from recording_worker.formats.session_keys import Session
from recording_worker.messages import Record
from recording_worker.metrics import ServeMetrics
from recording_worker.reading.catalogue import Catalogue, ListedSession, SessionQuery, StoredBlock
from recording_worker.serving.place import Place
from recording_worker.serving.source import MAX_LISTED, BlockPlace, Deletion, look_at
from recording_worker.serving.upkeep import Task
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile

log = structlog.get_logger()

_READ_SECONDS = 0.5
_FOLLOW_SECONDS = 600.0
"""How long one consumer follows the topic. The next one finds partitions that were added meanwhile."""


class StorageSource:
    """See Source."""

    def __init__(
        self, settings: Settings, place: Place, catalogue: Catalogue, metrics: ServeMetrics, clock: Clock
    ) -> None:
        self._settings = settings
        self._place = place
        self._catalogue = catalogue
        self._metrics = metrics
        self._clock = clock
        self.tasks = [Task("listing the storage", self._list)]
        if settings.serve_follow:
            self.tasks.append(Task("following the metadata topic", self._follow))

    def sessions(self, team_id: int, query: SessionQuery) -> list[ListedSession]:
        return self._catalogue.sessions(team_id, query)

    def blocks(self, team_id: int, session_id: str) -> list[BlockPlace] | Deletion:
        found = self._catalogue.blocks(team_id, session_id, MAX_LISTED + 1)
        return self.deletion(team_id, session_id) or [
            BlockPlace(each.file, each.start, each.length, each.first_timestamp, each.last_timestamp) for each in found
        ]

    def find(self, team_id: int, session_id: str, file: str, start: int, length: int) -> StoredBlock | Deletion | None:
        """See Source. A file that the catalogue does not know yet is added first: it may be new."""
        if (deletion := self.deletion(team_id, session_id)) is not None:
            return deletion
        if not look_at(file, self._place, self._catalogue):
            return None
        return self._catalogue.block(team_id, session_id, file, start, length)

    def deletion(self, team_id: int, session_id: str) -> Deletion | None:
        at = self._catalogue.deleted_at(team_id, session_id)
        return None if at is None else Deletion(at)

    def _list(self, task: Task) -> None:
        began = self._clock.now_ms() / 1000

        def report(done: int, of: int) -> None:
            if task.closing.is_set():
                raise WorkerError("the listing was ended")
            if of > 1000:
                log.info("reading indexes", done=done, of=of)

        changes = self._catalogue.update(self._place.locator.stored(), report)
        for problem in changes.problems:
            log.warning("a file is not served", error=str(problem))
        files, sessions = self._catalogue.counts()
        self._metrics.serve_files.set(files)
        self._metrics.serve_sessions.set(sessions)
        self._metrics.serve_unreadable_files.set(len(changes.problems))
        self._metrics.serve_listed_at.set(began)
        if changes.added or changes.removed or not task.is_done_once:
            log.info("storage listed", files=files, sessions=sessions, added=changes.added, removed=changes.removed)
        task.worked()
        task.closing.wait(self._settings.serve_list_interval * random.uniform(0.8, 1.2))

    def _follow(self, task: Task) -> None:
        from recording_worker.kafka.topic_follower import TopicFollower  # it needs the extra `kafka`

        topic = self._settings.metadata_topic
        follower = TopicFollower(self._settings, topic, self._catalogue.positions())
        try:
            ends = time.monotonic() + _FOLLOW_SECONDS
            while not task.closing.is_set() and time.monotonic() < ends:
                if records := follower.read(_READ_SECONDS):
                    self._take(records, follower.positions)
                if follower.has_reached_end:
                    task.worked()
        finally:
            follower.close()

    def _take(self, records: Iterable[Record], positions: dict[tuple[str, int], int]) -> None:
        """Take what records of the topic say: sessions that were deleted, and files that are new."""
        deleted, files = dict[Session, int](), dict[str, RangedFile]()
        for record in records:
            try:
                listed = read_listed(record)
                if listed.is_deleted:
                    deleted.setdefault((listed.team_id, listed.session_id), max(0, record.timestamp_ms) // 1000)
                if listed.block_url:
                    file = self._place.locator.open(parse_block_url(listed.block_url).file)
                    files[file.name] = file
            except (ValueError, BatchFileError):  # of another program, or in another storage
                continue
        self._catalogue.forget(deleted)
        new = [file for name, file in files.items() if not self._catalogue.knows(name)]
        for problem in self._catalogue.add(new):
            log.warning("a file is not served", error=str(problem))
        self._catalogue.followed(positions)
