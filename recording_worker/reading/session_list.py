"""SessionList: the sessions of some files for people who look for one. They search, sort, and open one.

What the indexes say is there at once. What the lines say (clicks, errors, addresses, console) is there once the blocks
were read, each once, the latest first. Nothing that an encrypted block says is kept.
"""

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from recording_worker.formats.batch_file import BatchFileError, BlockDamagedError, FileMissingError
from recording_worker.formats.block import lines_of
from recording_worker.formats.ranges import Count, TeamId
from recording_worker.formats.session_keys import Session
from recording_worker.keys.store import KeyStore
from recording_worker.reading.batch_files import Block, read_blocks
from recording_worker.reading.catalogue import SELECT_BLOCKS, SUM_UP, Catalogue, Report, StoredBlock
from recording_worker.reading.contents import Contents, contents_of, searchable
from recording_worker.reading.decryption import Decryption
from recording_worker.reading.dictionaries import Dictionaries
from recording_worker.reading.prefetch import prefetch
from recording_worker.storage.base import RangedFile

MAX_ROWS = 500
"""The most sessions that one answer has."""
MAX_BLOCK_BYTES = 128 * 1024 * 1024
"""A block with more bytes of lines is not read for the list."""
_BLOCKS_AT_ONCE = 256
"""Blocks whose contents one transaction adds."""
_SESSIONS_AT_ONCE = 1000
"""Sessions that the key store is asked about together."""

Sort = Literal["start", "duration", "events", "size", "clicks", "errors"]
_SORTS: dict[Sort, str] = {
    "start": "first_timestamp",
    "duration": "last_timestamp - first_timestamp",
    "events": "events",
    "size": "size",
    "clicks": "clicks",
    "errors": "errors",
}
_Text = Annotated[str, Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions to list, and in which order. All texts are found anywhere, in capital and small letters alike."""

    team_id: TeamId | None = None
    prefix: _Text = ""
    """How the session's id begins."""
    since: float | None = None
    """The session began at this time or later: milliseconds since 1970."""
    until: float | None = None
    """It began before this time."""
    min_duration_ms: float = 0
    playable: bool | None = None
    user: _Text = ""
    """In a distinct id."""
    url: _Text = ""
    """In the address of a page."""
    error: _Text = ""
    """In an error of the console."""
    console: _Text = ""
    """In any message of the console."""
    anywhere: _Text = ""
    """In any of these, or at the beginning of the id."""
    min_clicks: Count = 0
    min_errors: Count = 0
    sort: Sort = "start"
    reverse: bool = False
    """Whether the smallest, the earliest, comes first."""
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 100

    @property
    def needs_contents(self) -> bool:
        """Whether it asks for what only the lines say."""
        return bool(self.url or self.error or self.console or self.anywhere or self.min_clicks or self.min_errors)


class FoundSession(NamedTuple):
    """A session, summed up over its blocks. A message that several files hold counts with each."""

    team_id: int
    session_id: str
    distinct_id: str
    blocks: int
    events: int
    size: int
    first_timestamp: float
    last_timestamp: float
    playable: int
    clicks: int
    errors: int
    warnings: int
    url: str | None
    unread: int
    """Blocks whose lines were not read yet."""
    encrypted: int


class Found(NamedTuple):
    sessions: list[FoundSession]
    total: int
    """The number of sessions that match."""


class SessionList:
    """Lists what a catalogue holds, which it keeps up to date. Any thread may use it."""

    def __init__(self, catalogue: Catalogue, store: KeyStore | None = None) -> None:
        """`store` has the keys of encrypted sessions."""
        self._catalogue = catalogue
        self._store = store
        self._files: dict[str, RangedFile] = {}
        self._closing = threading.Event()

    def update(self, files: Iterable[RangedFile], report: Report = lambda _done, _of: None) -> list[BatchFileError]:
        """Take what the indexes of these files say. Return what is wrong with those that can't be read.

        `report` is told how many files were read, and how many there are to read.
        """
        self._files = {file.name: file for file in files}
        return self._catalogue.update(self._files.values(), report).problems

    def read_contents(self, report: Report = lambda _done, _of: None, wanted: Wanted | None = None) -> None:
        """Read the blocks that were not read yet, of the sessions that are wanted so far as the indexes say it.

        Ends early if the list is closed. What was read stays, also for the next time. A damaged block
        counts as one that says nothing. `report` is told how many blocks were read, and how many there are to read.
        """
        self._forget_all_deleted()
        condition, parameters = _conditions(wanted or Wanted(), by_contents=False)
        dictionaries = Dictionaries()
        unread = self._catalogue.connection.execute(
            f"""SELECT file, start FROM blocks WHERE is_read = 0
            AND (team_id, session_id) IN (SELECT team_id, session_id FROM sessions WHERE {condition})
            ORDER BY last_timestamp DESC""",
            parameters,
        ).fetchall()
        for at in range(0, len(unread), _BLOCKS_AT_ONCE):
            report(at, len(unread))
            if self._closing.is_set():
                return
            self._read(unread[at : at + _BLOCKS_AT_ONCE], dictionaries)
        report(len(unread), len(unread))

    def _read(self, places: Sequence[tuple[int, int]], dictionaries: Dictionaries) -> None:
        """Read these blocks, each named by the number of its file and its place there."""
        blocks = []
        for place in places:
            row = self._catalogue.connection.execute(f"{SELECT_BLOCKS} WHERE file = ? AND start = ?", place).fetchone()
            blocks.append(StoredBlock(*row))

        def contents(block: StoredBlock) -> Contents | None:
            return self._contents(block, dictionaries)

        found = list(prefetch(contents, blocks, lambda block: block.length + block.size))
        with self._catalogue.write() as connection:
            for place, block, said in zip(places, blocks, found, strict=True):
                if said is None:
                    continue
                connection.execute(
                    """UPDATE blocks SET is_read = 1, clicks = ?, errors = ?, warnings = ?, url = ?
                    WHERE file = ? AND start = ?""",
                    (said.clicks, said.errors, said.warnings, said.url, *place),
                )
                if said.urls or said.error_text or said.console_text:
                    texts = said.urls, said.error_text, said.console_text
                    row = (*place, block.team_id, block.session_id, *texts)
                    connection.execute("INSERT OR REPLACE INTO texts VALUES(?, ?, ?, ?, ?, ?, ?)", row)
            connection.executemany(SUM_UP, {(block.team_id, block.session_id) for block in blocks})

    def _contents(self, block: StoredBlock, dictionaries: Dictionaries) -> Contents | None:
        """Return what a block says; None if the storage does not give it now, so that it is asked again next time."""
        file = self._files.get(block.file)
        if file is None or block.encryption is not None or block.size > MAX_BLOCK_BYTES:
            return Contents()
        try:
            return contents_of(lines_of(block.open(file, dictionaries, Decryption()).read()))
        except (BlockDamagedError, ValueError):  # who opens the session learns of it
            return Contents()
        except BatchFileError:
            return None

    def _forget_all_deleted(self) -> None:
        """Forget every session that the key store says is deleted. Raises StoreError."""
        if self._store is None:
            return
        known = sorted(self.matching(Wanted()))
        for at in range(0, len(known), _SESSIONS_AT_ONCE):
            if self._closing.is_set():
                return
            self._forget_deleted(known[at : at + _SESSIONS_AT_ONCE])

    def _forget_deleted(self, sessions: Collection[Session]) -> set[Session]:
        """Forget each of these sessions that the key store says is deleted. Return the deleted ones.

        Raises StoreError.
        """
        if self._store is None or not sessions:
            return set()
        found = self._store.read(sessions)
        deleted = {session: known.deleted_at for session, known in found.items() if known.deleted_at is not None}
        if deleted:
            self._catalogue.forget(deleted)
        return set(deleted)

    def close(self) -> None:
        """Let `read_contents` end."""
        self._closing.set()

    def unread(self, team_id: int | None = None) -> int:
        """Return how many sessions, of a team or of all, have blocks that were not read yet."""
        condition, parameters = _conditions(Wanted(team_id))
        counted = self._catalogue.connection.execute(
            f"SELECT count(*) FROM sessions WHERE unread > 0 AND {condition}", parameters
        )
        return int(counted.fetchone()[0])

    def without_index(self) -> int:
        """Return how many files have no index, so that nothing is known of their sessions."""
        (count,) = self._catalogue.connection.execute("SELECT count(*) FROM files WHERE codec = ''").fetchone()
        return int(count)

    def teams(self, limit: int) -> list[int]:
        """Return the teams that have sessions, the first of them."""
        rows = self._catalogue.connection.execute("SELECT DISTINCT team_id FROM sessions ORDER BY 1 LIMIT ?", (limit,))
        return [team_id for (team_id,) in rows]

    def search(self, wanted: Wanted) -> Found:
        """Return the sessions that match: as many as are wanted, and how many there are.

        The key store is asked about those that are returned. Raises StoreError.
        """
        condition, parameters = _conditions(wanted)
        down, up = ("ASC", "DESC") if wanted.reverse else ("DESC", "ASC")
        order = f"sorting {down}, team_id {up}, session_id {up}"
        rows = self._catalogue.connection.execute(  # texts are looked through once for the rows and their number
            f"""WITH matching AS MATERIALIZED
                (SELECT team_id, session_id, {_SORTS[wanted.sort]} AS sorting FROM sessions WHERE {condition}),
            listed AS (SELECT * FROM matching ORDER BY {order} LIMIT :limit OFFSET :offset)
            SELECT (SELECT count(*) FROM matching), {", ".join(FoundSession._fields)}
            FROM listed JOIN sessions USING(team_id, session_id) ORDER BY {order}""",
            {**parameters, "limit": wanted.limit, "offset": wanted.offset},
        ).fetchall()
        total = rows[0][0] if rows else self.count(wanted) if wanted.offset else 0
        found = [FoundSession(*row[1:]) for row in rows]
        deleted = self._forget_deleted([(session.team_id, session.session_id) for session in found])
        left = [session for session in found if (session.team_id, session.session_id) not in deleted]
        return Found(left, total - len(deleted))

    def count(self, wanted: Wanted) -> int:
        """Return how many sessions match."""
        condition, parameters = _conditions(wanted)
        counted = self._catalogue.connection.execute(f"SELECT count(*) FROM sessions WHERE {condition}", parameters)
        return int(counted.fetchone()[0])

    def matching(self, wanted: Wanted) -> set[Session]:
        """Return all sessions that match, as (team id, session id)."""
        condition, parameters = _conditions(wanted)
        rows = self._catalogue.connection.execute(
            f"SELECT team_id, session_id FROM sessions WHERE {condition}", parameters
        )
        return set(rows)

    def blocks(self, session: Session) -> list[Block]:
        """Return a session's blocks, from the indexes of their files; none if the session is not listed.

        Raises SessionDeletedError if the key store says that it is deleted, BatchFileError, and StoreError.
        """
        decryption = Decryption(self._store)  # asks the key store now, whatever it said before
        decryption.check(session)
        names = self._catalogue.connection.execute(
            """SELECT DISTINCT name FROM blocks JOIN files ON files.id = blocks.file
            WHERE team_id = ? AND session_id = ? ORDER BY name""",
            session,
        ).fetchall()
        blocks = []
        for found in read_blocks([self._files[name] for (name,) in names if name in self._files], decryption):
            if isinstance(found, FileMissingError):
                continue
            if isinstance(found, BatchFileError):
                raise found
            blocks += [block for block in found if (block.entry.team_id, block.entry.session_id) == session]
        return blocks

    def check_not_deleted(self, session: Session) -> None:
        """Raise SessionDeletedError if the key store says now that a session is deleted, StoreError if it can't say."""
        Decryption(self._store).check(session)


_NOT_DELETED = """NOT EXISTS (SELECT 1 FROM deleted
    WHERE deleted.team_id = sessions.team_id AND deleted.session_id = sessions.session_id)"""
_LAST = "\U0010ffff" * 8
"""After a text, it makes one that comes after all that begin with it."""
_TEXT = "(team_id, session_id) IN (SELECT team_id, session_id FROM texts WHERE {})"
_USER = "(team_id, session_id) IN (SELECT team_id, session_id FROM blocks WHERE instr(searchable(distinct_id), :{}))"
_BY_INDEX: dict[str, str] = {
    "team_id": "team_id = :team_id",
    "prefix": "session_id BETWEEN :prefix AND :prefix_end",
    "since": "first_timestamp >= :since",
    "until": "first_timestamp < :until",
    "min_duration_ms": "last_timestamp - first_timestamp >= :min_duration_ms",
    "playable": "playable = :playable",
    "user": _USER.format("user"),
}
_BY_CONTENTS: dict[str, str] = {
    "url": _TEXT.format("instr(urls, :url)"),
    "error": _TEXT.format("instr(errors, :error)"),
    "console": _TEXT.format("instr(errors, :console) OR instr(console, :console)"),
    "anywhere": f"""(session_id BETWEEN :given AND :given_end OR {_USER.format("anywhere")}
        OR {_TEXT.format("instr(urls, :anywhere) OR instr(errors, :anywhere) OR instr(console, :anywhere)")})""",
    "min_clicks": "clicks >= :min_clicks",
    "min_errors": "errors >= :min_errors",
}
"""Field of Wanted → its condition."""


def _conditions(wanted: Wanted, *, by_contents: bool = True) -> tuple[str, dict[str, object]]:
    """Return the condition that a session must meet, in SQL, and its parameters."""
    conditions = {**_BY_INDEX, **_BY_CONTENTS} if by_contents else _BY_INDEX
    unasked = Wanted()
    parameters = {name: getattr(wanted, name) for name in conditions if getattr(wanted, name) != getattr(unasked, name)}
    where = " AND ".join([_NOT_DELETED, *(conditions[name] for name in parameters)])
    for name in {"user", *_BY_CONTENTS} & parameters.keys():
        if isinstance(parameters[name], str):
            parameters[name] = searchable(parameters[name])
    ends = {"prefix_end": wanted.prefix + _LAST, "given": wanted.anywhere, "given_end": wanted.anywhere + _LAST}
    return where, {**parameters, **ends}
