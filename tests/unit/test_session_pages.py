"""The pages of the list of sessions: what they answer, to any request."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_worker.formats.session_keys import Session
from recording_worker.http_server import Answer
from recording_worker.playing import session_pages
from recording_worker.playing.page import list_page, served_page
from recording_worker.playing.session_pages import SessionPages, session_name, session_of
from recording_worker.reading.batch_files import Block
from recording_worker.reading.catalogue import Catalogue
from recording_worker.reading.session_list import SessionList
from recording_worker.storage.local.file import find_files
from tests.batch_files import block, line, write_batch_file
from tests.builders import NOW_MS
from tests.memory_keys import MemoryKeys
from tests.unit.test_playing_page import PLAYER

ODD = "../<script>\u2028\0"


def storage(folder: Path) -> Path:
    for number, (team_id, name) in enumerate([(1, "a"), (1, ODD), (2, "a"), (2**63 - 1, "")]):
        write_batch_file(folder, block([(number, [line(NOW_MS + number)])], name, team_id))
    return folder


def pages(folder: Path, keys: MemoryKeys | None = None, team_id: int | None = None) -> SessionPages:
    sessions = SessionList(Catalogue(folder.parent / f"{folder.name}.sqlite"), keys)
    assert sessions.update(find_files([str(folder)])) == []

    def list_files() -> list[str]:
        return [str(problem) for problem in sessions.update(find_files([str(folder)]))]

    return SessionPages(sessions, served_page(PLAYER, in_list=True), team_id, ["a note"], list_files)


def wait(pages: SessionPages) -> None:
    """Wait for what goes on in the background."""
    assert pages._reading is not None
    pages._reading.join(30)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionPages]:
    shown = pages(storage(tmp_path_factory.mktemp("list") / "storage"))
    yield shown
    shown.close()


def answer(pages: SessionPages, path: str) -> Answer:
    page = pages.get(path)
    assert page is not None, path
    return page.answer()


def found(pages: SessionPages, **wanted: Any) -> Any:
    given = answer(pages, f"found/{quote(json.dumps(wanted))}")
    assert given.status == 200, given
    return json.loads(given.body)


def test_each_listed_session_can_be_opened(shown: SessionPages) -> None:
    listed = found(shown)
    assert (listed["total"], listed["all"], listed["teams"]) == (4, 4, ["1", "2", str(2**63 - 1)])
    assert (listed["unread"], listed["reading"], listed["notes"]) == (4, False, ["a note"])
    for session in listed["sessions"]:
        assert answer(shown, session["path"]).kind.startswith("text/html")
        data = json.loads(answer(shown, f"{session['path']}recording.json").body)
        assert (str(data["team"]), data["session"], data["events"]) == (session["team_id"], session["session_id"], 1)
        for part in ("windows/1.jsonl", "windows/", "x", "recording.json/"):
            assert answer(shown, f"{session['path']}{part}").status == 404
    assert found(shown, prefix="a", sort="size", limit=1)["total"] == 2
    assert found(shown, team_id=2)["all"] == 4


def test_what_is_read_in_the_background_is_found(tmp_path: Path) -> None:
    shown = pages(storage(tmp_path / "storage"))
    shown.start()
    wait(shown)
    assert (found(shown)["unread"], found(shown)["reading"]) == (0, False)


def test_each_visit_lists_the_files_again(tmp_path: Path) -> None:
    folder = storage(tmp_path / "storage")
    shown = pages(folder)
    recording = f"session/{session_name((1, 'a'))}/recording.json"
    assert json.loads(answer(shown, recording).body)["events"] == 1
    for session, offset in (("new", 7), ("a", 8)):
        write_batch_file(folder, block([(offset, [line(NOW_MS + offset)])], session, 1))
    one = Path(next(find_files([str(folder)])).name)
    one.with_name(f"{one.name[:-1]}{'1' if one.name.endswith('0') else '0'}").write_bytes(b"damaged")
    assert found(shown)["total"] == 4
    assert answer(shown, "").status == 200
    wait(shown)
    listed = found(shown)
    assert (listed["total"], listed["unread"], listed["reading"], len(listed["notes"])) == (5, 0, False, 1)
    assert json.loads(answer(shown, recording).body)["events"] == 2


def test_a_listing_that_fails_is_told(tmp_path: Path) -> None:
    folder = storage(tmp_path / "storage")
    shown = pages(folder)
    folder.rename(tmp_path / "elsewhere")
    answer(shown, "")
    wait(shown)
    assert found(shown)["total"] == 4
    assert "The files can't be listed again" in found(shown)["notes"][1]
    (tmp_path / "elsewhere").rename(folder)
    answer(shown, "")
    wait(shown)
    assert found(shown)["notes"] == []


def test_a_team_is_all_that_there_is(tmp_path: Path) -> None:
    shown = pages(storage(tmp_path / "storage"), team_id=1)
    listed = found(shown, team_id=2)
    assert (listed["total"], listed["all"], listed["teams"], listed["unread"]) == (2, 2, ["1"], 2)
    assert {session["team_id"] for session in listed["sessions"]} == {"1"}
    assert shown.get(f"session/{session_name((2, 'a'))}/") is None
    assert shown.get(f"session/{session_name((1, 'a'))}/") is not None


def test_a_deleted_session_is_gone_though_it_was_opened(tmp_path: Path) -> None:
    keys = MemoryKeys()
    shown = pages(storage(tmp_path / "storage"), keys)
    data = f"session/{session_name((1, 'a'))}/recording.json"
    assert answer(shown, data).status == 200
    keys.is_away = True
    assert answer(shown, data).status == 500
    keys.is_away = False
    keys.destroy((1, "a"), "ann", 5)
    gone = answer(shown, data)
    assert (gone.status, b"was deleted on" in gone.body) == (410, True)
    assert answer(shown, f"session/{session_name((2, 'a'))}/recording.json").status == 200


def test_a_key_that_is_destroyed_while_its_session_is_read(tmp_path: Path) -> None:
    class Destroying(MemoryKeys):
        def read(self, sessions: Any) -> Any:
            if len(self.asked) == 2:
                self.destroy((1, "a"), "ann", 5)
            return super().read(sessions)

    folder = storage(tmp_path / "storage")
    entry, lines = block([(9, [line(NOW_MS)])], "a")
    write_batch_file(folder, (replace(entry, encryption="secretbox"), lines))
    keys = Destroying()
    assert answer(pages(folder, keys), f"session/{session_name((1, 'a'))}/recording.json").status in (200, 410)
    assert answer(pages(folder, keys), f"session/{session_name((1, 'a'))}/recording.json").status == 410


def test_the_recordings_opened_last_are_kept_in_bounds(shown: SessionPages, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    blocks = shown._sessions.blocks

    def noted(session: Session) -> list[Block]:
        read.append(session)
        return blocks(session)

    monkeypatch.setattr(shown._sessions, "blocks", noted)
    monkeypatch.setattr(shown, "_opened", session_pages._Opened())
    one, other = ((team, "a") for team in (1, 2))
    for session in (one, other, one, other):
        answer(shown, f"session/{session_name(session)}/recording.json")
    assert read == [one, other]
    monkeypatch.setattr(session_pages, "MAX_RECORDING_BYTES", 1)
    for session in ((1, ODD), (1, ODD), one):
        answer(shown, f"session/{session_name(session)}/recording.json")
    assert read == [one, other, (1, ODD), one]


@settings(max_examples=150)
@given(st.integers(0, 2**63 - 1), st.text())
def test_each_session_has_a_name_of_its_own(team_id: int, session_id: str) -> None:
    name = session_name((team_id, session_id))
    assert session_of(name) == (team_id, session_id)
    assert quote(name, safe="") == name


@settings(max_examples=150)
@given(
    st.text(st.characters(max_codepoint=255)) | st.from_regex(r"(session|found)/[\w.%/=+-]{0,20}(/(recording\.json)?)?")
)
def test_any_path_has_an_answer(shown: SessionPages, path: str) -> None:
    page = shown.get(path)
    if page is not None and path:
        assert page.answer().status in (200, 400, 404)
        team, _, _ = path.partition("/")[2].partition("-")
        assert path.startswith("found/") or team.isdigit()


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["team_id", "prefix", "since", "until", "min_duration_ms", "playable", "user", "url", "error"])
MORE_NAMES = st.sampled_from(["console", "anywhere", "min_clicks", "min_errors", "sort", "reverse", "offset", "limit"])


@settings(max_examples=150)
@given(st.dictionaries(NAMES | MORE_NAMES, ANY_JSON, max_size=4) | ANY_JSON)
def test_any_query_has_an_answer(shown: SessionPages, wanted: Any) -> None:
    given = answer(shown, f"found/{quote(json.dumps(wanted))}")
    assert given.status in (200, 400)
    if given.status == 200:
        assert len(json.loads(given.body)["sessions"]) <= 4


@pytest.mark.parametrize("path", ["found", "found/", "session", "session/", "session/1-YQ", "session/01-YQ/", "x"])
def test_other_paths_have_no_page(shown: SessionPages, path: str) -> None:
    assert shown.get(path) is None


def test_no_page_of_the_list_allows_more_than_its_own_script() -> None:
    page = list_page()
    assert page.policy.count("'sha256-") == 1
    assert "default-src 'none'" in page.policy
    assert 'href="../../"' in served_page(PLAYER, in_list=True).html
    assert 'href="../../"' not in served_page(PLAYER).html
