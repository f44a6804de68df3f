"""What comes from outside never controls the terminal, and any stdout takes what is printed."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recording_worker.cli.say import json_text, say
from recording_worker.cli.verify import _print as print_verify
from recording_worker.formats.batch_file import BlockEntry
from recording_worker.messages import Record
from recording_worker.operations.sweep import Committed, judge
from recording_worker.storage.local.inventory import LocalInventory
from tests.batch_files import block, line, write_batch_file
from tests.builders import NOW_MS
from tests.history import History, Part
from tests.unit.command import run

NASTY = "\x1b]0;title\x07\x1b[2J\x9b31m\x7f\r\n\u202eé"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A batch file with nasty text wherever its index has text, below a folder with a nasty name."""
    entry, lines = block([(1, [line(1, text="\x9b31m")])], NASTY)
    entry = replace(entry, distinct_id=NASTY, source=NASTY)
    nasty = tmp_path / "a\x1b[2J\x9bb\udcff"
    write_batch_file(nasty, (entry, lines), retention=NASTY, batch_id=NASTY)
    return tmp_path


def assert_harmless(text: str) -> None:
    assert not [char for char in text if char != "\n" and (ord(char) < 32 or 0x7F <= ord(char) < 0xA0)]


@pytest.mark.parametrize("command", ["blocks", "sessions"])
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_listing_escapes_what_an_index_says(folder: Path, command: str, how: list[str]) -> None:
    done = run(command, folder, *how)
    assert (done.code, done.err) == (0, "")
    assert_harmless(done.out)
    if how:
        assert json.loads(done.out)["session_id"] == NASTY


def test_errors_escape_names(folder: Path) -> None:
    [good] = folder.rglob("*-*-*")
    good.write_bytes(b"no batch file, but long enough")
    for command in (["blocks"], ["export", "--session", NASTY], ["sessions", "--since", NASTY]):
        done = run(*command, folder)
        assert done.code in (1, 2)
        assert_harmless(done.err)
    assert len(run("blocks", folder).err.splitlines()) == 1


def test_sweep_and_verify_escape_names_and_reasons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from recording_worker.cli.sweep import _json, _print

    files = LocalInventory(folder).files()
    result = judge(files, Committed(), older_than_ms=2**60, horizon_ms=0)
    assert [reason for _, reason in result.not_judged] == ["recorded from elsewhere: a file"]
    _print(result, [NASTY], deleted=False)
    print(_json(result, [NASTY], deleted=False).decode())
    history = History(folder / "history")
    history.batch({0: Part({0: "a"})})
    value = json.loads(history.metadata[0].value or b"") | {"block_url": f"{NASTY}?range=bytes=0-9", "uuid": NASTY}
    history.metadata.append(Record(NASTY, 0, 1, NOW_MS, [], json.dumps(value).encode()))
    report = history.verify()
    report.notes.append(NASTY)
    print_verify(report)
    print(json_text(report.to_dict(), indent=True).decode())
    assert_harmless(capsys.readouterr().out)


def test_an_export_to_a_terminal_is_escaped(folder: Path) -> None:
    nasty = b'["w",{"type":3,"timestamp":1,"data":"\xc2\x9b31m \\u001b"}]'
    write_batch_file(folder / "raw", block([(1, [nasty])], "raw"))
    command = [sys.executable, "-m", "recording_worker", "export", str(folder / "raw"), "--session", "raw"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == nasty + b"\n"
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b"".join(_read(ours))
    assert process.returncode == 0
    assert shown.strip() == nasty.replace(b"\xc2\x9b", b"\\x9b")


def _read(terminal: int) -> Iterator[bytes]:
    try:
        while chunk := os.read(terminal, 4096):
            yield chunk
    except OSError:  # the other end is closed
        os.close(terminal)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("command", [["blocks"], ["sessions"], ["sessions", "--json"], ["blocks", "--json"]])
def test_a_stdout_of_any_encoding_takes_ids_of_any_script(tmp_path: Path, encoding: str, command: list[str]) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])], "人物-é-🙂"))
    done = subprocess.run(
        [sys.executable, "-m", "recording_worker", *command, str(tmp_path)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("utf-8" if "--json" in command else encoding)
    assert "人物-é-🙂" in text or "\\u4eba\\u7269-" in text


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(NASTY)
    out = capsys.readouterr().out
    assert_harmless(out)
    assert len(out.splitlines()) == 1


def test_json_says_the_same_with_its_control_characters_escaped() -> None:
    text = "".join(map(chr, range(0x100)))
    for value in ({"a": text}, {"a": text, "b": "\udcff"}):
        for indent in (False, True):
            written = json_text(value, indent=indent)
            assert json.loads(written) == value
            assert_harmless(written.decode())
    assert json_text({"a": "é人"}) == '{"a":"é人"}\n'.encode()


def test_the_fields_of_an_entry_that_hold_text_are_known() -> None:
    assert [name for name, kind in BlockEntry.__annotations__.items() if kind is str] == [
        "session_id",
        "distinct_id",
        "source",
    ], "a new field of text has to be escaped where it is printed"
