import os
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import (
    FRAME_HEADER,
    SKIPPABLE_MAGIC,
    TRAILER,
    BatchFileError,
    FileMissingError,
    NoIndexError,
)
from recording_worker.reading.batch_files import TAIL_BYTES, Block, read_blocks, read_index
from recording_worker.storage.local.file import LocalFile, find_files
from tests.batch_files import batch_file, block, frame_of, line, write_batch_file


class InMemory:
    """A file in memory. It records each read, as an object store would receive it."""

    name = "file"

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reads: list[int] = []

    def read_tail(self, length: int) -> tuple[bytes, int]:
        self.reads.append(length)
        return self.content[-length:], len(self.content)

    def read(self, start: int, length: int) -> bytes:
        self.reads.append(length)
        return self.content[start : start + length]

    def dictionary(self, dictionary_id: str) -> "InMemory":
        raise AssertionError(f"nothing was written with a dictionary, but {dictionary_id} is asked for")


CONTENT = batch_file([block([(7, [line(1), line(2)])]), block([(8, [line(3)])])])
INDEX_BYTES = len(CONTENT) - sum(entry.length for entry in read_index(InMemory(CONTENT)).blocks)


def problem(content: bytes) -> str:
    with pytest.raises(BatchFileError) as raised:
        read_index(InMemory(content))
    assert str(raised.value).startswith("file: ")
    assert "\n" not in str(raised.value)
    return str(raised.value)[len("file: ") :]


def test_a_small_index_takes_one_read_and_a_large_one_two() -> None:
    file = InMemory(CONTENT)
    assert len(read_index(file).blocks) == 2
    assert file.reads == [TAIL_BYTES]
    ids = [os.urandom(50).hex() for _ in range(2000)]
    large = InMemory(batch_file([block([(n, [line(n + 1)])], session_id) for n, session_id in enumerate(ids)]))
    index = read_index(large)
    assert [entry.session_id for entry in index.blocks] == ids
    stored = index.blocks[-1].start + index.blocks[-1].length
    assert large.reads == [TAIL_BYTES, len(large.content) - stored - TAIL_BYTES]


def test_a_block_takes_one_read_of_its_own_bytes() -> None:
    file = InMemory(CONTENT)
    index = read_index(file)
    file.reads.clear()
    assert Block(file, index, index.blocks[1]).read() == line(3) + b"\n"
    assert file.reads == [index.blocks[1].length]


def test_a_file_cut_off_anywhere_is_an_error() -> None:
    for length in range(len(CONTENT)):
        problem(CONTENT[:length])


def test_a_changed_byte_of_the_index_is_an_error() -> None:
    for at in range(1, INDEX_BYTES + 1):
        content = bytearray(CONTENT)
        content[-at] ^= 0x01
        problem(bytes(content))


def test_a_changed_byte_of_a_block_is_an_error_when_it_is_read() -> None:
    for at in range(len(CONTENT) - INDEX_BYTES):
        content = bytearray(CONTENT)
        content[at] ^= 0x01
        file = InMemory(bytes(content))
        index = read_index(file)
        damaged = [Block(file, index, entry) for entry in index.blocks if 0 <= at - entry.start < entry.length]
        with pytest.raises(BatchFileError, match=r"block at byte \d+ is damaged"):
            damaged[0].read()


def test_bytes_after_the_frame_of_a_block_are_an_error() -> None:
    file = InMemory(CONTENT)
    index = read_index(file)
    longer = replace(index.blocks[0], length=index.blocks[0].length + index.blocks[1].length)
    with pytest.raises(BatchFileError, match=r"block at byte \d+ is damaged"):
        Block(file, index, longer).read()


def test_what_is_not_a_batch_file_is_named_by_kind() -> None:
    assert "not a batch file, or one that was cut off" in problem(b"")
    assert "not a batch file, or one that was cut off" in problem(b"some text that is long enough for a trailer")
    assert "cut off" in problem(CONTENT[:-INDEX_BYTES])
    assert "later layout" in problem(CONTENT[:-1] + b"3")
    assert "index version 2" in problem(batch_file([block([(7, [line(1)])])], version=2))
    assert "can't be longer than the file" in problem(CONTENT[-20:])
    assert "can't be longer than the file" in problem(CONTENT[-INDEX_BYTES + 1 :])
    assert "outside the file" in problem(CONTENT[-INDEX_BYTES:])
    assert "not a batch file, or one that was cut off" in problem(CONTENT[-15:])
    assert "Input should be a valid integer" in problem(batch_file([block([("7", [line(1)])])]))  # type: ignore[list-item]
    assert "codec: Input should be a valid string" in problem(batch_file([block([(7, [line(1)])])], codec=3))


def test_a_block_outside_the_file_is_an_error() -> None:
    entry, text = block([(7, [line(1)])])
    content = batch_file([(entry, text)])
    assert "outside the file" in problem(content[1:])
    index = read_index(InMemory(content))
    for start, length in ((0, 0), (0, entry.length + 1), (1, entry.length)):
        moved = replace(index, blocks=[replace(index.blocks[0], start=start, length=length)])
        assert "outside the file" in problem(content[: entry.length] + frame_of(moved)), (start, length)
    assert (entry.start, read_index(InMemory(content)).blocks[0].length) == (0, entry.length)


def test_an_index_from_before_order_and_gaps_were_counted_is_read() -> None:
    index = read_index(InMemory(CONTENT))
    added = (
        "first_full_snapshot_position",
        "first_full_snapshot_timestamp",
        "out_of_order_count",
        "gap_count",
        "snapshot_source",
    )
    before: list[Any] = [asdict(entry) for entry in index.blocks]
    for entry in before:
        for name in added:
            del entry[name]
    content = CONTENT[:-INDEX_BYTES] + frame_of(index, before)
    assert len(content) < len(CONTENT)
    assert read_index(InMemory(content)) == index


def test_an_index_of_an_earlier_version_which_is_not_compressed_is_read() -> None:
    start = len(CONTENT) - INDEX_BYTES
    text = zstandard.decompress(CONTENT[start + FRAME_HEADER.size : -TRAILER.size])
    frame = FRAME_HEADER.pack(SKIPPABLE_MAGIC, len(text) + TRAILER.size) + text
    content = CONTENT[:start] + frame + TRAILER.pack(len(text), zlib.crc32(text), b"RWBATCH1")
    assert read_index(InMemory(content)) == read_index(InMemory(CONTENT))


def test_files_are_found_in_folders(tmp_path: Path) -> None:
    first = write_batch_file(tmp_path, block([(7, [line(1)])]))
    second = write_batch_file(tmp_path / "other", block([(7, [line(1)])]))
    (first.parent / f".{first.name}.0a1b2c3d.tmp").write_bytes(b"half a fi")
    (tmp_path / "summary.json").write_text("{}")
    hidden = write_batch_file(tmp_path / ".staging", block([(7, [line(1)])]))
    assert [file.name for file in find_files([str(tmp_path)])] == [str(first), str(second)]
    assert [file.name for file in find_files([str(second), str(hidden)])] == [str(second), str(hidden)]
    assert [file.name for file in find_files([str(hidden.parent)])] == [str(hidden)]


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: No such file or directory"):
        list(find_files([str(tmp_path / "nowhere")]))


def test_a_file_that_can_not_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    good = write_batch_file(tmp_path, block([(7, [line(1)])]))
    (bad := tmp_path / "bad").write_bytes(b"no")
    gone = LocalFile(tmp_path / "gone")
    results = list(read_blocks([LocalFile(bad), gone, LocalFile(good)]))
    assert [type(result) for result in results] == [NoIndexError, FileMissingError, list]
    assert str(results[1]) == f"{gone.path}: {os.strerror(2)}"
