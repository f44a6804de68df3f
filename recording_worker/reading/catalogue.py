"""Catalogue: an SQLite database of what batch files hold, made from their indexes, each read once.

Batch files never change, so a file that is known needs no second look. The database can be removed at any time: it is
built again. `session_list.py` adds what the lines of the blocks say.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError, BatchIndex, BlockEntry, NoIndexError
from recording_worker.reading.batch_files import Block, read_blocks
from recording_worker.reading.contents import searchable
from recording_worker.reading.decryption import Decryption
from recording_worker.reading.dictionaries import Dictionaries
from recording_worker.storage.base import RangedFile

SCHEMA_VERSION = 2
"""Raise it with the tables: a database of another version is emptied."""
_BUSY_SECONDS = 30.0
_FILES_AT_ONCE = 64
"""Files that one transaction adds."""

_TABLES = """
CREATE TABLE files(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, codec TEXT NOT NULL, dictionary TEXT);
CREATE TABLE blocks(
    file INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL, size INTEGER NOT NULL,
    team_id INTEGER NOT NULL, session_id TEXT NOT NULL, distinct_id TEXT NOT NULL,
    events INTEGER NOT NULL, first_timestamp REAL NOT NULL, last_timestamp REAL NOT NULL, playable INTEGER NOT NULL,
    encryption TEXT,
    is_read INTEGER NOT NULL DEFAULT 0, clicks INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
    warnings INTEGER NOT NULL DEFAULT 0, url TEXT,
    PRIMARY KEY(file, start)) WITHOUT ROWID;
CREATE TABLE texts(
    file INTEGER NOT NULL, start INTEGER NOT NULL, team_id INTEGER NOT NULL, session_id TEXT NOT NULL,
    urls TEXT NOT NULL, errors TEXT NOT NULL, console TEXT NOT NULL, PRIMARY KEY(file, start)) WITHOUT ROWID;
CREATE INDEX unread_blocks ON blocks(last_timestamp) WHERE is_read = 0;
CREATE INDEX blocks_of_session ON blocks(team_id, session_id, first_timestamp);
CREATE TABLE sessions(
    team_id INTEGER NOT NULL, session_id TEXT NOT NULL, distinct_id TEXT NOT NULL, blocks INTEGER NOT NULL,
    events INTEGER NOT NULL, size INTEGER NOT NULL, first_timestamp REAL NOT NULL, last_timestamp REAL NOT NULL,
    playable INTEGER NOT NULL, clicks INTEGER NOT NULL, errors INTEGER NOT NULL, warnings INTEGER NOT NULL, url TEXT,
    unread INTEGER NOT NULL, encrypted INTEGER NOT NULL, PRIMARY KEY(team_id, session_id)) WITHOUT ROWID;
CREATE INDEX sessions_by_time ON sessions(team_id, first_timestamp, session_id);
CREATE TABLE deleted(
    team_id INTEGER NOT NULL, session_id TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY(team_id, session_id)) WITHOUT ROWID;
CREATE TABLE positions(topic TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY(topic, part));
"""
_OF_SESSION = "FROM blocks WHERE team_id = ?1 AND session_id = ?2"
SUM_UP = f"""
INSERT OR REPLACE INTO sessions
SELECT ?1, ?2, (SELECT distinct_id {_OF_SESSION} ORDER BY first_timestamp LIMIT 1), count(*), sum(events), sum(size),
    min(first_timestamp), max(last_timestamp), max(playable), sum(clicks), sum(errors), sum(warnings),
    (SELECT url {_OF_SESSION} AND url IS NOT NULL ORDER BY first_timestamp LIMIT 1),
    sum(is_read = 0), max(encryption IS NOT NULL)
{_OF_SESSION} HAVING count(*) > 0"""
"""Sums up a session, (team id, session id), over its blocks."""

SELECT_BLOCKS = """SELECT name, codec, dictionary, start, length, size, team_id, session_id, encryption,
    first_timestamp, last_timestamp
FROM blocks JOIN files ON files.id = blocks.file"""

_INDEXED = """file, start, length, size, team_id, session_id, distinct_id, events, first_timestamp, last_timestamp,
    playable, encryption"""

Report = Callable[[int, int], None]


class StoredBlock(NamedTuple):
    """Where a block is, and what it holds. Times are milliseconds since 1970."""

    file: str
    """The name of its file; see RangedFile."""
    codec: str
    """Empty if the file has no index: it is raw snappy, encrypted if its session has a key, and `size` is a bound."""
    dictionary: str | None
    start: int
    length: int
    size: int
    team_id: int
    session_id: str
    encryption: str | None
    """As in BlockEntry."""
    first_timestamp: float
    last_timestamp: float

    def open(self, file: RangedFile, dictionaries: Dictionaries, decryption: Decryption) -> Block:
        """Return the block, for reading alone: its entry lacks what that does not need.

        `file` is the one of its name.
        """
        entry = BlockEntry(
            team_id=self.team_id,
            session_id=self.session_id,
            distinct_id="",
            source="",
            partition=0,
            first_offset=0,
            last_offset=0,
            messages=[],
            events=0,
            first_timestamp=self.first_timestamp,
            last_timestamp=self.last_timestamp,
            has_full_snapshot=False,
            size=self.size,
            start=self.start,
            length=self.length,
            encryption=self.encryption,
        )
        index = BatchIndex(0, "", self.codec, "", 0, [], self.dictionary)
        return Block(file, index, entry, dictionaries, decryption)


class ListedSession(NamedTuple):
    """A session, summed up over its blocks. A message that several files hold counts with each."""

    session_id: str
    distinct_id: str
    blocks: int
    events: int
    size: int
    first_timestamp: float
    last_timestamp: float
    playable: bool | None
    """None if it is not known."""


class SessionQuery(NamedTuple):
    """Which sessions of a team to list: the latest first, from `before` on down."""

    since: float = float("-inf")
    until: float = float("inf")
    prefix: str = ""
    distinct_id: str | None = None
    playable: bool | None = None
    before: tuple[float, str] | None = None
    """The time and the id of the session that the listing goes on after."""
    limit: int = 100


class Changes(NamedTuple):
    """What a listing changed."""

    added: int
    removed: int
    problems: list[BatchFileError]


class Catalogue:
    """One database. Any thread may ask; adding and removing wait for each other. Raises WorkerError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._writing, self._listing = threading.Lock(), threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            with self.write() as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version != SCHEMA_VERSION:
                    self._empty(connection)
        except (OSError, sqlite3.Error) as error:
            raise WorkerError(f"can't keep the index of the storage in {path}: {error}") from error

    def _empty(self, connection: sqlite3.Connection) -> None:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            connection.execute(f'DROP TABLE "{name}"')
        for statement in filter(str.strip, _TABLES.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of this thread."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = NORMAL")
            found.execute("PRAGMA secure_delete = ON")
            found.create_function("searchable", 1, searchable, deterministic=True)
        return found

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run the body in a transaction."""
        with self._writing:
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def update(self, files: Iterable[RangedFile], report: Report = lambda _done, _of: None) -> Changes:
        """Make the catalogue agree with a listing of all files: read the new ones, forget those that are gone.

        `report` is told how many of the new files were read, and how many there are. Raises what `files` raises.
        """
        with self._listing:
            gone, new = self._names(), []
            for file in files:
                if file.name in gone:
                    gone.discard(file.name)
                else:
                    new.append(file)
            problems: list[BatchFileError] = []
            for start in range(0, len(new), _FILES_AT_ONCE):
                some = new[start : start + _FILES_AT_ONCE]
                problems += self.add(some)
                report(start + len(some), len(new))
            self._forget(gone)
        return Changes(len(new) - len(problems), len(gone), problems)

    def add(self, files: Sequence[RangedFile]) -> list[BatchFileError]:
        """Read the indexes of new files. Return what is wrong with those that can't be read.

        A file without an index is remembered too, as one without blocks. It may be PostHog's.
        """
        problems = []
        read = list(zip(files, read_blocks(files), strict=True))
        with self.write() as connection:
            for file, found in read:
                if isinstance(found, NoIndexError):
                    found = []
                if isinstance(found, BatchFileError):
                    problems.append(found)
                else:
                    _insert(connection, file.name, found)
        return problems

    def knows(self, name: str) -> bool:
        """Return whether the file of this name is in the catalogue."""
        return self.connection.execute("SELECT 1 FROM files WHERE name = ?", (name,)).fetchone() is not None

    def has_index(self, name: str) -> bool:
        """Return whether a file that is known has an index."""
        row = self.connection.execute("SELECT codec FROM files WHERE name = ?", (name,)).fetchone()
        return row is not None and bool(row[0])

    def keep(self, files: int) -> None:
        """Forget the files that were added first, if there are more than this many."""
        names = self.connection.execute("SELECT name FROM files ORDER BY id DESC LIMIT -1 OFFSET ?", (files,))
        if gone := [name for (name,) in names]:
            self._forget(gone)

    def _names(self) -> set[str]:
        return {name for (name,) in self.connection.execute("SELECT name FROM files")}

    def _forget(self, names: Iterable[str]) -> None:
        with self.write() as connection:
            for name in names:
                where = "file = (SELECT id FROM files WHERE name = ?)"
                sessions = connection.execute(f"SELECT DISTINCT team_id, session_id FROM blocks WHERE {where}", (name,))
                touched = sessions.fetchall()
                for table in ("blocks", "texts"):
                    connection.execute(f"DELETE FROM {table} WHERE {where}", (name,))
                connection.execute("DELETE FROM files WHERE name = ?", (name,))
                connection.executemany("DELETE FROM sessions WHERE team_id = ? AND session_id = ?", touched)
                connection.executemany(SUM_UP, touched)

    def blocks(self, team_id: int, session_id: str, limit: int) -> list[StoredBlock]:
        """Return a session's blocks by time, at most `limit`."""
        rows = self.connection.execute(
            f"{SELECT_BLOCKS} WHERE team_id = ? AND session_id = ? ORDER BY first_timestamp, name, start LIMIT ?",
            (team_id, session_id, limit),
        )
        return [StoredBlock(*row) for row in rows]

    def block(self, team_id: int, session_id: str, file: str, start: int, length: int) -> StoredBlock | None:
        """Return the session's block that takes these bytes; None if it has none there."""
        row = self.connection.execute(
            f"{SELECT_BLOCKS} WHERE name = ? AND start = ? AND length = ? AND team_id = ? AND session_id = ?",
            (file, start, length, team_id, session_id),
        ).fetchone()
        return None if row is None else StoredBlock(*row)

    def sessions(self, team_id: int, query: SessionQuery) -> list[ListedSession]:
        """Return the sessions of a team, the latest first. Deleted ones are left out."""
        before, session_id = query.before or (float("inf"), "")
        rows = self.connection.execute(
            f"""SELECT {", ".join(ListedSession._fields)} FROM sessions
            WHERE team_id = :team AND first_timestamp >= :since AND first_timestamp < :until
            AND (first_timestamp, session_id) < (:before, :session_id)
            AND substr(session_id, 1, :length) = :prefix
            AND (:distinct_id IS NULL OR distinct_id = :distinct_id)
            AND (:playable IS NULL OR playable = :playable)
            AND NOT EXISTS (SELECT 1 FROM deleted WHERE deleted.team_id = sessions.team_id
                AND deleted.session_id = sessions.session_id)
            ORDER BY first_timestamp DESC, session_id DESC LIMIT :limit""",
            {
                **query._asdict(),
                "team": team_id,
                "before": before,
                "session_id": session_id,
                "length": len(query.prefix),
            },
        )
        return [ListedSession._make((*row[:-1], bool(row[-1]))) for row in rows]

    def deleted_at(self, team_id: int, session_id: str) -> int | None:
        """Return when a session was deleted, seconds since 1970; None if it was not."""
        where = "team_id = ? AND session_id = ?"
        row = self.connection.execute(f"SELECT at FROM deleted WHERE {where}", (team_id, session_id)).fetchone()
        return None if row is None else int(row[0])

    def followed(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Keep how far topics were read: (name of the log, partition) → the next offset to read."""
        with self.write() as connection:
            rows = [(*place, offset) for place, offset in positions.items()]
            connection.executemany("INSERT OR REPLACE INTO positions VALUES(?, ?, ?)", rows)

    def forget(self, deleted: Mapping[tuple[int, str], int]) -> None:
        """Keep that sessions are deleted, (team id, session id) → seconds since 1970, and nothing else of them."""
        with self.write() as connection:
            rows = [(*session, at) for session, at in deleted.items()]
            connection.executemany("INSERT OR IGNORE INTO deleted VALUES(?, ?, ?)", rows)
            for table in ("texts", "blocks", "sessions"):
                connection.executemany(f"DELETE FROM {table} WHERE team_id = ? AND session_id = ?", deleted)

    def positions(self) -> dict[tuple[str, int], int]:
        """Return (name of the log, partition) → the next offset to read."""
        rows = self.connection.execute("SELECT topic, part, next FROM positions")
        return {(topic, part): offset for topic, part, offset in rows}

    def counts(self) -> tuple[int, int]:
        """Return how many files and sessions there are."""
        files, sessions = (
            self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("files", "sessions")
        )
        return int(files), int(sessions)


def _insert(connection: sqlite3.Connection, name: str, blocks: Sequence[Block]) -> None:
    index = blocks[0].index if blocks else None
    added = connection.execute(
        "INSERT OR IGNORE INTO files(name, codec, dictionary) VALUES(?, ?, ?)",
        (name, index.codec if index else "", index.dictionary if index else None),
    )
    if added.rowcount == 0:  # another thread was quicker
        return
    rows = [(added.lastrowid, *_row(block.entry)) for block in blocks]
    connection.executemany(f"INSERT INTO blocks({_INDEXED}) VALUES({', '.join('?' * 12)})", rows)
    connection.execute(
        "DELETE FROM blocks WHERE file = ? AND (team_id, session_id) IN (SELECT team_id, session_id FROM deleted)",
        (added.lastrowid,),
    )
    connection.executemany(SUM_UP, {(block.entry.team_id, block.entry.session_id) for block in blocks})


def _row(entry: BlockEntry) -> tuple[object, ...]:
    return (
        *(entry.start, entry.length, entry.size, entry.team_id, entry.session_id, entry.distinct_id, entry.events),
        *(entry.first_timestamp, entry.last_timestamp, entry.has_full_snapshot, entry.encryption),
    )
