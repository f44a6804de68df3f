"""Anyone who can write to the storage decides what an index says. What can't be true is named, and the rest is read."""

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats import batch_file as batch_file_module
from recording_worker.formats.batch_file import (
    FRAME_HEADER,
    MAGIC,
    MAX_INDEX_BYTES,
    SKIPPABLE_MAGIC,
    TRAILER,
    BatchFileError,
    parse_block_url,
)
from recording_worker.formats.timestamps import utc_text
from recording_worker.reading.batch_files import read_blocks, read_index
from tests.batch_files import batch_file, block, line, write_batch_file
from tests.unit.command import run
from tests.unit.test_reading_index import InMemory

CONTENT = batch_file([block([(7, [line(1), line(2)]), (9, [line(3)])]), block([(8, [line(3)])], "session-2")])
INDEX = InMemory(CONTENT)
BLOCKS_END = sum(entry.length for entry in read_index(INDEX).blocks)
TEXT = zstandard.decompress(CONTENT[BLOCKS_END + FRAME_HEADER.size : -TRAILER.size]).decode()


def with_index(text: str) -> bytes:
    """The file with this JSON as its index, with a right checksum."""
    return with_stored_index(zstandard.compress(text.encode()))


def with_stored_index(index: bytes) -> bytes:
    """The file with these bytes as its index, which should be zstd, with a right checksum."""
    header = FRAME_HEADER.pack(SKIPPABLE_MAGIC, len(index) + TRAILER.size)
    return CONTENT[:BLOCKS_END] + header + index + TRAILER.pack(len(index), zlib.crc32(index), MAGIC)


def with_field(name: str, value: str) -> bytes:
    """The file with another value, in JSON, for a field of its first block, or of the index itself."""
    index = json.loads(TEXT)
    where = index if name in index else index["blocks"][0]
    assert name in where
    where[name] = "HERE"
    return with_index(json.dumps(index).replace('"HERE"', value))


def problem(content: bytes) -> str:
    with pytest.raises(BatchFileError) as raised:
        read_index(InMemory(content))
    assert len(str(raised.value)) < 300, "what it says is not repeated"
    return str(raised.value)


NUMBERS = [
    *("team_id", "partition", "first_offset", "last_offset", "events", "size", "start", "length", "created_ms"),
    *("first_timestamp", "last_timestamp", "first_full_snapshot_position", "first_full_snapshot_timestamp"),
    *("out_of_order_count", "gap_count"),
]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "9223372036854775808", "1" * 5000])
@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_is_outside_its_range(name: str, value: str) -> None:
    error = problem(with_field(name, value))
    assert name in error or "number out of range" in error


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("messages", "[[7,2],[9,-1]]", "messages"),
        ("messages", "[[7,2],[9,0]]", "messages"),
        ("messages", "[[7,2],[9223372036854775808,1]]", "messages"),
        ("messages", "[]", "not from its first offset to its last"),
        ("messages", "[[7,3]]", "not from its first offset to its last"),
        ("messages", "[[7,2],[9,2]]", "don't add up"),
        ("events", "4", "don't add up"),
        ("first_offset", "8", "not from its first offset to its last"),
        ("first_timestamp", "8000000000000000", "ends before it begins"),
        ("last_timestamp", "8640000000000001", "last_timestamp"),
        ("last_timestamp", "0", "last_timestamp"),
        ("size", "2", "more lines than bytes"),
        ("size", "1000000000000", "can't hold"),
        ("length", "1000000000000", "outside the file"),
        ("start", "9223372036854775807", "outside the file"),
        ("start", "1", "two blocks have byte"),
        ("first_full_snapshot_position", "3", "more than it has events"),
        ("first_full_snapshot_timestamp", "5", "not between its first event and its last"),
        ("out_of_order_count", "3", "more than it has events"),
        ("gap_count", "3", "more than it has events"),
        ("dictionary", '"../../etc"', "no id of one"),
        ("dictionary", json.dumps("9" * 10_000), "no id of one"),
        ("session_id", '"\\ud83d"', "Invalid JSON"),
        ("created_ms", "8640000000000001", "created_ms"),
    ],
)
def test_figures_that_contradict_each_other_are_named(name: str, value: str, error: str) -> None:
    assert error in problem(with_field(name, value))


def test_two_blocks_of_the_same_bytes_are_refused() -> None:
    index = json.loads(TEXT)
    index["blocks"] = [index["blocks"][0]] * 2
    assert "two blocks have byte 0" in problem(with_index(json.dumps(index)))


def test_an_index_that_is_wrong_a_million_times_is_named_by_the_first() -> None:
    assert problem(with_field("messages", f"[{'0,' * 1_000_000}0]")).count("messages") == 1


def test_an_index_that_nests_too_deep_is_an_error() -> None:
    problem(with_index("[" * 100_000))
    problem(with_field("messages", "[" * 5000 + "]" * 5000))


def test_an_index_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_file_module, "MAX_INDEX_BYTES", len(TEXT) - 1)
    assert "is too long" in problem(CONTENT)
    monkeypatch.setattr(batch_file_module, "MAX_INDEX_BYTES", len(TEXT))
    assert read_index(InMemory(CONTENT)).blocks
    assert MAX_INDEX_BYTES == 1 << 26, "an index takes some ten times as much in memory"


def test_an_index_that_says_it_is_long_is_not_unpacked() -> None:
    unpacked = zstandard.compress(bytes(MAX_INDEX_BYTES + 1))
    assert len(unpacked) < 10_000
    assert f"of {MAX_INDEX_BYTES + 1:,} bytes is too long" in problem(with_stored_index(unpacked))


def test_an_index_that_is_no_zstd_frame_of_known_size_is_damaged() -> None:
    whole = zstandard.compress(TEXT.encode())
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(TEXT.encode())
    for stored in (b"", TEXT.encode(), whole[:-1], whole + b"x", whole + whole, unsized):
        assert "is damaged: it does not decompress" in problem(with_stored_index(stored))


def test_the_index_of_a_file_that_is_wrong_does_not_hide_the_others() -> None:
    found = list(read_blocks([InMemory(with_field("size", "NaN")), InMemory(CONTENT)]))
    assert isinstance(found[0], BatchFileError)
    assert isinstance(found[1], list)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_whatever_an_index_says_it_is_read_or_named(data: st.DataObject) -> None:
    index: dict[str, Any] = json.loads(TEXT)
    entry = index["blocks"][0]
    for where in (index, entry):
        for name in data.draw(st.lists(st.sampled_from(sorted(where)), max_size=2)):
            where[name] = data.draw(JSON | st.sampled_from([where[name]]))
    try:
        found = read_index(InMemory(with_index(json.dumps(index))))
    except BatchFileError:
        return
    for read in found.blocks:
        assert 0 < read.first_timestamp <= read.last_timestamp <= 8.64e15
        assert 0 <= read.start < read.start + read.length <= BLOCKS_END
        assert sum(count for _, count in read.messages) == read.events <= read.size <= read.length << 15
        utc_text(read.first_timestamp)


@pytest.mark.parametrize("command", ["blocks", "sessions", "export"])
@pytest.mark.parametrize("value", ["NaN", "-1e308", "1e999"])
def test_a_listing_names_the_file_and_goes_on(tmp_path: Path, command: str, value: str) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]))
    hostile = tmp_path / "blocks" / "30d" / "0000-1-01890a5d-ac96-774b-bcce-b302099a8057"
    hostile.write_bytes(with_field("first_timestamp", value))
    done = run(command, tmp_path, *(["--session", "session-1"] if command == "export" else ["--json"]))
    assert done.code == 1
    assert len(done.out.splitlines()) == 1
    (error,) = done.err.splitlines()
    assert error.startswith(f"recording-worker: error: {hostile}: the index can't be read: blocks.0.first_timestamp: ")


def test_a_range_of_a_block_url_is_within_what_a_file_can_have() -> None:
    assert parse_block_url(f"s3://b/k?range=bytes=0-{2**63 - 2}").length == 2**63 - 1
    for wrong in (f"0-{2**63 - 1}", f"0-{'9' * 5000}", "\u0660-\u0669", "-1-5"):
        with pytest.raises(ValueError, match="not a block URL"):
            parse_block_url(f"s3://b/k?range=bytes={wrong}")


def test_any_time_can_be_written() -> None:
    assert utc_text(-(10**30)) == "0001-01-01 00:00:00.000"
    assert utc_text(10**30) == "9999-12-31 23:59:59.999"
