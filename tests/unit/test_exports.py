"""`recording-worker export` in all its formats."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_worker.playing.exports import ExportFormat, exported, window_of, windows_of
from tests.batch_files import block, write_batch_file
from tests.builders import NOW_MS
from tests.unit.command import Done, run

Export = Callable[..., Done]


def line(window: str, at: int, kind: int, **data: Any) -> bytes:
    return json.dumps([window, {"type": kind, "timestamp": NOW_MS + at, "data": data}]).encode()


def request(**given: Any) -> dict[str, Any]:
    return {"plugin": "rrweb/network@1", "payload": {"requests": [{"name": "https://a.test/x?q=1&r=%20", **given}]}}


def said(level: str, *texts: str) -> dict[str, Any]:
    return {"plugin": "rrweb/console@1", "payload": {"level": level, "payload": texts}}


ONE, TWO = "w-1", 'w-"2"\n'
LINES = [
    line(ONE, 0, 4, href="https://a.test"),
    line(TWO, 1, 6, **said("error", "Lost\x1b[2J", "all\n")),
    line(ONE, 2, 6, **said("log", "ü")),
    line(
        ONE,
        3,
        6,
        **request(
            timestamp=NOW_MS + 3,
            startTime=10,
            responseStart=14,
            duration=9.5,
            method="post",
            status=404,
            transferSize=7,
            requestHeaders={"Content-Type": "text/x", "A": "b"},
            requestBody="sent",
            responseHeaders={"content-type": "text/html"},
            responseBody="<p>",
        ),
    ),
    line(TWO, 4, 6, **request()),
]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    write_batch_file(tmp_path / "storage", block([(1, LINES[:3]), (2, LINES[3:])]))

    def run_it(*arguments: object) -> Done:
        return run("export", tmp_path / "storage", "--session", "session-1", *arguments)

    return run_it


def test_lines_are_as_they_were_recorded(export: Export) -> None:
    assert export().out.encode() == b"".join(text + b"\n" for text in LINES)
    assert export("--format", "lines", "--window", "1").out.encode().splitlines() == [LINES[0], LINES[2], LINES[3]]


@pytest.mark.parametrize("window", ["2", TWO, 'w-"'])
def test_rrweb_is_the_events_of_one_window(export: Export, window: str) -> None:
    done = export("--format", "rrweb", "--window", window)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == [json.loads(text)[1] for text in (LINES[1], LINES[4])]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("--format rrweb", 'the session has 2 windows: say which with --window: 1 (w-1), 2 (w-"2"\\n)'),
        ("--window 3", "--window 3: the session has 2 windows"),
        ("--window 0", "--window 0: the session has 2 windows"),
        ("--window w-", '--window w-: several windows begin like this: 1 (w-1), 2 (w-"2"\\n)'),
        ("--window x", '--window x: the session has no such window: 1 (w-1), 2 (w-"2"\\n)'),
        ("--output /nowhere/x", "/nowhere/x: No such file or directory"),
    ],
)
def test_each_mistake_is_one_line(export: Export, arguments: str, error: str) -> None:
    done = export(*arguments.split())
    assert (done.code, done.out, done.err) == (2, "", f"recording-worker: error: {error}\n")


def test_a_session_of_one_window_needs_no_choice(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, LINES[:1])]))
    assert len(json.loads(run("export", tmp_path, "--session", "s", "--format", "rrweb").out)) == 1


def test_the_console_is_one_message_a_line(export: Export) -> None:
    done = export("--format", "console")
    assert done.out.splitlines() == [
        "2026-11-18 11:06:40.001 error Lost\\x1b[2J all\\n",
        "2026-11-18 11:06:40.002 info  ü",
    ]


def test_a_har_has_the_requests_of_one_window_or_of_all(export: Export) -> None:
    log, of_two = (json.loads(export("--format", "har", *more).out)["log"] for more in ((), ("--window", "2")))
    assert [entry["_window"] for entry in log["entries"]] == [ONE, TWO]
    assert (of_two["pages"], of_two["entries"]) == ([], log["entries"][1:])


def test_it_is_written_to_a_file_of_its_owner(export: Export, tmp_path: Path) -> None:
    target = tmp_path / "session.har"
    done = export("--format", "har", "--output", target)
    assert (done.code, done.out) == (0, f"Written to {target}\n")
    assert target.stat().st_mode & 0o077 == 0
    assert len(json.loads(target.read_text())["log"]["entries"]) == 2


def test_what_the_client_packed_is_unpacked_for_rrweb() -> None:
    packed = gzip.compress(json.dumps({"node": 1}).encode()).decode("latin-1")
    events = [
        {"type": 2, "timestamp": 1, "cv": "2024-10", "data": packed},
        {"type": 2, "timestamp": 2, "cv": "2024-10", "data": "no gzip"},
        {"type": 5, "timestamp": 3, "data": {"cv": "not packed"}},
    ]
    problems: list[str] = []
    lines = [json.dumps(["w", event]).encode() for event in events] + [b"no line"]
    first, *others = json.loads(b"".join(exported(lines, ExportFormat.RRWEB, problems.append)))
    assert (first["data"], others) == ({"node": 1}, events[1:])
    assert problems == [
        "1 event can't be read: left out",
        "1 event that the client packed can't be unpacked: left as they are",
    ]


@settings(max_examples=150)
@given(st.lists(st.text(max_size=4)), st.binary(max_size=30))
def test_any_line_has_a_window(ids: list[str], odd: bytes) -> None:
    lines = [json.dumps([window, {}]).encode() for window in ids]
    assert [window_of(text) for text in lines] == ids
    assert list(windows_of(lines)) == list(dict.fromkeys(ids))
    assert isinstance(window_of(odd), str)
    assert isinstance(window_of(b'["' + odd), str)


@pytest.mark.parametrize("kind", list(ExportFormat))
def test_no_format_shows_control_characters_on_a_terminal(kind: ExportFormat) -> None:
    """What goes to a terminal passes `say`; the console's text is safe in a file, too."""
    pieces = list(exported(LINES[:3], kind, lambda _: None))
    assert all(piece.endswith(b"\n") for piece in pieces)
    if kind is ExportFormat.CONSOLE:
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", b"".join(pieces))
