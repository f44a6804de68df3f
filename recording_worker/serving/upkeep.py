"""Upkeep: keeps the catalogue up to date, by listing the storage, and by following the metadata topic."""

import random
import threading
import time
from collections.abc import Callable, Iterable

import structlog

from recording_worker.backoff import Backoff
from recording_worker.clock import Clock
from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError, parse_block_url
from recording_worker.formats.block_metadata import read_listed
from recording_worker.formats.session_keys import Session
from recording_worker.messages import Record
from recording_worker.metrics import ServeMetrics
from recording_worker.reading.catalogue import Catalogue
from recording_worker.serving.blocks import Place
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile

log = structlog.get_logger()

_BACKOFF = Backoff(first=1.0, longest=30.0)
_READ_SECONDS = 0.5
_FOLLOW_SECONDS = 600.0
"""How long one consumer follows the topic. The next one finds partitions that were added meanwhile."""


class _Task:
    """Something that goes on in the background, and whether it works."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_done_once = False
        """Whether it has done all its work once. Before that, nothing is served."""
        self.failing_since: float | None = None
        """Monotonic seconds."""
        self.problem = ""


class Upkeep:
    """Lists and follows, in threads. Deletions that it learns of are never forgotten."""

    def __init__(
        self, settings: Settings, place: Place, catalogue: Catalogue, metrics: ServeMetrics, clock: Clock
    ) -> None:
        self._settings = settings
        self._place = place
        self._catalogue = catalogue
        self._metrics = metrics
        self._clock = clock
        self._closing = threading.Event()
        self._listing = _Task("listing the storage")
        self._following = _Task("following the metadata topic") if settings.serve_follow else None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._run(self._list_again_and_again, self._listing)
        if self._following is not None:
            self._run(self._follow, self._following)

    def _run(self, work: Callable[[_Task], None], task: _Task) -> None:
        def run() -> None:
            attempt = 0
            while not self._closing.is_set():
                try:
                    work(task)
                    attempt = 0
                except Exception as error:
                    if not isinstance(error, WorkerError):
                        log.exception("upkeep failed by a fault", task=task.name)
                    else:
                        log.warning("upkeep failed", task=task.name, error=str(error))
                    task.problem = str(error)
                    if task.failing_since is None:
                        task.failing_since = self._clock.monotonic()
                    attempt += 1
                    self._closing.wait(_BACKOFF.pause(attempt))

        thread = threading.Thread(target=run, name=task.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Stop. Does not wait for reads that are on their way."""
        self._closing.set()

    def reasons(self) -> list[str]:
        """Return why nothing should be served now; empty if all is well."""
        reasons = []
        for task in filter(None, (self._listing, self._following)):
            since = task.failing_since
            if since is not None and (
                not task.is_done_once or self._clock.monotonic() - since >= self._settings.not_ready_after
            ):
                reasons.append(f"{task.name} fails: {task.problem}")
            elif not task.is_done_once:
                reasons.append(f"{task.name} for the first time")
        return reasons

    @property
    def can_serve(self) -> bool:
        """Whether files and deletions are known, as of some moment since the start or later."""
        return self._listing.is_done_once and (self._following is None or self._following.is_done_once)

    def _list_again_and_again(self, task: _Task) -> None:
        began = self._clock.now_ms() / 1000
        changes = self._catalogue.update(self._place.locator.stored(), self._report)
        for problem in changes.problems:
            log.warning("a file is not served", error=str(problem))
        files, sessions = self._catalogue.counts()
        self._metrics.serve_files.set(files)
        self._metrics.serve_sessions.set(sessions)
        self._metrics.serve_unreadable_files.set(len(changes.problems))
        self._metrics.serve_listed_at.set(began)
        if changes.added or changes.removed or not task.is_done_once:
            log.info("storage listed", files=files, sessions=sessions, added=changes.added, removed=changes.removed)
        task.failing_since, task.is_done_once = None, True
        self._closing.wait(self._settings.serve_list_interval * random.uniform(0.8, 1.2))

    def _report(self, done: int, of: int) -> None:
        if self._closing.is_set():
            raise WorkerError("the listing was ended")
        if of > 1000:
            log.info("reading indexes", done=done, of=of)

    def _follow(self, task: _Task) -> None:
        from recording_worker.kafka.topic_follower import TopicFollower  # it needs the extra `kafka`

        topic = self._settings.metadata_topic
        follower = TopicFollower(self._settings, topic, self._catalogue.positions())
        try:
            ends = time.monotonic() + _FOLLOW_SECONDS
            while not self._closing.is_set() and time.monotonic() < ends:
                if records := follower.read(_READ_SECONDS):
                    self._take(records, follower.positions)
                if follower.has_reached_end:
                    task.failing_since, task.is_done_once = None, True
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
