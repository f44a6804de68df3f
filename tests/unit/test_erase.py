"""Blocks that are erased: the file around them stays as it was, also if it is stopped, or done twice at a time."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError, BlockEntry, NoIndexError
from recording_worker.formats.block import erased_block, is_erased, is_readable
from recording_worker.operations.deletion.erase import erase
from recording_worker.reading.batch_files import read_blocks, read_index
from recording_worker.reading.decryption import SessionDeletedError
from recording_worker.storage.local.file import LocalFile
from recording_worker.storage.local.inventory import LocalInventory
from tests.batch_files import block, line, write_batch_file
from tests.builders import NOW_MS
from tests.history import History, Part


@pytest.fixture
def stored(tmp_path: Path) -> LocalFile:
    blocks = [block([(number, [line(NOW_MS, text="x" * 50 * number)])], f"s{number}") for number in range(5)]
    return LocalFile(write_batch_file(tmp_path, *blocks), tmp_path.resolve())


def entries(file: LocalFile) -> dict[str, BlockEntry]:
    return {entry.session_id: entry for entry in read_index(file).blocks}


def test_the_others_keep_their_place_and_their_bytes(stored: LocalFile, tmp_path: Path) -> None:
    stored.path.chmod(0o640)
    before, content = entries(stored), stored.path.read_bytes()
    wanted = {before[name].start: (1, name) for name in ("s0", "s3")}
    for _ in range(2):  # the second time there is nothing left to erase
        erase(stored, wanted, LocalInventory(tmp_path))
        after, now = entries(stored), stored.path.read_bytes()
        for name, entry in before.items():
            bytes_now = now[entry.start : entry.start + entry.length]
            if name in ("s0", "s3"):
                assert is_erased(bytes_now)
                assert (after[name].encryption, after[name].distinct_id) == ("erased", "")
            else:
                assert bytes_now == content[entry.start : entry.start + entry.length]
                assert after[name] == entry
    assert stored.path.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in stored.path.parent.iterdir()] == [stored.path.name]
    with zstandard.ZstdDecompressor().stream_reader(now, read_across_frames=True) as reader:
        assert reader.read().count(b"\n") == 3, "zstd passes over what is erased"
    [blocks] = read_blocks([stored])
    assert not isinstance(blocks, BatchFileError)
    with pytest.raises(SessionDeletedError, match="the block is erased"):
        blocks[0].read()


def test_nothing_of_another_session_is_erased(stored: LocalFile, tmp_path: Path) -> None:
    before, content = entries(stored), stored.path.read_bytes()
    start = before["s1"].start
    for wanted in ({start: (1, "s2")}, {start: (2, "s1")}, {start + 1: (1, "s1")}):
        erase(stored, wanted, LocalInventory(tmp_path))
        assert entries(stored) == before
        assert stored.path.read_bytes()[: before["s4"].start] == content[: before["s4"].start]


def test_a_file_without_an_index_stays_as_it_is(stored: LocalFile, tmp_path: Path) -> None:
    stored.path.write_bytes(b"x" * 100)
    with pytest.raises(NoIndexError):
        erase(stored, {0: (1, "s0")}, LocalInventory(tmp_path))
    assert stored.path.read_bytes() == b"x" * 100
    stored.path.unlink()
    with pytest.raises(WorkerError, match="can't replace"):
        erase(stored, {0: (1, "s0")}, LocalInventory(tmp_path))
    assert list(stored.path.parent.iterdir()) == []


def test_what_stops_in_the_middle_leaves_the_file_as_it_was(stored: LocalFile, tmp_path: Path) -> None:
    content = stored.path.read_bytes()

    def parts() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalInventory(tmp_path).replace(stored, parts())
    assert stored.path.read_bytes() == content
    assert [path.name for path in stored.path.parent.iterdir()] == [stored.path.name]


def test_two_that_erase_in_one_file_wait_for_each_other(stored: LocalFile, tmp_path: Path) -> None:
    starts = {name: entry.start for name, entry in entries(stored).items()}
    inventory = LocalInventory(tmp_path)
    others = [
        threading.Thread(target=erase, args=(stored, {starts[name]: (1, name)}, inventory)) for name in ("s1", "s2")
    ]

    def parts() -> Iterator[bytes]:
        for thread in others:
            thread.start()
        yield stored.path.read_bytes()

    inventory.replace(stored, parts())
    for thread in others:
        thread.join(60)
    assert {name for name, entry in entries(stored).items() if entry.encryption == "erased"} == {"s1", "s2"}


def test_verify_takes_an_erased_block_for_deleted_and_finds_nothing_wrong(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.batch({0: Part({0: "a", 1: "b"})})
    [path] = history.files
    file = LocalFile(path)
    start = entries(file)["a"].start
    erase(file, {start: (1, "a")}, LocalInventory(tmp_path))
    report = history.verify()
    assert report.findings == []
    assert report.notes == ["1 blocks are of deleted sessions: nothing can read them any more"]


@pytest.mark.parametrize("length", [1, 7, 8, 40, 5000])
def test_what_takes_the_place_of_a_block_reads_as_nothing(length: int) -> None:
    erased = erased_block(length)
    assert len(erased) == length
    assert is_erased(erased)
    assert not is_readable(erased)
    assert not is_erased(os.urandom(16) + erased)
