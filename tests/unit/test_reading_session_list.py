"""The list of sessions: it finds and sorts like a plain filter over the lines."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_worker.errors import StoreError
from recording_worker.reading import session_list
from recording_worker.reading.catalogue import Catalogue
from recording_worker.reading.decryption import SessionDeletedError
from recording_worker.reading.session_events import session_lines
from recording_worker.reading.session_list import SessionList, Wanted
from recording_worker.storage.local.file import find_files
from tests.batch_files import block, undamaged, write_batch_file
from tests.builders import NOW_MS
from tests.memory_keys import MemoryKeys


class Made(NamedTuple):
    """A session in one block."""

    team_id: int
    session_id: str
    user: str
    start: int
    length: int
    playable: bool
    clicks: int
    errors: tuple[str, ...]
    logs: tuple[str, ...]
    url: str


def lines_of(made: Made) -> list[bytes]:
    events: list[dict[str, Any]] = [{"type": 4, "data": {"href": made.url}}]
    events += [{"type": 3, "data": {"source": 2, "type": 2}}] * made.clicks
    for level, texts in (("error", made.errors), ("info", made.logs)):
        payloads = ({"level": level, "payload": [text]} for text in texts)
        events += [{"type": 6, "data": {"plugin": "rrweb/console@1", "payload": payload}} for payload in payloads]
    times = [made.start] * len(events) + [made.start + made.length]
    events.append({"type": 3, "data": {"source": 3}})
    return [json.dumps(["w", {**event, "timestamp": at}]).encode() for event, at in zip(events, times, strict=True)]


def written(folder: Path, sessions: list[Made]) -> None:
    for number, made in enumerate(sessions):
        entry, lines = block([(number, lines_of(made))], made.session_id, made.team_id)
        write_batch_file(folder, (replace(entry, distinct_id=made.user, has_full_snapshot=made.playable), lines))


SESSIONS = [
    Made(
        1, "s-1", "Ann@x.test", NOW_MS, 1000, True, 3, ("TypeError: x", "Lost 50%"), ("hello",), "https://a.test/Cart"
    ),
    Made(1, "s-2", "Bob ZOË", NOW_MS + 1000, 9000, False, 0, (), ("Typeerror in a log",), "https://a.test/home"),
    Made(2, "s-1", "\0'; DROP TABLE sessions --", NOW_MS + 2000, 5, True, 1, ("e",), (), "https://b.test/_%"),
    Made(2, "ü\n\0<b>", "", NOW_MS + 3000, 700_000, True, 9, (), (), "https://b.test/\u2028x"),
]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> SessionList:
    folder = tmp_path_factory.mktemp("list")
    written(folder / "storage", SESSIONS)
    return read(folder / "storage")


def read(folder: Path, store: MemoryKeys | None = None) -> SessionList:
    sessions = SessionList(Catalogue(folder.parent / f"{folder.name}.sqlite"), store)
    assert sessions.update(find_files([str(folder)])) == []
    sessions.read_contents()
    return sessions


def expected(wanted: Wanted) -> list[tuple[int, str]]:
    """The same by a plain filter."""

    def has(text: str, *where: str) -> bool:
        return not text or any(text.lower() in one.lower() for one in where)

    found = [
        made
        for made in SESSIONS
        if wanted.team_id in (None, made.team_id)
        and made.session_id.startswith(wanted.prefix)
        and (wanted.since is None or made.start >= wanted.since)
        and (wanted.until is None or made.start < wanted.until)
        and made.length >= wanted.min_duration_ms
        and wanted.playable in (None, made.playable)
        and has(wanted.user, made.user)
        and has(wanted.url, made.url)
        and has(wanted.error, *made.errors)
        and has(wanted.console, *made.errors, *made.logs)
        and (
            has(wanted.anywhere, made.user, made.url, *made.errors, *made.logs)
            or made.session_id.startswith(wanted.anywhere)
        )
        and made.clicks >= wanted.min_clicks
        and len(made.errors) >= wanted.min_errors
    ]
    keys = {
        "start": lambda made: made.start,
        "duration": lambda made: made.length,
        "events": lambda made: len(lines_of(made)),
        "size": lambda made: sum(len(line) + 1 for line in lines_of(made)),
        "clicks": lambda made: made.clicks,
        "errors": lambda made: len(made.errors),
    }
    found.sort(key=lambda made: (made.team_id, made.session_id), reverse=wanted.reverse)
    found.sort(key=keys[wanted.sort], reverse=not wanted.reverse)
    return [(made.team_id, made.session_id) for made in found]


TEXTS = st.just("") | st.sampled_from(
    [
        "ann",
        "BOB",
        "zoë",
        "Oë",
        "typeerror",
        "cart",
        "a.test",
        "%",
        "_",
        "'",
        "\0",
        "\n",
        "s-",
        "s-1",
        "ü",
        "hello",
        "\u2028",
        "<b>",
    ]
)
ASKED = st.builds(
    Wanted,
    team_id=st.none() | st.integers(0, 3),
    prefix=TEXTS,
    since=st.none() | st.sampled_from([NOW_MS, NOW_MS + 1000.5, float("-inf"), float("nan")]),
    until=st.none() | st.sampled_from([NOW_MS + 2000, float("inf")]),
    min_duration_ms=st.sampled_from([0, 5, 1000.0, 1e18]),
    playable=st.none() | st.booleans(),
    user=TEXTS,
    url=TEXTS,
    error=TEXTS,
    console=TEXTS,
    anywhere=TEXTS,
    min_clicks=st.integers(0, 4),
    min_errors=st.integers(0, 3),
    sort=st.sampled_from(["start", "duration", "events", "size", "clicks", "errors"]),
    reverse=st.booleans(),
)
FEW = st.builds(
    lambda one, other: replace(
        Wanted(sort=one.sort, reverse=one.reverse), **{name: getattr(one, name) for name in other}
    ),
    ASKED,
    st.sets(st.sampled_from([field for field in Wanted.__slots__ if field not in ("offset", "limit")]), max_size=2),
)
"""Mostly one or two conditions, so that something is found."""


@settings(max_examples=300)
@given(FEW | ASKED)
def test_it_finds_what_a_plain_filter_finds(listed: SessionList, wanted: Wanted) -> None:
    found = listed.search(wanted)
    keys = [(session.team_id, session.session_id) for session in found.sessions]
    assert keys == expected(wanted)
    assert found.total == len(keys)
    assert listed.matching(wanted) == set(keys)


def test_what_is_said_of_a_session(listed: SessionList) -> None:
    (found,) = listed.search(Wanted(user="ann")).sessions
    assert found._asdict() == {
        "team_id": 1,
        "session_id": "s-1",
        "distinct_id": "Ann@x.test",
        "blocks": 1,
        "events": 8,
        "size": sum(len(text) + 1 for text in lines_of(SESSIONS[0])),
        "first_timestamp": NOW_MS,
        "last_timestamp": NOW_MS + 1000,
        "playable": 1,
        "clicks": 3,
        "errors": 2,
        "warnings": 0,
        "url": "https://a.test/Cart",
        "unread": 0,
        "encrypted": 0,
    }
    assert listed.teams(10) == [1, 2]


def test_answers_come_in_parts(listed: SessionList) -> None:
    whole = listed.search(Wanted(sort="size")).sessions
    parts = [listed.search(Wanted(sort="size", offset=at, limit=1)) for at in range(5)]
    assert [session for part in parts for session in part.sessions] == whole
    assert {part.total for part in parts} == {4}


def test_a_file_is_read_once_and_forgotten_when_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "storage"
    written(folder, SESSIONS)
    read(folder)
    looked_at: list[Any] = []
    monkeypatch.setattr(session_list, "contents_of", looked_at.append)
    again = read(folder)
    assert looked_at == []
    assert again.search(Wanted(error="typeerror")).total == 1
    for file in find_files([str(folder)]):
        file.path.unlink()
    assert again.update([]) == []
    assert again.search(Wanted(anywhere="a")).total == 0
    with sqlite3.connect(tmp_path / "storage.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM texts").fetchone() == (0,), "no text outlives its file"


def test_reading_ends_when_the_list_is_closed_and_goes_on_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "storage"
    written(folder, SESSIONS)
    monkeypatch.setattr(session_list, "_BLOCKS_AT_ONCE", 1)
    sessions = SessionList(Catalogue(tmp_path / "storage.sqlite"))
    sessions.update(find_files([str(folder)]))
    assert sessions.unread() == 4
    told = []

    def report(done: int, of: int) -> None:
        told.append((done, of))
        if done == 2:
            sessions.close()

    sessions.read_contents(report)
    assert told == [(0, 4), (1, 4), (2, 4)]
    assert sessions.unread() == 2
    (latest,) = sessions.search(Wanted(limit=1)).sessions
    assert latest.unread == 0, "the latest is read first"
    again = SessionList(Catalogue(tmp_path / "storage.sqlite"))
    again.update(find_files([str(folder)]))
    again.read_contents(wanted=Wanted(team_id=2))
    assert again.unread() == 1
    again.read_contents(wanted=Wanted(error="nothing says this"))
    assert again.unread() == 0, "only what the indexes say limits what is read"


def test_a_session_is_opened_from_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    written(folder, [*SESSIONS, SESSIONS[0]._replace(start=NOW_MS + 50_000)])
    opened = read(folder).blocks((1, "s-1"))
    assert {(found.entry.team_id, found.entry.session_id) for found in opened} == {(1, "s-1")}
    assert len(list(session_lines(opened, undamaged))) == 16
    assert read(folder).blocks((3, "s-1")) == []


def test_damage_is_named_and_the_rest_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    written(folder, SESSIONS)
    damaged, *_ = (file.path for file in find_files([str(folder)]))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-20] + b"\xff" + content[-19:])
    sessions = SessionList(Catalogue(tmp_path / "storage.sqlite"))
    (problem,) = sessions.update(find_files([str(folder)]))
    assert str(damaged) in str(problem)
    damaged.write_bytes(b"\xff" * 20 + content[20:])
    assert sessions.update(find_files([str(folder)])) == []
    sessions.read_contents()
    assert sessions.search(Wanted()).total == 4
    assert sessions.search(Wanted(url="test")).total == 3, "the damaged block says nothing"
    assert sessions.unread() == 0
    assert sessions.without_index() == 0
    other = damaged.with_name("1795000000000-01890a5dac96774b")
    other.write_bytes(b"snappy blocks of PostHog's consumer")
    assert sessions.update(find_files([str(folder)])) == []
    assert sessions.without_index() == 1


def test_a_block_that_storage_does_not_give_is_asked_for_again_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    written(folder, SESSIONS)
    sessions = SessionList(Catalogue(tmp_path / "storage.sqlite"))
    assert sessions.update(find_files([str(folder)])) == []
    path, *_ = (file.path for file in find_files([str(folder)]))
    moved = path.rename(tmp_path / "moved")
    path.symlink_to(moved)  # it is not followed
    sessions.read_contents()
    assert (sessions.unread(), sessions.search(Wanted(url="test")).total) == (1, 3)
    moved.rename(path)
    sessions.read_contents()
    assert (sessions.unread(), sessions.search(Wanted(url="test")).total) == (0, 4)


def test_nothing_that_an_encrypted_block_says_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    entry, lines = block([(1, lines_of(SESSIONS[0]))], "secret")
    write_batch_file(folder, (replace(entry, encryption="secretbox", distinct_id=""), lines))
    keys = MemoryKeys()
    keys.create({(1, "secret"): 2}, 1)
    sessions = read(folder, keys)
    (found,) = sessions.search(Wanted()).sessions
    assert (found.encrypted, found.clicks, found.url, found.unread) == (1, 0, None, 0)
    assert b"a.test" not in b"".join(path.read_bytes() for path in tmp_path.glob("storage.sqlite*"))


def test_a_deleted_session_is_not_opened_whatever_was_read_before(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    written(folder, SESSIONS)
    keys = MemoryKeys()
    sessions = read(folder, keys)
    assert sessions.blocks((1, "s-1"))
    sessions.check_not_deleted((1, "s-1"))
    keys.destroy((1, "s-1"), "ann", 5)
    for ask in (sessions.blocks, sessions.check_not_deleted):
        with pytest.raises(SessionDeletedError, match="session s-1 of team 1 was deleted on 1970"):
            ask((1, "s-1"))
    assert sessions.blocks((2, "s-1"))


def test_a_deleted_session_leaves_the_list_and_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    written(folder, SESSIONS)
    keys = MemoryKeys()
    shown, other = (read(folder, keys) for _ in range(2))
    assert shown.search(Wanted(error="lost 50%")).total == 1
    keys.destroy((1, "s-1"), "ann", 5)
    assert shown.search(Wanted(error="lost 50%", limit=1)) == ([], 0)
    assert [session.session_id for session in other.search(Wanted(team_id=1)).sessions] == ["s-2"]
    keys.destroy((2, "s-1"), "ann", 5)
    other.read_contents()
    assert other.matching(Wanted()) == {(1, "s-2"), (2, "ü\n\0<b>")}, "also if nobody looks for it"
    keys.is_away = True
    with pytest.raises(StoreError):
        shown.search(Wanted())
    written(folder, [SESSIONS[0]])
    keys.is_away = False
    assert read(folder, keys).matching(Wanted(team_id=1)) == {(1, "s-2")}, "what is recorded later is not listed either"
    with sqlite3.connect(tmp_path / "storage.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("storage.sqlite*"))
    assert (b"lost 50%" in kept, b"typeerror in a log" in kept) == (False, True)
