"""SessionPages: the page of a list of sessions, what it asks for, and the pages that play one of them."""

import json
import sqlite3
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import TypeAdapter, ValidationError

from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.formats.session_keys import Session
from recording_worker.http_server import JSON, Answer, Page
from recording_worker.playing.page import Page as HtmlPage
from recording_worker.playing.page import list_page
from recording_worker.playing.server import data_pages, html_page
from recording_worker.playing.session import Recording, recording_of
from recording_worker.reading.decryption import SessionDeletedError
from recording_worker.reading.session_events import MAX_RECORDING_BYTES, session_lines
from recording_worker.reading.session_list import FoundSession, SessionList, Wanted
from recording_worker.text import counted

MAX_TEAMS = 200
"""The most teams that the page offers."""
_WANTED = TypeAdapter(Wanted)
_NOT_FOUND = Answer(b"Not Found\n", status=HTTPStatus.NOT_FOUND)


class SessionPages:
    """The pages of a list of sessions, by their paths: `found/{Wanted as JSON}` and `session/{name}/…`.

    A session's name is its team and its id in base64, so that no id leads anywhere else.
    """

    def __init__(
        self,
        sessions: SessionList,
        player: HtmlPage,
        team_id: int | None,
        notes: list[str],
        list_files: Callable[[], list[str]],
    ) -> None:
        """`player` plays a session. With a `team_id` there are only sessions of this team. The page shows the notes.

        `list_files` lists the files again, and returns the notes from then on. It raises WorkerError.
        """
        self._sessions = sessions
        self._list, self._player = html_page(list_page()), html_page(player)
        self._team_id = team_id
        self._notes = notes
        self._list_files = list_files
        self._opened = _Opened()
        self._reading: threading.Thread | None = None
        self._starting = threading.Lock()
        self._problem = ""

    def start(self) -> None:
        """Read what the blocks say, in the background."""
        self._start(self._read)

    def _start(self, work: Callable[[], None]) -> None:
        with self._starting:
            if not self._is_reading:
                self._reading = threading.Thread(target=work, name="reading blocks", daemon=True)
                self._reading.start()

    @property
    def _is_reading(self) -> bool:
        return self._reading is not None and self._reading.is_alive()

    def _read(self) -> None:
        self._problem = ""
        try:
            self._sessions.read_contents(wanted=Wanted(self._team_id))
        except (WorkerError, sqlite3.Error) as error:
            self._problem = f"The blocks can't be read for the list: {error}"

    def _list_and_read(self) -> None:
        try:
            self._notes = self._list_files()
        except (WorkerError, sqlite3.Error) as error:
            self._problem = f"The files can't be listed again: {error}"
            return
        self._opened = _Opened()  # there may be more of a session now
        self._read()

    def close(self) -> None:
        """End what goes on in the background."""
        self._sessions.close()

    def get(self, path: str, /) -> Page | None:
        if path == "":
            self._start(self._list_and_read)
            return self._list
        kind, _, rest = path.partition("/")
        if kind == "found" and rest:
            return Page(partial(self._found, rest))
        name, _, part = rest.partition("/")
        session = session_of(name) if kind == "session" and "/" in rest else None
        if session is None or self._team_id not in (None, session[0]):
            return None
        return self._player if part == "" else Page(partial(self._part, session, part))

    def _found(self, query: str) -> Answer:
        try:
            wanted = _WANTED.validate_json(unquote_to_bytes(query))
        except ValidationError:
            return Answer(b"Bad Request\n", status=HTTPStatus.BAD_REQUEST)
        if self._team_id is not None:
            wanted = replace(wanted, team_id=self._team_id)
        found = self._sessions.search(wanted)
        shown = {
            "sessions": [_shown(session) for session in found.sessions],
            "total": found.total,
            "all": self._sessions.count(Wanted(self._team_id)),
            "teams": [str(team) for team in self._teams()],
            "unread": self._sessions.unread(self._team_id),
            "reading": self._is_reading,
            "notes": self._all_notes(),
        }
        return Answer(json.dumps(shown, allow_nan=False).encode(), JSON)

    def _teams(self) -> list[int]:
        return self._sessions.teams(MAX_TEAMS) if self._team_id is None else [self._team_id]

    def _all_notes(self) -> list[str]:
        notes = [*self._notes, self._problem]
        if without := self._sessions.without_index():
            notes.append(f"{counted(without, 'file')} without an index: what is in there is not listed.")
        return [note for note in notes if note]

    def _part(self, session: Session, part: str) -> Answer:
        try:
            self._sessions.check_not_deleted(session)
            recording = self._opened.get(session) or self._open(session)
        except SessionDeletedError as error:
            return Answer(f"{error}\n".encode(), status=HTTPStatus.GONE)
        except WorkerError as error:
            return Answer(f"{error}\n".encode(), status=HTTPStatus.INTERNAL_SERVER_ERROR)
        page = data_pages(recording).get(part) if recording else None
        return page.answer() if page else _NOT_FOUND

    def _open(self, session: Session) -> Recording | None:
        """Read a session. Raises WorkerError."""
        blocks = self._sessions.blocks(session)
        if not blocks:
            return None
        problems: list[BatchFileError] = []
        recording = recording_of(blocks, session_lines(blocks, problems.append))
        deleted = next((problem for problem in problems if isinstance(problem, SessionDeletedError)), None)
        if deleted is not None:
            raise deleted
        recording.notes += [f"Left out: {problem}" for problem in problems]
        self._opened.add(session, recording)
        return recording


class _Opened:
    """The recordings that were opened last, as far as their lines take less memory than one recording may."""

    def __init__(self) -> None:
        self._recordings: OrderedDict[Session, Recording] = OrderedDict()

    def get(self, session: Session) -> Recording | None:
        if session in self._recordings:
            self._recordings.move_to_end(session)
        return self._recordings.get(session)

    def add(self, session: Session, recording: Recording) -> None:
        self._recordings[session] = recording
        while len(self._recordings) > 1 and self._bytes() > MAX_RECORDING_BYTES:
            self._recordings.popitem(last=False)

    def _bytes(self) -> int:
        return sum(recording.bytes for recording in self._recordings.values())


def session_name(session: Session) -> str:
    """Return the name of a session in an address: letters, digits, `-` and `_`."""
    team_id, session_id = session
    return f"{team_id}-{urlsafe_b64encode(session_id.encode()).decode().rstrip('=')}"


def session_of(name: str) -> Session | None:
    """Return the session of a name; None if it names none."""
    team, _, text = name.partition("-")
    try:
        session = int(team), urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return None
    return session if session[0] < 2**63 and session_name(session) == name else None


def _shown(session: FoundSession) -> dict[str, Any]:
    """Return a session for the page. The team is text: JavaScript holds no such large numbers."""
    path = f"session/{session_name((session.team_id, session.session_id))}/"
    return {**session._asdict(), "team_id": str(session.team_id), "path": path}
