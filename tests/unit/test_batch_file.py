import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.batch_file import (
    FILE_NAME,
    TRAILER,
    BlockEntry,
    BlockRange,
    created_ms_of,
    file_key,
    file_key_of,
    file_metadata,
    parse_block_url,
)
from recording_worker.reading.batch_files import Block, read_index
from recording_worker.settings.choices import FileNames
from recording_worker.storage.local.backend import TEMPORARY_NAME
from recording_worker.storage.local.file import LocalFile
from tests.batch_files import Messages, batch_file, block, block_url, line, offset_ranges, write_batch_file

BATCH_ID = "01890a5d-ac96-774b-bcce-b302099a8057"

lines = st.binary(max_size=200).map(lambda text: text.replace(b"\n", b" "))
messages = st.tuples(st.integers(0, 2**63 - 1), st.lists(lines, min_size=1, max_size=5))
blocks = st.tuples(st.lists(messages, min_size=1, max_size=5), st.text(min_size=1, max_size=40))


def zstd(path: Path, *options: str) -> bytes:
    """What the plain zstd command makes of a file."""
    return subprocess.run(["zstd", *options, path], check=True, capture_output=True).stdout


@given(given=st.lists(blocks, min_size=1, max_size=8))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[Messages, str]]
) -> None:
    entries = [block(messages, session_id) for messages, session_id in given]
    path = tmp_path_factory.getbasetemp() / "written"
    path.write_bytes(batch_file(entries))
    index = read_index(LocalFile(path))
    assert index.blocks == [entry for entry, _ in entries]
    read = [Block(LocalFile(path), index, entry).read() for entry in index.blocks]
    assert read == [text for _, text in entries]
    assert zstd(path, "-dc") == b"".join(read)


def test_zstd_reads_a_file_and_each_block_of_it(tmp_path: Path) -> None:
    first = block([(7, [line(1), line(2)]), (9, [line(3)])], "a")
    second = block([(8, [line(4)])], "b")
    path = write_batch_file(tmp_path, first, second)
    zstd(path, "--test")
    assert [json.loads(text)[1]["timestamp"] for text in zstd(path, "-dc").splitlines()] == [1, 2, 3, 4]
    for entry, text in (first, second):
        content = path.read_bytes()[entry.start : entry.start + entry.length]
        (alone := tmp_path / "block").write_bytes(content)
        assert zstd(alone, "-dc") == text
        frame = zstandard.get_frame_parameters(content)
        assert (frame.content_size, frame.has_checksum, frame.dict_id) == (len(text), True, 0)


def test_the_index_is_found_from_the_end_as_documented() -> None:
    content = batch_file([block([(7, [line(1)])])], batch_id=BATCH_ID)
    length, _, magic = TRAILER.unpack(content[-16:])
    assert magic == b"RWBATCH2"
    assert content[-16 - length - 8 : -16 - length] == b"\x57\x2a\x4d\x18" + (length + 16).to_bytes(4, "little")
    index = json.loads(zstandard.decompress(content[-16 - length : -16]))
    assert list(index) == ["version", "batch_id", "codec", "retention", "created_ms", "blocks", "dictionary"]
    assert index["batch_id"] == BATCH_ID
    assert index["blocks"][0]["messages"] == [[7, 1]]


def test_a_key_is_retention_hash_time_and_batch() -> None:
    assert file_key("blocks", "1y", 1_700_000_000_000, BATCH_ID) == f"blocks/1y/ec0b-1700000000000-{BATCH_ID}"
    assert file_key("/a/b/", "30d", 1, BATCH_ID) == f"a/b/30d/ec0b-1-{BATCH_ID}"
    assert file_key("", "30d", 1, BATCH_ID) == f"30d/ec0b-1-{BATCH_ID}"
    assert FILE_NAME.fullmatch(f"ec0b-1700000000000-{BATCH_ID}")
    assert created_ms_of(f"ec0b-1700000000000-{BATCH_ID}") == 1_700_000_000_000
    assert not FILE_NAME.fullmatch(f".ec0b-1700000000000-{BATCH_ID}.0a1b2c3d.tmp")


def test_a_key_that_posthog_reads_is_retention_time_and_hash() -> None:
    key = file_key("/a/b/", "1y", 1_700_000_000_000, BATCH_ID, FileNames.POSTHOG)
    assert re.fullmatch(r"a/b/(30d|90d|1y|5y)/\d+-[0-9a-f]{16}", key), "validateS3Key of PostHog's recording-service.ts"
    assert key == file_key("a/b", "1y", 1_700_000_000_000, BATCH_ID, FileNames.POSTHOG), "of one batch, always the same"
    assert key != file_key("a/b", "1y", 1_700_000_000_000, BATCH_ID[:-1] + "0", FileNames.POSTHOG)
    name = key.rpartition("/")[2]
    assert FILE_NAME.fullmatch(name)
    assert created_ms_of(name) == 1_700_000_000_000
    assert TEMPORARY_NAME.fullmatch(f".{name}.0a1b2c3d.tmp")
    for other in ("x", name[:-1], f"{name}0", f".{name}.0a1b2c3d.tmp", f"-{name}"):
        assert not FILE_NAME.fullmatch(other)
        with pytest.raises(ValueError, match="not the name of a batch file"):
            created_ms_of(other)


def test_a_block_url_names_the_range_inclusively() -> None:
    first, second = block([(0, [line(1)])]), block([(1, [line(2)])])
    content = batch_file([first, second])
    url = re.fullmatch(r"file:///f\?range=bytes=(\d+)-(\d+)", block_url("file:///f", second[0]))
    assert url is not None
    start, last = map(int, url.groups())
    assert start == first[0].length
    assert zstandard.decompress(content[start : last + 1]) == second[1]


def test_a_block_url_is_taken_apart() -> None:
    assert parse_block_url("s3://b/k?range=bytes=10-19") == BlockRange("s3://b/k", 10, 10)
    assert parse_block_url("s3://b/k?range=bytes=0-0") == BlockRange("s3://b/k", 0, 1)
    for wrong in ("s3://b/k", "s3://b/k?range=bytes=5-4", "s3://b/k?range=bytes=1-", "?range=bytes=0-1"):
        with pytest.raises(ValueError, match="not a block URL"):
            parse_block_url(wrong)


def test_a_name_says_when_the_file_was_flushed_and_which_file_it_is() -> None:
    key = file_key("a/blocks", "1y", 1_700_000_000_123, BATCH_ID)
    url, path = f"s3://bucket/{key}", f"/mnt/elsewhere/{key.removeprefix('a/')}"
    assert created_ms_of(Path(path).name) == 1_700_000_000_123
    assert file_key_of(url) == file_key_of(path) == f"1y/ec0b-1700000000123-{BATCH_ID}"


def test_metadata_has_the_offsets_of_each_partition() -> None:
    def part(partition: int, first: int, last: int) -> BlockEntry:
        entry, _ = block([(first, [line(1)]), (last, [line(1)])])
        return replace(entry, partition=partition)

    entries = [part(5, 8, 20), part(3, 120, 130), part(5, 4, 9), part(5, 21, 99)]
    expected = {"batch-id": BATCH_ID, "codec": "zstd", "topic": "recordings", "offsets": "3:120-130,5:4-99"}
    assert file_metadata(BATCH_ID, "zstd", "recordings", offset_ranges(entries)) == expected


def test_metadata_with_too_many_offsets_ends_after_a_whole_range() -> None:
    entry, _ = block([(10, [line(1)])])
    for count in range(180, 200):  # 8 characters each, from partition 100 on
        entries = [replace(entry, partition=100 + number) for number in range(count)]
        whole = ",".join(f"{100 + number}:10-10" for number in range(count))
        offsets = file_metadata(BATCH_ID, "zstd", "recordings", offset_ranges(entries))["offsets"]
        if len(whole) <= 1500:
            assert offsets == whole
        else:
            kept = offsets.removesuffix("...")
            assert whole.startswith(kept)
            assert kept.endswith(",")
            assert 1500 - len("100:10-10,") < len(kept) <= 1500


def test_python_zstandard_reads_a_file_across_its_frames_as_documented() -> None:
    first, second = block([(0, [line(1)])]), block([(1, [line(2)])])
    content = batch_file([first, second])
    decompressor = zstandard.ZstdDecompressor()
    assert decompressor.decompress(content) == first[1], "without an error"
    assert decompressor.stream_reader(content, read_across_frames=True).read() == first[1] + second[1]
