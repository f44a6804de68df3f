import base64
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import zstandard

from recording_worker.formats.message_file import MessageFileError, read_messages
from recording_worker.messages import Message
from tests.sample import SAMPLE, sample_messages


def line(**fields: Any) -> bytes:
    """A good line, except for what is given."""
    record = {
        "partition_key": "session-1",
        "timestamp_ms": 1_795_000_000_000,
        "headers": [["token", "token-1"], ["token", "again"], ["empty", ""], ["null", None]],
        "value_b64": base64.b64encode(b"value").decode(),
        **fields,
    }
    return json.dumps(record).encode() + b"\n"


def write(folder: Path, content: bytes, name: str = "messages.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def problem(path: Path) -> str:
    with pytest.raises(MessageFileError) as caught:
        list(read_messages(path, 0))
    return str(caught.value)


def test_a_line_is_a_message_and_its_number_the_offset(tmp_path: Path) -> None:
    path = write(tmp_path, line() + line(partition_key="", timestamp_ms=-1, headers=[], value_b64=None))
    headers = [("token", b"token-1"), ("token", b"again"), ("empty", b""), ("null", None)]
    assert list(read_messages(path, 3)) == [
        Message(3, 0, 1_795_000_000_000, b"session-1", b"value", headers),
        Message(3, 1, -1, b"", None, []),
    ]


def test_the_last_line_needs_no_line_break(tmp_path: Path) -> None:
    assert len(list(read_messages(write(tmp_path, line() + line()[:-1]), 0))) == 2


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.jsonl.zst"])
def test_an_empty_file_has_no_messages(tmp_path: Path, name: str) -> None:
    assert list(read_messages(write(tmp_path, b"", name), 0)) == []


def test_an_empty_value_is_not_a_missing_one(tmp_path: Path) -> None:
    [message] = read_messages(write(tmp_path, line(value_b64="")), 0)
    assert message.value == b""


def test_text_becomes_utf8_and_an_unpaired_surrogate_u_fffd(tmp_path: Path) -> None:
    fields = {"partition_key": "é\ud800", "headers": [["k\udfff", "😀\ud83d"]]}
    [message] = read_messages(write(tmp_path, line(**fields)), 0)
    assert message.key == "é\ufffd".encode()
    assert message.headers == [("k\ufffd", "😀\ufffd".encode())]


def test_lines_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    value = bytes(1_000_000)
    content = line(value_b64=base64.b64encode(value).decode()) * 3
    for path in (write(tmp_path, content), write(tmp_path, zstandard.compress(content), "messages.zst")):
        assert [message.value for message in read_messages(path, 0)] == [value] * 3


def test_zstd_by_content_or_by_name_in_any_number_of_frames(tmp_path: Path) -> None:
    compressed = zstandard.compress(line()) + zstandard.compress(line() + line())
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    for content in (compressed, skippable + compressed, compressed + skippable):
        assert len(list(read_messages(write(tmp_path, content, "messages"), 0))) == 3
    assert "not readable as zstd" in problem(write(tmp_path, line(), "plain.zst"))


def test_the_sample() -> None:
    assert tuple(read_messages(SAMPLE, 0)) == sample_messages()


def test_bytes_read_are_reported() -> None:
    read: list[int] = []
    list(read_messages(SAMPLE, 0, read.append))
    assert sum(read) == SAMPLE.stat().st_size


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
def test_a_file_that_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, zstandard.compress(line() * 50)[:-cut], "messages.jsonl.zst")
    assert problem(path) == f"{path}: ends in the middle of its zstd data: the file is cut off"


def test_messages_before_the_damage_are_read(tmp_path: Path) -> None:
    messages = read_messages(write(tmp_path, line() * 2 + b"{\n"), 0)
    assert [message.offset for message in islice(messages, 2)] == [0, 1]
    with pytest.raises(MessageFileError):
        next(messages)


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (b"\n", "not JSON: Expecting value at character 1"),
        (b"{\n", "not JSON: "),
        (b"\xff\n", "not UTF-8 text"),
        (b"[" * 200_000 + b"\n", "nested too deeply"),
        (b"[]\n", "not a JSON object"),
        (line(partition_key=None), "partition_key is not a string"),
        (line(timestamp_ms=True), "timestamp_ms is not an integer"),
        (line(timestamp_ms=1.0), "timestamp_ms is not an integer"),
        (line(timestamp_ms="1"), "timestamp_ms is not an integer"),
        (line(timestamp_ms=-2), "timestamp_ms must be milliseconds since 1970, or -1"),
        (line(timestamp_ms=2**63), "timestamp_ms must be milliseconds since 1970, or -1"),
        (line(headers={}), "headers is not a list"),
        (line(headers=[["token"]]), "headers[0] is not a string with a string or null"),
        (line(headers=[["token", "a"], [None, "a"]]), "headers[1] is not a string with a string or null"),
        (line(value_b64=1), "value_b64 must be a string or null"),
        (line(value_b64="YQ="), "value_b64 is not base64: "),
        (line(value_b64="Y Q="), "value_b64 is not base64: "),
        (line(value_b64="é"), "value_b64 is not base64: "),
        (line(value="x"), "unknown key 'value'"),
        (line().replace(b"partition_key", b"key"), "partition_key missing"),
    ],
)
def test_a_line_that_is_not_a_message_is_named(tmp_path: Path, bad: bytes, what: str) -> None:
    path = write(tmp_path, line() + bad + line())
    text = problem(path)
    assert text.startswith(f"{path}:2: ")
    assert what in text


def test_a_file_that_can_not_be_opened(tmp_path: Path) -> None:
    assert problem(tmp_path / "missing") == f"{tmp_path / 'missing'}: No such file or directory"
    assert problem(tmp_path) == f"{tmp_path}: Is a directory"
