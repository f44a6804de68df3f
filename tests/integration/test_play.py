"""`recording-worker play` as a process: its page over HTTP, and files that hold events as the client packed them."""

import json
import signal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from recording_worker.formats.batch_file import BatchFileError
from recording_worker.playing.session import recording_of
from recording_worker.reading.batch_files import Block, read_blocks
from recording_worker.reading.session_events import session_lines
from recording_worker.storage.local.file import find_files
from tests.batch_files import block, line, undamaged, write_batch_file
from tests.integration.command import run, start
from tests.sample import SAMPLE


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
        assert process.stdout.readline() == "Ctrl-C ends.\n"
        status, page = get(url)
        assert (status, page[:15]) == (200, "<!doctype html>")
        assert json.loads(get(url, "recording.json")[1])["events"] == 2
        assert get(url, "recording.json", Host="rebound.test")[0] == 421
        assert get(url.rpartition("/")[0].rpartition("/")[0] + "/")[0] == 404  # without the secret
        process.send_signal(number)
        assert process.wait(30) == code
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]))
    with start("play", tmp_path, "--session", "session-1") as process:
        assert process.stdout is not None
        port = urlsplit(process.stdout.readline().strip()).port
        done = run("play", tmp_path, "--session", "session-1", "--port", str(port))
        process.terminate()
        assert (done.code, done.error) == (3, f"can't listen on 127.0.0.1:{port}: Address already in use")


def test_files_of_packed_events_play_as_those_of_unpacked_ones(tmp_path: Path) -> None:
    kept, unpacked = (sessions(tmp_path / name, flag) for name, flag in (("a", "--no-"), ("b", "--")))
    assert len(kept) == 12
    assert kept == unpacked


def sessions(out: Path, flag: str) -> dict[str, list[list[Any]]]:
    """What the player gets of each session of the sample, by windows."""
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
