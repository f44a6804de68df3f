"""`recording-worker sessions`."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cramjam
import pytest

from tests import mobile
from tests.batch_files import block, line, write_batch_file
from tests.builders import NOW_MS
from tests.unit.command import run
from tests.unit.test_playing_session import shown

HOUR = 3_600_000


def session(name: str, offset: int, hours: float, seconds: float, events: int = 1, **fields: Any) -> Any:
    """A block that begins this many hours after NOW_MS, 2026-11-18 11:06:40 UTC."""
    start = NOW_MS + hours * HOUR
    entry, lines = block([(offset, [line(start)] * events)], name)
    given = {"out_of_order_count": 0, "gap_count": 0, **fields}
    return replace(entry, first_timestamp=start, last_timestamp=start + seconds * 1000, **given), lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sessions: a (in two files, which share a message), b (team 2, full snapshot after 90 s), c (disorder), old."""
    late = {"has_full_snapshot": True, "first_full_snapshot_position": 0}
    write_batch_file(
        tmp_path,
        session("a", 1, 0, 10, 5),
        session("b", 2, 1, 600, 2, team_id=2, first_full_snapshot_timestamp=NOW_MS + HOUR + 90_000.0, **late),
    )
    write_batch_file(
        tmp_path,
        session("a", 1, 0, 10, 5),
        session("c", 3, 2, 60, 3, out_of_order_count=2, gap_count=1),
        session("old", 4, -1, 1, has_full_snapshot=True, out_of_order_count=None, gap_count=None),
    )
    write_batch_file(tmp_path, session("a", 5, 0.01, 0, 1, first_full_snapshot_timestamp=NOW_MS + 36_000.0, **late))
    return tmp_path


def listed(folder: Path, *arguments: str) -> str:
    """The ids of the listed sessions."""
    done = run("sessions", folder, "--json", *arguments)
    assert (done.code, done.err) == (0, "")
    return " ".join(json.loads(text)["session_id"] for text in done.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "c b a old"),
        ("--reverse", "old a b c"),
        ("--limit 2", "c b"),
        ("--sort duration", "b c a old"),
        ("--sort events", "a c b old"),
        ("--sort size --limit 1", "a"),
        ("--sort blocks --limit 1", "a"),
        ("--sort out-of-order --limit 1", "c"),
        ("--sort gaps --limit 2", "a c"),
        ("--team 2", "b"),
        ("--team 3", ""),
        ("--session o", "old"),
        ("--playable", "b a old"),
        ("--not-playable", "c"),
        ("--min-duration 1m", "c b"),
        ("--since 2026-11-18T12:06:40", "c b"),
        ("--until 2026-11-18T12:06:40Z --since 2026-11-18T11:06:40", "a"),
        ("--until 2026-11-18", ""),
    ],
)
def test_sorted_and_filtered(folder: Path, arguments: str, expected: str) -> None:
    assert listed(folder, *arguments.split()) == expected


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sessions: a (user ann, then bob; a click, an error), c (no click). A message of a is in two files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "storage"
    click = json.dumps(["w", {"type": 3, "timestamp": NOW_MS, "data": {"source": 2, "type": 2}}]).encode()
    payload = {"plugin": "rrweb/console@1", "payload": {"level": "error", "payload": ["Lost"]}}
    error = json.dumps(["w", {"type": 6, "timestamp": NOW_MS, "data": payload}]).encode()
    page = json.dumps(["w", {"type": 4, "timestamp": NOW_MS, "data": {"href": "https://a.test/Cart"}}]).encode()
    first, lines = block([(1, [page, click])], "a")
    write_batch_file(folder, (replace(first, distinct_id="ann"), lines))
    second, lines = block([(2, [error])], "a")
    write_batch_file(folder, (replace(second, distinct_id="Bob", first_timestamp=NOW_MS, last_timestamp=NOW_MS), lines))
    write_batch_file(folder, block([(3, [page])], "c"))
    return folder


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--user bob", "a"),
        ("--user ANN", "a"),
        ("--user -1", "c"),
        ("--user nobody", ""),
        ("--clicks 1", "a"),
        ("--clicks 2", ""),
        ("--errors 1", "a"),
        ("--errors 0 --clicks 0", "a c"),
        ("--url /cart", "a c"),
        ("--url /cart --errors 1 --user ann", "a"),
        ("--url /cart --team 2", ""),
        ("--url nowhere", ""),
    ],
)
def test_filtered_by_what_the_lines_say(told: Path, arguments: str, expected: str) -> None:
    for _ in range(2):  # from the files, and from the cache
        assert " ".join(sorted(listed(told, *arguments.split()).split())) == expected
    paths = list((told.parent / "cache").rglob("*"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths if path.name.startswith("sessions") or path.is_file())
    assert bool(paths) == any(name in arguments for name in ("clicks 1", "clicks 2", "errors 1", "url")), paths


def test_a_new_file_is_found_from_any_folder(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert listed(told, "--clicks", "1") == "a"
    databases = list((told.parent / "cache").rglob("*.sqlite"))
    old = databases[0].with_name("0123456789abcdef.sqlite")
    old.touch()
    os.utime(old, (0, 0))
    write_batch_file(told, block([(9, [b'["w",{"type":3,"timestamp":5,"data":{"source":2,"type":2}}]'])], "new"))
    monkeypatch.chdir(told)
    assert sorted(listed(Path(), "--clicks", "1").split()) == ["a", "new"]
    assert list((told.parent / "cache").rglob("*.sqlite")) == databases, "the same one, and old ones are removed"


def test_a_damaged_file_is_named_once(told: Path) -> None:
    damaged = next(path for path in told.rglob("*-*") if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-3])
    done = run("sessions", told, "--clicks", "1")
    assert done.code == 1
    assert done.err.count(str(damaged)) == 1


def test_the_json_has_every_field(folder: Path) -> None:
    done = run("sessions", folder, "--json", "--session", "b")
    [text] = done.out.splitlines()
    assert json.loads(text) == {
        "team_id": 2,
        "session_id": "b",
        "distinct_id": "user-1",
        "first_timestamp": NOW_MS + HOUR,
        "last_timestamp": NOW_MS + HOUR + 600_000,
        "duration_ms": 600_000,
        "blocks": 1,
        "messages": 1,
        "events": 2,
        "size": 2 * len(line(NOW_MS + HOUR) + b"\n"),
        "snapshot_source": None,
        "has_full_snapshot": True,
        "playable": True,
        "deleted_at": None,
        "first_full_snapshot_timestamp": NOW_MS + HOUR + 90_000,
        "missing": None,
        "out_of_order_count": 0,
        "gap_count": 0,
    }


def test_the_table(folder: Path) -> None:
    done = run("sessions", folder)
    assert (done.code, done.err) == (0, "")
    rows = [text.split() for text in done.out.splitlines() if text.strip()]
    heads = "session team distinct id start (UTC) length events blocks size playable disorder gaps"
    assert " ".join(rows[0]) == heads
    size = len(line(NOW_MS)) + 1
    start = ["2026-11-18", "13:06:40"]
    assert rows[2] == ["c", "1", "user-1", *start, "0:01:00", "3", "1", str(3 * size), "bytes", "no", "2", "1"]
    assert rows[3][-5:] == ["bytes", "from", "0:01:30", "0", "0"]
    assert rows[4][5:7] == ["0:00:36", "6"]
    assert rows[4][-5:] == ["bytes", "from", "0:00:36", "0", "1"]
    assert rows[5][-4:] == ["bytes", "yes", "?", "?"]
    assert " ".join(rows[6]).startswith("4 sessions in 3 files, 12 events, ")
    done = run("sessions", folder, "--limit", 1)
    assert "1 of 4 sessions in 3 files, 12 events" in done.out
    done = run("sessions", folder, "--team", 3)
    assert done.out == "0 sessions in 3 files, 0 events, 0 bytes of lines\n"


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("--since yesterday", 2, "--since yesterday: must be a time such as 2026-11-24T03:30"),
        ("--min-duration long", 2, "--min-duration long: must be a duration such as"),
        ("--sort beauty", 2, "Invalid value for '--sort': 'beauty' is not one of 'start', 'duration'"),
        ("--limit 0", 2, "Invalid value for '--limit'"),
    ],
)
def test_each_mistake_is_one_line(folder: Path, arguments: str, code: int, error: str) -> None:
    done = run("sessions", folder, *arguments.split())
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"recording-worker: error: {error}")
    assert len(done.err.splitlines()) == 1


def test_a_snappy_file_of_posthog_is_named_and_the_others_are_listed(folder: Path) -> None:
    snappy = folder / "blocks" / "30d" / "1795000000000-01890a5dac96774b"
    snappy.write_bytes(bytes(cramjam.snappy.compress_raw(line(1))))
    done = run("sessions", folder, "--json")
    assert done.code == 1
    assert len(done.out.splitlines()) == 4
    (error,) = done.err.splitlines()
    assert error.startswith(f"recording-worker: error: {snappy}: no index at its end: ")
    assert "snappy blocks of PostHog's consumer" in error


def test_a_session_of_a_mobile_app_is_playable_if_it_has_a_full_snapshot(tmp_path: Path) -> None:
    snapshot: dict[str, Any] = {"has_full_snapshot": True, "first_full_snapshot_timestamp": float(NOW_MS)}
    write_batch_file(
        tmp_path,
        session("mobile", 1, 0, 1, **snapshot, snapshot_source="mobile"),
        session("web", 2, 0, 1, **snapshot, snapshot_source="web"),
        session("changes", 3, 0, 1, snapshot_source="mobile"),
    )
    assert sorted(listed(tmp_path, "--playable").split()) == ["mobile", "web"]
    assert listed(tmp_path, "--not-playable") == "changes"
    rows = [text.split() for text in run("sessions", tmp_path).out.splitlines()]
    assert {row[0]: row[-3:] for row in rows if len(row) > 3 and row[0] in ("mobile", "web", "changes")} == {
        "mobile": ["yes", "0", "0"],
        "web": ["yes", "0", "0"],
        "changes": ["no", "0", "0"],
    }


ODD = mobile.view(1, 0, 0, 9, 9, "holo\x1bgram"), mobile.view(2, 0, 0, 9, 9, "image", base64="no picture")


def on_screen(*wireframes: mobile.Wireframe) -> bytes:
    return json.dumps(["w", mobile.snapshot(0, *wireframes)]).encode()


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    """Sessions: a (a screen with parts that can't be shown), b (one without)."""
    app: dict[str, Any] = {"has_full_snapshot": True, "snapshot_source": "mobile"}
    for number, (name, screen) in enumerate({"a": ODD, "b": [mobile.screenshot(mobile.RED)]}.items()):
        entry, lines = block([(number, [on_screen(*screen)])], name)
        write_batch_file(tmp_path, (replace(entry, **app), lines))
    return tmp_path


def test_what_of_a_mobile_app_can_not_be_shown_is_said(apps: Path) -> None:
    [*_, hint] = run("sessions", apps).out.splitlines()
    assert hint == "2 sessions of mobile apps: --missing says what of them can't be shown"
    done = run("sessions", apps, "--missing")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-4:] == [
        "Parts can't be shown in 1 of 2 sessions",
        "a",
        "  1 image of the app can't be shown: only PNG, JPEG, WebP and GIF in base64 can.",
        "  1 part of the app's screens can't be shown: their place is known, not their kind (holo\\x1bgram).",
    ]


def test_play_says_the_same_of_what_can_not_be_shown(apps: Path) -> None:
    said = [json.loads(text) for text in run("sessions", apps, "--missing", "--json").out.splitlines()]
    assert [(session["session_id"], len(session["missing"])) for session in said] == [("a", 2), ("b", 0)]
    assert shown(on_screen(*ODD)).notes == said[0]["missing"]


def test_a_window_that_can_not_be_played_is_missing(folder: Path) -> None:
    done = run("sessions", folder, "--session", "c", "--missing", "--json")
    assert json.loads(done.out)["missing"] == [
        "Window 1 can't be played: it has no full snapshot, so only the page's changes are known."
    ]


def test_text_from_outside_can_not_control_the_terminal(tmp_path: Path) -> None:
    write_batch_file(tmp_path, session("\x1b[31mred[bold]\n", 1, 0, 0, distinct_id="\x1b]0;title\x07"))
    done = run("sessions", tmp_path)
    assert "\\x1b[31mred[bold]\\n" in done.out
    assert "\\x1b]0;title\\x07" in done.out
    assert "\x1b" not in done.out
