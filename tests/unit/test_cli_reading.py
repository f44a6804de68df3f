"""The commands that read batch files."""

import json
from pathlib import Path

import pytest

from recording_worker.cli.times import parse_place_ms
from recording_worker.errors import ConfigError
from tests.batch_files import block, line, write_batch_file
from tests.unit.command import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two batch files. Both hold session-1, of two teams; one of its messages is in both."""
    write_batch_file(tmp_path, block([(1, [line(1), line(3)]), (2, [line(4)])]), block([(3, [line(9)])], "other"))
    write_batch_file(tmp_path, block([(2, [line(4)]), (4, [line(2)])]), block([(5, [line(5)])], team_id=2))
    return tmp_path


def test_blocks_lists_every_block(folder: Path) -> None:
    done = run("blocks", folder)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("session-1") == 3
    size = sum(len(line(at)) + 1 for at in (1, 3, 4, 9, 4, 2, 5))
    stored = sum(json.loads(text)["length"] for text in run("blocks", folder, "--json").out.splitlines())
    totals = f"2 files, 4 blocks, 3 sessions, 7 events, {size} bytes of lines, {stored} bytes stored"
    assert done.out.splitlines()[-1] == totals
    assert "1970-01-01 00:00:00" in done.out


def test_blocks_as_json(folder: Path) -> None:
    done = run("blocks", folder, "--json")
    assert (done.code, done.err) == (0, "")
    listed = [json.loads(text) for text in done.out.splitlines()]
    found = [(entry["team_id"], entry["session_id"], entry["messages"], entry["events"]) for entry in listed]
    assert sorted(found) == [
        (1, "other", 1, 1),
        (1, "session-1", 2, 2),
        (1, "session-1", 2, 3),
        (2, "session-1", 1, 1),
    ]
    for entry in listed:
        content = Path(entry["file"]).read_bytes()[entry["start"] : entry["start"] + entry["length"]]
        assert content.startswith(b"\x28\xb5\x2f\xfd")


def test_export_writes_a_sessions_events(folder: Path) -> None:
    done = run("export", folder, "--session", "session-1", "--team", 1)
    assert (done.code, done.err) == (0, "")
    assert done.out.encode().splitlines() == [line(1), line(2), line(3), line(4)]
    done = run("export", folder, "--session", "other")
    assert done.out.encode() == line(9) + b"\n"


def test_the_beginning_of_an_id_is_enough(tmp_path: Path) -> None:
    for number, name in enumerate(("abc", "abcd", "abe", "x")):
        write_batch_file(tmp_path, block([(number, [line(number + 1)])], name))
    assert run("export", tmp_path, "--session", "abcd").out.encode() == line(2) + b"\n"
    assert run("export", tmp_path, "--session", "abe").out.encode() == line(3) + b"\n"
    assert run("export", tmp_path, "--session", "x").out.encode() == line(4) + b"\n"
    assert run("export", tmp_path, "--session", "abc").out.encode() == line(1) + b"\n", "a whole id is meant"
    done = run("export", tmp_path, "--session", "ab")
    assert (done.code, done.out) == (1, "")
    assert done.err == "recording-worker: error: 3 sessions begin with ab, so say more of the id: abc, abcd, abe\n"
    write_batch_file(tmp_path, *(block([(9, [line(1)])], f"m\n{number}") for number in range(7)))
    assert run("export", tmp_path, "--session", "m").err.endswith(" m\\n0, m\\n1, m\\n2, m\\n3, m\\n4 and 2 more\n")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("export {} --session session-1", 1, "session session-1 is in several teams: say which with --team (1, 2)"),
        ("export {} --session nobody", 1, "no session nobody in 2 batch files: `recording-worker sessions` lists"),
        ("export {} --session other --team 7", 1, "no session other of team 7 in 2 batch files"),
        ("export {}/notes --session other", 1, "{}/notes: no index at its end: not a batch file"),
        ("play {} --session other --port 70000", 2, "Invalid value for '--port'"),
        ("blocks {}/notes", 1, "{}/notes: no index at its end: not a batch file"),
        ("blocks {}/nowhere", 2, "{}/nowhere: No such file or directory"),
        ("sessions s3://", 2, "s3:// is not s3://BUCKET or s3://BUCKET/KEY"),
        ("sessions s3://bucket/key?range=bytes=0-9", 2, "s3://bucket/key?range=bytes=0-9 is not s3://BUCKET or"),
        ("sessions http://server/bucket", 2, "http://server/bucket: not a path, and not s3://BUCKET/PREFIX"),
        ("blocks", 2, "Missing argument 'PATH...'"),
        ("export {}", 2, "Missing option '--session'"),
    ],
)
def test_each_mistake_is_one_line(folder: Path, arguments: str, code: int, error: str) -> None:
    (folder / "notes").write_text("some notes that are no batch file")
    done = run(*(argument.format(folder) for argument in arguments.split()))
    assert done.code == code
    assert done.err.startswith(f"recording-worker: error: {error.format(folder)}")
    assert len(done.err.splitlines()) == 1


def test_play_without_its_player_says_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "empty"))
    done = run("play", folder, "--session", "other")
    assert done.code == 3
    assert done.err.startswith("recording-worker: error: the player (@rrweb/replay ")
    assert "fetch it once, with `make player`" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_damaged_file_does_not_hide_the_others(folder: Path) -> None:
    damaged = write_batch_file(folder, block([(6, [line(6)])], "other"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    listed = run("blocks", folder, "--json")
    assert listed.code == 1
    assert len(listed.out.splitlines()) == 4
    exported = run("export", folder, "--session", "other")
    assert exported.code == 1
    assert exported.out.encode() == line(9) + b"\n"
    for done in (listed, exported):
        assert done.err.startswith(f"recording-worker: error: {damaged}: zstd data without an index at its end")
        assert len(done.err.splitlines()) == 1


def test_a_damaged_block_does_not_hide_the_others(folder: Path) -> None:
    damaged = write_batch_file(folder, block([(6, [line(6, text="x" * 100)])], "other"))
    content = bytearray(damaged.read_bytes())
    content[20] ^= 0xFF
    damaged.write_bytes(content)
    done = run("export", folder, "--session", "other")
    assert done.code == 1
    assert done.out.encode() == line(9) + b"\n"
    assert done.err.startswith(f"recording-worker: error: {damaged}: block at byte 0 is damaged")
    assert len(done.err.splitlines()) == 1


def test_a_file_url_works_like_a_path(folder: Path) -> None:
    for url in (folder.as_uri(), *(path.as_uri() for path in folder.rglob("*-*-*"))):
        done = run("blocks", url, "--json")
        assert (done.code, done.err) == (0, "")
        assert done.out


def test_text_from_outside_can_not_control_the_terminal(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])], "\x1b[31mred[bold]\n"))
    done = run("blocks", tmp_path)
    assert "\\x1b[31mred[bold]\\n" in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("text", "ms"),
    [("83", 83_000), ("1:23", 83_000), ("90:00", 5_400_000), ("1:02:03", 3_723_000), ("5m", 300_000), ("1.5s", 1_500)],
)
def test_a_place_in_a_recording(text: str, ms: float) -> None:
    assert parse_place_ms(text, "--from") == ms


@pytest.mark.parametrize("text", ["", "-1", "1:", "1:2:3:4", "soon", "1e3", "\u0663"])
def test_no_place_in_a_recording(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a place such as 83, 1:23 or 5m"):
        parse_place_ms(text, "--from")
