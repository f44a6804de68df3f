"""What is known of the sessions to delete: their blocks, by the metadata topic and by the indexes of the files."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import BatchFileError, NoIndexError, created_ms_of, parse_block_url
from recording_worker.formats.block_metadata import ListedRecord, read_listed
from recording_worker.formats.retention import RETENTION_DAYS
from recording_worker.formats.session_keys import Session
from recording_worker.formats.timestamps import utc_text
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.topic_snapshot import TopicSnapshot
from recording_worker.operations.deletion.people import PeopleInClickHouse
from recording_worker.progress import ProgressBar
from recording_worker.reading.batch_files import read_blocks
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile
from recording_worker.storage.locate import Locator

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class KnownBlock:
    """A block of a session to delete."""

    name: str
    """The path or URL of its file."""
    start: int
    length: int
    file: RangedFile | None
    """None if the file may not be read."""
    problem: str = ""
    """Why it may not be read."""
    expires_ms: int | None = None
    """When the retention period of its file is over, milliseconds since 1970; None if that is not known."""


@dataclass(slots=True)
class KnownSession:
    """What is known of one session."""

    blocks: dict[tuple[str, int], KnownBlock] = field(default_factory=dict)
    """(name of the file, start) → block."""
    retention_days: int = 0
    """The longest retention period of its blocks; 0 if there are none."""
    is_marked: bool = False
    """Whether the metadata topic has a record that says that it is deleted."""

    def add(self, block: KnownBlock, retention_days: int) -> None:
        self.blocks.setdefault((block.name, block.start), block)
        self.retention_days = max(self.retention_days, retention_days)


class Finder:
    """Looks at the metadata topic as it is now, and at the files. Everything raises WorkerError."""

    def __init__(self, settings: Settings, locator: Locator, admin: Admin, progress: ProgressBar, now_ms: int) -> None:
        self._locator = locator
        self._progress = progress
        self._snapshot = TopicSnapshot.take(settings, admin, settings.metadata_topic)
        topic = self._snapshot.topic
        if not self._snapshot.partitions:
            raise ConfigError(f"there is no topic {topic} (metadata_topic)")
        self._forgotten = ""
        """Why the topic may have had blocks that it does not name any more; empty if it has all."""
        horizon_ms = self._snapshot.complete_since_ms(now_ms)
        if horizon_ms:
            self._forgotten = f"topic {topic} no longer holds what was before {utc_text(horizon_ms)} UTC"
        self.unread = self._snapshot.unread_notes()
        """Why there may be blocks that were not found."""

    def sessions_of(
        self, team_id: int, distinct_ids: Collection[str], people: PeopleInClickHouse | None
    ) -> set[Session]:
        """Return the sessions with a block of one of these people, as the metadata topic says, and `people`."""
        found = {
            (team_id, listed.session_id)
            for listed in self._records("looking for sessions")
            if listed.team_id == team_id and listed.distinct_id in distinct_ids
        }
        if people is not None:
            found |= people.sessions_of(team_id, distinct_ids)
        if self._forgotten:
            unread = ["older sessions of these people are not known"] if people is None else people.unread
            self.unread += [f"{self._forgotten}: {text}" for text in unread]
        return found

    def known(self, sessions: Iterable[Session], *, scan_storage: bool) -> dict[Session, KnownSession]:
        """Return what is known of these sessions. `scan_storage`: whether to read the indexes of all files, too."""
        known = {session: KnownSession() for session in sessions}
        for listed in self._records("looking for blocks"):
            session = known.get((listed.team_id, listed.session_id))
            if session is None:
                continue
            session.is_marked |= listed.is_deleted
            if listed.block_url:
                days = listed.retention_period_days or 0
                session.add(self._block(listed.block_url, days), days)
        if scan_storage:
            self._scan(known)
        elif self._forgotten:
            self.unread.append(f"{self._forgotten}: look for older blocks in the files themselves (--scan-storage)")
        return known

    def _records(self, title: str) -> Iterator[ListedRecord]:
        with closing(self._snapshot.records(title, self._progress)) as records:
            for record in records:
                try:
                    yield read_listed(record)
                except ValueError:  # of another program: it names no session
                    continue

    def _block(self, url: str, retention_days: int) -> KnownBlock:
        try:
            place = parse_block_url(url)
        except ValueError as error:
            return KnownBlock(url, 0, 0, None, str(error))
        expires_ms = _expires_ms(place.file, retention_days)
        try:
            file = self._locator.open(place.file)
        except BatchFileError as error:
            return KnownBlock(place.file, place.start, place.length, None, str(error), expires_ms)
        return KnownBlock(file.name, place.start, place.length, file, expires_ms=expires_ms)

    def _scan(self, known: dict[Session, KnownSession]) -> None:
        files = list(self._locator.stored())
        with self._progress("reading indexes", len(files)) as report:
            for found in read_blocks(files):
                report(1, 0)
                if isinstance(found, NoIndexError):
                    self.unread.append(f"its blocks are found by their metadata alone: {found}")
                    continue
                if isinstance(found, BatchFileError):
                    self.unread.append(f"not looked into: {found}")
                    continue
                for block in found:
                    session = known.get((block.entry.team_id, block.entry.session_id))
                    if session is not None:
                        days, name = RETENTION_DAYS.get(block.index.retention, 0), block.file.name
                        entry = block.entry
                        expires_ms = _expires_ms(name, days)
                        session.add(
                            KnownBlock(name, entry.start, entry.length, block.file, expires_ms=expires_ms), days
                        )


def _expires_ms(name: str, retention_days: int) -> int | None:
    try:
        return created_ms_of(name.rpartition("/")[2]) + retention_days * _DAY_MS if retention_days else None
    except ValueError:
        return None
