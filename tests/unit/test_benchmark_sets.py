"""The messages benchmarks.compare runs on, and what it says when there are none."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.compare import main
from benchmarks.message_sets import SMALL_BYTES, decompress, load_messages, small_messages
from benchmarks.wire import Encoding, WireMessage, read_wire, write_wire
from tests.sample import SAMPLE


@pytest.fixture(scope="module")
def messages() -> list[WireMessage]:
    return load_messages([SAMPLE])[0]


def items(message: WireMessage) -> list[object]:
    data = json.loads(json.loads(decompress(message))["data"])
    found: list[object] = data["properties"]["$snapshot_items"]
    return found


def test_the_file_of_messages_is_read_back_as_written(messages: list[WireMessage], tmp_path: Path) -> None:
    given = [*messages, WireMessage(Encoding.PLAIN, -1, None, "ünï", b"")]
    write_wire(tmp_path / "messages", given)
    assert read_wire(tmp_path / "messages") == given


def test_small_messages_hold_the_events_that_fit_in_their_order(messages: list[WireMessage]) -> None:
    small = small_messages(messages)
    assert max(len(decompress(message)) for message in small) <= SMALL_BYTES
    all_events = iter([event for message in messages for event in items(message)])
    kept = [event for message in small for event in items(message)]
    assert all(any(event == other for other in all_events) for event in kept)
    assert len(kept) > 5_000


def test_small_messages_have_the_encodings_of_the_messages(messages: list[WireMessage]) -> None:
    small = small_messages(messages)
    shares = Counter(message.encoding for message in messages)
    for part in (small, small[:100], small[-100:]):
        for encoding, count in Counter(message.encoding for message in part).items():
            assert count / len(part) == pytest.approx(shares[encoding] / len(messages), abs=0.02)


def test_broken_messages_give_no_small_ones() -> None:
    broken = [WireMessage(Encoding.GZIP, 1, None, None, b"\x1f\x8b"), WireMessage(Encoding.PLAIN, 1, None, None, b"{")]
    assert small_messages(broken) == []
    assert small_messages([]) == []


@pytest.mark.parametrize("content", ["", "not a message\n"])
def test_a_file_that_holds_no_messages_is_one_clear_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(content)
    result = CliRunner().invoke(main, [str(path)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert str(path) in result.stderr


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "none")])
    assert result.exit_code == 1
    assert result.stderr == f"compare: {tmp_path / 'none'}: No such file or directory\n"
