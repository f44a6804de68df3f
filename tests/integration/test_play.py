"""`recording-worker play` as a process: its page over HTTP, and files that hold events as the client packed them."""

import json
import signal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from recording_worker.formats.batch_file import BatchFileError
from recording_worker.playing import player
from recording_worker.playing.session import recording_of
from recording_worker.reading.batch_files import Block, read_blocks
from recording_worker.reading.session_events import session_lines
from recording_worker.storage.local.file import find_files
from tests.batch_files import block, line, undamaged, write_batch_file
from tests.integration.command import run, start
from tests.sample import SAMPLE
from tests.security.test_read_only import run as run_read_only


def get(url: str, path: str = "", **headers: str) -> tuple[int, str]:
    address = urlsplit(url)
    assert address.hostname == "127.0.0.1"
    connection = HTTPConnection(address.hostname, address.port or 0, timeout=30)
    try:
        connection.request("GET", address.path + path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0)])
def test_it_serves_until_a_signal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    write_batch_file(tmp_path, block([(1, [line(1), line(2)])]))
    with start("play", tmp_path, "--session", "session-1") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert process.stdout.readline() == "Press Ctrl-C to stop.\n"
        status, page = get(url)
        assert (status, page[:15]) == (200, "<!doctype html>")
        assert json.loads(get(url, "recording.json")[1])["events"] == 2
        assert get(url, "recording.json", Host="rebound.test")[0] == 421
        assert get(url.rpartition("/")[0].rpartition("/")[0] + "/")[0] == 404  # without the secret
        process.send_signal(number)
        assert process.wait(30) == code
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_without_a_session_it_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = tmp_path / "caches" / "recording-worker"
    caches.mkdir(parents=True)
    (caches / player.folder().name).symlink_to(player.folder())
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches.parent))
    storage = tmp_path / "storage"
    write_batch_file(storage, block([(1, [line(1), line(2)])]), block([(2, [line(3)])], "other", team_id=2))
    damaged = write_batch_file(storage, block([(6, [line(6)])]))
    damaged.write_bytes(damaged.read_bytes()[:-20] + bytes(20))
    for team, total in (((), 2), (("--team", "2"), 1)):
        with start("play", storage, *team) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert get(url)[1].startswith("<!doctype html>")
            listed = json.loads(get(url, "found/%7B%22sort%22:%22events%22%7D")[1])
            assert listed["total"] == total
            shown = listed["sessions"][-1]
            assert shown["session_id"] == "other"
            assert json.loads(get(url, f"{shown['path']}recording.json")[1])["events"] == 1
            assert get(url, "found/x")[0] == 400
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, "a file without an index may be of another program"
            assert process.stderr is not None
            assert process.stderr.read() == ""
    (kept,) = (caches / "sessions").glob("*.sqlite")
    assert kept.stat().st_mode & 0o077 == 0
    done = run("play", storage, "--from", "5")
    assert (done.code, done.error) == (2, "--from is a time of one session: say which with --session")
    done = run("play", storage, "--html", tmp_path / "x.html")
    assert (done.code, done.error) == (2, "--html writes one session: say which with --session")


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]))
    with start("play", tmp_path, "--session", "session-1") as process:
        assert process.stdout is not None
        port = urlsplit(process.stdout.readline().strip()).port
        done = run("play", tmp_path, "--session", "session-1", "--port", str(port))
        process.terminate()
        assert (done.code, done.error) == (3, f"can't listen on 127.0.0.1:{port}: Address already in use")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("--session session-1", 1, "session session-1 is in several teams: say which with --team (1, 2)"),
        ("--session nobody --html {}/x", 1, "no session nobody in 2 batch files"),
        ("--session other --html {}/none/x", 2, "{}/none/x: No such file or directory"),
    ],
)
def test_each_mistake_is_one_line(tmp_path: Path, arguments: str, code: int, error: str) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]), block([(3, [line(9)])], "other"))
    write_batch_file(tmp_path, block([(5, [line(5)])], team_id=2))
    done = run("play", tmp_path, *arguments.format(tmp_path).split())
    assert done.code == code
    assert done.error.startswith(error.format(tmp_path))


def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(3, [line(9)])]))
    damaged = write_batch_file(tmp_path, block([(6, [line(6)])]))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    page = tmp_path / "page.html"
    done = run("play", tmp_path, "--session", "session-1", "--html", page)
    assert done.code == 1
    assert done.error.startswith(f"{damaged}: zstd data without an index at its end")
    assert "Left out: " in page.read_text()


def test_a_damaged_block_does_not_hide_the_others(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(3, [line(9)])]))
    damaged = write_batch_file(tmp_path, block([(6, [line(6, text="x" * 100)])]))
    content = bytearray(damaged.read_bytes())
    content[20] ^= 0xFF
    damaged.write_bytes(content)
    page = tmp_path / "page.html"
    done = run("play", tmp_path, "--session", "session-1", "--html", page)
    assert done.code == 1
    assert done.error.startswith(f"{damaged}: block at byte 0 is damaged")
    assert f"Left out: {damaged}: block at byte 0 is damaged" in page.read_text()


def test_files_of_packed_events_play_like_files_of_unpacked_events(tmp_path: Path) -> None:
    kept, unpacked = (sessions(tmp_path / name, flag) for name, flag in (("a", "--no-"), ("b", "--")))
    assert len(kept) == 12
    assert kept == unpacked


def sessions(out: Path, flag: str) -> dict[str, list[list[Any]]]:
    """What the player gets for each session of the sample, by window."""
    assert run("ingest", SAMPLE, "--out", out, "--any-token", f"{flag}unpack-client-compression").code == 0
    found: dict[str, list[Block]] = {}
    for file_blocks in read_blocks(find_files([str(out / "blocks")])):
        assert not isinstance(file_blocks, BatchFileError)
        for at in file_blocks:
            found.setdefault(at.entry.session_id, []).append(at)
    recordings = {session: recording_of(blocks, session_lines(blocks, undamaged)) for session, blocks in found.items()}
    assert [recording.notes for recording in recordings.values() if recording.notes] == []
    return {
        session: [[json.loads(text) for text in window.lines] for window in recording.windows]
        for session, recording in recordings.items()
    }


def test_a_page_on_a_read_only_file_system_is_one_line(tmp_path: Path) -> None:
    write_batch_file(tmp_path / "storage", block([(1, [line(1)])]))
    page = tmp_path / "page.html"
    done = run_read_only("play", tmp_path / "storage", "--session", "session-1", "--html", page)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"recording-worker: error: {page}: Read-only file system\n"
