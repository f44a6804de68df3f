"""Compression of blocks: the plain libraries read what comes out, and its memory is not used while it is viewed."""

import gc
import gzip
import json
import random
import resource
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recording_worker import _native
from recording_worker.recording.compression import compress_all
from tests.decoders import call_native
from tests.inputs import Input, event_text, plain_value
from tests.reference import snappy

TEXTS = st.text(st.characters(codec="ascii", exclude_characters='"\\', min_codepoint=32), max_size=300)
SIZES = st.sampled_from([1, 1, 1, 300, 10_000])
MIB = 1 << 20


def decoded(*texts: str) -> _native.DecodedBatch:
    """One row a text."""
    decoder = _native.Decoder(large_bytes=64 * MIB)
    return call_native(decoder, [Input(plain_value([event_text(f'"{text}"')])) for text in texts]).decoded


def block_of(batch: _native.DecodedBatch, rows: Sequence[int]) -> tuple[_native.SessionBlock, bytes]:
    """A block of these rows, and its lines."""
    block = _native.SessionBlock()
    for row in rows:
        block.record(batch, row, row)
    return block, b"".join(batch.lines(row) for row in rows)


def blocks_of(
    batch: _native.DecodedBatch, rows: Sequence[Sequence[int]]
) -> tuple[list[_native.SessionBlock], list[bytes]]:
    pairs = [block_of(batch, numbers) for numbers in rows]
    return [block for block, _ in pairs], [lines for _, lines in pairs]


def noise(size: int, seed: int = 1) -> str:
    """Random digits."""
    return random.Random(seed).randbytes(size // 2).hex()


def split(part: _native.CompressedBlocks) -> list[bytes]:
    """The compressed blocks of a part, each alone."""
    view, found, start = memoryview(part), [], 0
    for length in part.lengths:
        found.append(view[start : start + length].tobytes())
        start += length
    assert start == len(part) == len(view)
    return found


def compressed(compressor: _native.Compressor, blocks: Sequence[_native.SessionBlock]) -> list[bytes]:
    return [block for part in compress_all(compressor, list(blocks)) for block in split(part)]


def packed(content: bytes) -> str:
    """Return a field as the client packs it: a string with a character for each byte of a gzip."""
    return json.dumps(gzip.compress(content, mtime=0).decode("latin-1"), ensure_ascii=False)


PACKED_PARTS = [
    packed(b"a"),
    packed(noise(200).encode()),
    json.dumps(gzip.compress(noise(90, 1).encode()).decode("latin-1")),
    packed(b"a")[:-1],
    packed(noise(6000).encode())[:-1],
    '"\\u001f',
    "\u008b",
    *("\\u0000", "\\u0001", "\\u00", "\\", "\\\\", '\\"', '"'),
    "x" * 70,
    "x" * 1024,
]
"""Packed fields, and what they are made of."""


def raw_snappy(block: bytes) -> bytes:
    return bytes(cramjam.snappy.decompress_raw(block))


READ: dict[str, Callable[[bytes], bytes]] = {"zstd": zstandard.decompress, "snappy": raw_snappy}


@pytest.mark.parametrize("codec", READ)
@given(texts=st.lists(st.tuples(TEXTS, SIZES), min_size=1, max_size=8), data=st.data())
def test_what_is_compressed_is_read_back(codec: str, texts: list[tuple[str, int]], data: st.DataObject) -> None:
    """Blocks of any rows in any order: slices that follow each other in memory, and slices that don't."""
    batch = decoded(*(text * times for text, times in texts))
    rows = st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=8)
    blocks, lines = blocks_of(batch, data.draw(st.lists(rows, min_size=1, max_size=8)))
    compressor = _native.Compressor(codec, data.draw(st.sampled_from([-5, 1, 3, 9, 19])))
    assert [READ[codec](block) for block in compressed(compressor, blocks)] == lines


@pytest.mark.parametrize("codec", READ)
def test_blocks_larger_than_all_buffers_between_small_ones(codec: str) -> None:
    """One of a slice of 9 MiB, one of several slices of 6 MiB: larger than a part, and than zstd's window."""
    batch = decoded("small", noise(9 * MIB), *(noise(2 * MIB, seed) for seed in range(3)), "r" * 5 * MIB)
    blocks, lines = blocks_of(batch, [[0], [1], [0, 0], [2, 3, 4], [0], [5, 0, 2], [5], [0]])
    compressor = _native.Compressor(codec)
    for _ in range(2):
        assert [READ[codec](block) for block in compressed(compressor, blocks)] == lines


@pytest.mark.parametrize("codec", READ)
def test_a_gap_before_each_block_can_be_written_to(codec: str) -> None:
    """Small blocks in one chunk, one that ends it, and ones that are larger than a chunk and larger than a part."""
    batch = decoded("small", noise(9 * MIB), *(noise(2 * MIB, seed) for seed in range(3)), "r" * 5 * MIB)
    blocks, lines = blocks_of(batch, [[0], [0, 0], [1], [2, 3, 4], [0], [5, 0, 2], [5], [0], [2], [3], [4], [0]])
    found = []
    for part in compress_all(_native.Compressor(codec), blocks, gap=48):
        view, at = memoryview(part), 0
        for length in part.lengths:
            view[at : at + 48] = b"g" * 48
            at += 48 + length
        assert at == len(part)
        at = 0
        for length in part.lengths:
            assert view[at : at + 48] == b"g" * 48
            found.append(READ[codec](view[at + 48 : at + 48 + length].tobytes()))
            at += 48 + length
    assert found == lines


def test_blocks_without_gaps_are_read_only() -> None:
    block, _lines = block_of(decoded("text"), [0])
    assert memoryview(_native.Compressor("zstd").compress([block])).readonly


def test_a_zstd_block_is_one_frame_with_content_size_and_checksum() -> None:
    batch = decoded("a" * 1000, noise(1000), "b")
    blocks, lines = blocks_of(batch, [[0], [1, 0, 2], [2]])
    for frame, text in zip(compressed(_native.Compressor("zstd"), blocks), lines, strict=True):
        found = zstandard.get_frame_parameters(frame)
        assert (found.content_size, found.has_checksum, found.dict_id) == (len(text), True, 0)
        assert zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False) == text


@pytest.mark.parametrize("level", [-7, 1, 3, 16, 17, 19])
def test_a_large_block_finds_what_repeats_far_back(level: int) -> None:
    """What repeats after 1.5 MiB costs next to nothing. The window stays in what RFC 8878 asks of decoders, 8 MiB."""
    batch = decoded(noise(200_000), "r" * 1_500_000, "z" * (3 * MIB))
    blocks, lines = blocks_of(batch, [[0], [0, 1, 0], [2, 2, 2]])
    frames = compressed(_native.Compressor("zstd", level), blocks)
    assert [zstandard.decompress(frame) for frame in frames] == lines
    assert len(frames[1]) < 1.2 * len(frames[0])
    assert max(zstandard.get_frame_parameters(frame).window_size for frame in frames) <= 8 * MIB


def test_a_snappy_block_is_raw_snappy_by_the_format_description() -> None:
    """Long literals, and copies from near and far, which short blocks have none of."""
    batch = decoded("x", noise(59), noise(300) + "0" * 3000, noise(70_000), "ab" * 5000)
    blocks, lines = blocks_of(batch, [[0], [1, 2, 3], [4], [2, 2, 3, 2, 3], [4, 1, 4]])
    assert [snappy.decompress(block) for block in compressed(_native.Compressor("snappy"), blocks)] == lines


@pytest.mark.parametrize("size", [1, 24, 25, 60, 61, 255, 256, 257, 300, 65_535, 65_536, 65_537, 70_000, 300_000])
def test_snappy_of_texts_at_the_edges_of_its_elements(size: int) -> None:
    """Literals and copies of these lengths, and copies from this far back, in one slice and in several."""
    batch = decoded(noise(size, 1), "r" * size, noise(40, 2), noise(size, 3))
    rows = [[0], [1], [0, 0], [2, 1, 2], [2, 0, 2], [1, 0, 1, 2, 2], [3, 2, 3, 2, 3]]
    blocks, lines = blocks_of(batch, rows)
    frames = compressed(_native.Compressor("snappy"), blocks)
    assert [raw_snappy(frame) for frame in frames] == lines
    assert [snappy.decompress(frame) for frame in frames[:4]] == lines[:4]


@given(parts=st.lists(st.sampled_from(PACKED_PARTS) | st.binary(max_size=300), max_size=30), repeats=st.integers(1, 3))
def test_snappy_reads_back_packed_fields(parts: list[str | bytes], repeats: int) -> None:
    """Whole ones and broken ones: escapes cut short, escaped quotes, and bytes that nothing escapes."""
    text = b"".join(part.encode() if isinstance(part, str) else part for part in parts) * repeats + b"end"
    assert raw_snappy(bytes(_native.Compressor("snappy").compress_lines(text))) == text


def test_snappy_finds_what_repeats_in_packed_fields() -> None:
    """Their escapes, and whole fields: the second of two equal ones becomes copies of up to 64 bytes."""
    fields = [packed(random.Random(size).randbytes(size)) for size in (0, 1, 50, 300, 301, 5000)]
    texts = [",".join(each).encode() for each in (fields, fields + fields[::-1])]
    once, twice = (bytes(_native.Compressor("snappy").compress_lines(text)) for text in texts)
    assert [raw_snappy(block) for block in (once, twice)] == texts
    assert len(once) < 0.99 * len(bytes(cramjam.snappy.compress_raw(texts[0])))
    assert len(twice) < len(once) + len(texts[0]) / 8


def test_snappy_gives_the_same_bytes_again() -> None:
    blocks, _ = blocks_of(decoded(noise(3000), "ab" * 900, noise(100_000, 2)), [[0, 1], [2], [1, 2, 0], [1]])
    compressor = _native.Compressor("snappy")
    assert compressed(compressor, blocks) == compressed(compressor, blocks)
    assert compressed(compressor, blocks[:1]) == compressed(_native.Compressor("snappy"), blocks[:1])


def test_snappy_blocks_are_as_small_as_other_libraries_make_them() -> None:
    words = [noise(size, size) for size in range(2, 60, 2)]
    choose = random.Random(2).choices
    batch = decoded(*("".join(choose(words, k=count)) for count in (10, 100, 3000, 9000)))
    blocks, lines = blocks_of(batch, [[0], [1], [2], [3], [0, 1, 2, 3]])
    ours = sum(map(len, compressed(_native.Compressor("snappy"), blocks)))
    assert ours <= 1.01 * sum(len(bytes(cramjam.snappy.compress_raw(text))) for text in lines)


def test_higher_levels_compress_more() -> None:
    words = [noise(size, size) for size in range(2, 60, 2)]
    blocks, _ = blocks_of(decoded("".join(random.Random(3).choices(words, k=3000))), [[0]])
    fast, usual, small = (len(_native.Compressor("zstd", level).compress(blocks)) for level in (-5, 3, 19))
    assert fast > usual > small


def test_a_call_compresses_about_4_mib_of_lines() -> None:
    batch = decoded("x" * MIB)
    blocks, _ = blocks_of(batch, [[0]] * 10)
    compressor = _native.Compressor("zstd")
    assert [len(part.lengths) for part in compress_all(compressor, list(blocks))] == [4, 4, 2]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
@pytest.mark.parametrize("codec", READ)
def test_compression_takes_little_memory_beyond_what_it_gives(codec: str) -> None:
    """100 MiB of lines, in slices of 1 MiB, are not copied as a whole, and the compressor does not keep them."""
    batch = decoded(*(noise(MIB, seed) for seed in range(10)))
    blocks, _ = blocks_of(batch, [[row] for row in range(10)] * 5 + [list(range(10))] * 5)
    before = peak = resident_bytes()
    for _ in compress_all(_native.Compressor(codec), blocks):
        peak = max(peak, resident_bytes())
    assert blocks == []
    assert peak < before + 32 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_large_blocks_that_become_small_take_little_memory() -> None:
    """They get memory of their own while they are compressed, on huge pages. What they become is not kept there."""
    blocks, lines = blocks_of(decoded("x" * 5 * MIB), [[0]] * 50)
    before = resident_bytes()
    parts = list(compress_all(_native.Compressor("zstd"), blocks))
    assert resident_bytes() < before + 20 * MIB
    assert [zstandard.decompress(block) for block in split(parts[-1])] == lines[-1:]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_blocks_take_the_memory_that_lines_had() -> None:
    """24 MiB of lines are gone, and 12 MiB of blocks that don't compress are made. No fresh memory is needed."""
    decoder = _native.Decoder(large_bytes=64 * MIB, kept_chunk_bytes=64 * MIB)
    value = plain_value([event_text(f'"{noise(MIB)}"')])
    batch, gone = (call_native(decoder, [Input(value)] * rows).decoded for rows in (12, 24))
    blocks, lines = blocks_of(batch, [[row] for row in range(12)])
    del gone
    held, before = decoder.held_bytes, resident_bytes()
    parts = list(compress_all(_native.Compressor("snappy", decoder=decoder), blocks))
    assert sum(map(len, parts)) > 12 * MIB
    assert resident_bytes() < before + 4 * MIB
    assert decoder.held_bytes == held, "what blocks take does not count as lines"
    assert [raw_snappy(block) for part in parts for block in split(part)] == lines


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_what_lines_and_blocks_had_goes_back_to_the_system_when_it_is_asked_for() -> None:
    decoder = _native.Decoder(large_bytes=64 * MIB, kept_chunk_bytes=64 * MIB)
    value = plain_value([event_text(f'"{noise(MIB)}"')])
    batch = call_native(decoder, [Input(value)] * 24).decoded
    blocks, lines = blocks_of(batch, [[row] for row in range(24)])
    compressor = _native.Compressor("snappy", decoder=decoder)
    parts = list(compress_all(compressor, blocks))
    decoder.give_back_kept()
    assert [raw_snappy(block) for part in parts for block in split(part)] == lines, "what is in use stays"
    del batch, parts, lines
    gc.collect()
    kept = resident_bytes()
    decoder.give_back_kept()
    assert resident_bytes() < kept - 24 * MIB
    again = call_native(decoder, [Input(value)]).decoded
    blocks, lines = blocks_of(again, [[0]])
    assert [raw_snappy(block) for block in compressed(compressor, blocks)] == lines


@pytest.mark.parametrize("codec", READ)
def test_parts_that_are_kept_do_not_change(codec: str) -> None:
    """12 MiB that don't compress, in parts that are all kept, while the compressor goes on; then half are dropped."""
    batch = decoded(*(noise(200_000, seed) for seed in range(60)))
    blocks, lines = blocks_of(batch, [[row] for row in range(60)])
    compressor = _native.Compressor(codec)
    for _ in range(3):
        parts = list(compress_all(compressor, list(blocks)))
        views = [memoryview(part) for part in parts[::2]]
        before = [view.tobytes() for view in views]
        assert [READ[codec](block) for part in parts for block in split(part)] == lines
        del parts
        gc.collect()
        again = compressed(compressor, blocks[::-1])
        assert [READ[codec](block) for block in again] == lines[::-1]
        assert [view.tobytes() for view in views] == before


def test_parts_outlive_the_compressor_and_the_blocks() -> None:
    blocks, lines = blocks_of(decoded("abc"), [[0]])
    view = memoryview(_native.Compressor("zstd").compress(blocks))
    del blocks
    gc.collect()
    assert view.readonly
    assert zstandard.decompress(view) == lines[0]


def trained() -> zstandard.ZstdCompressionDict:
    words = [noise(size, size) for size in range(4, 40, 2)]
    samples: list[bytes | bytearray | memoryview] = [
        "".join(random.Random(seed).choices(words, k=60)).encode() for seed in range(400)
    ]
    return zstandard.train_dictionary(8192, samples)


@pytest.mark.parametrize("level", [1, 3, 19])
def test_frames_of_a_dictionary_carry_its_id_and_are_smaller(level: int) -> None:
    dictionary = trained()
    words = [noise(size, size) for size in range(4, 40, 2)]
    batch = decoded(*("".join(random.Random(seed).choices(words, k=60)) for seed in range(1000, 1029)))
    blocks, lines = blocks_of(batch, [[row] for row in range(28)] + [[5, 3, 4], [28] * 200])
    plain = compressed(_native.Compressor("zstd", level), blocks)
    frames = compressed(_native.Compressor("zstd", level, dictionary.as_bytes()), blocks)
    assert sum(map(len, frames)) < 0.8 * sum(map(len, plain))
    decompress = zstandard.ZstdDecompressor(dict_data=dictionary).decompress
    assert [decompress(frame) for frame in frames] == lines
    found = [zstandard.get_frame_parameters(frame) for frame in frames]
    assert {(frame.dict_id, frame.has_checksum) for frame in found} == {(dictionary.dict_id(), True)}
    assert [frame.content_size for frame in found] == [len(text) for text in lines]


def test_what_a_compressor_refuses() -> None:
    dictionary = trained().as_bytes()
    for codec, given_dictionary, text in [
        ("lz4", None, "there is no codec 'lz4'"),
        ("snappy", dictionary, "snappy takes no dictionary"),
        ("zstd", b"", "not a zstd dictionary"),
        ("zstd", b"plain text, not a dictionary", "not a zstd dictionary"),
        ("zstd", dictionary[:40], "not a zstd dictionary"),
    ]:
        with pytest.raises(ValueError, match=text):
            _native.Compressor(codec, 3, given_dictionary)


@pytest.mark.parametrize("codec", READ)
def test_what_compress_refuses(codec: str) -> None:
    blocks, lines = blocks_of(decoded("abc"), [[0], [0]])
    compressor = _native.Compressor(codec)
    with pytest.raises(ValueError, match="block 1 is empty"):
        compressor.compress([blocks[0], _native.SessionBlock()])
    with pytest.raises(ValueError, match="there are no blocks"):
        compressor.compress([])
    wrong: Any
    for wrong in (None, b"", 1):
        with pytest.raises(TypeError):
            compressor.compress([blocks[0], wrong])
    assert [READ[codec](block) for block in compressed(compressor, blocks)] == lines


def test_one_compressor_in_two_threads_is_refused() -> None:
    blocks, _ = blocks_of(decoded(noise(MIB)), [[0]])
    compressor = _native.Compressor("zstd", 15)
    ends: set[str] = set()
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        while len(ends) < 2:
            try:
                assert compressed(compressor, blocks)
                ends.add("ok")
            except RuntimeError as error:
                ends.add(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == {"ok", "this compressor is at work in another thread"}


@pytest.mark.parametrize("codec", ["zstd", "snappy"])
def test_lines_are_compressed_as_a_block_with_these_lines(codec: str) -> None:
    blocks, lines = blocks_of(decoded("some text", noise(9_000)), [[0], [0, 1]])
    compressor = _native.Compressor(codec)
    for block, text in zip(blocks, lines, strict=True):
        part = compressor.compress_lines(text)
        read = zstandard.decompress if codec == "zstd" else snappy.decompress
        assert [read(each) for each in split(part)] == [text]
        assert len(part) <= 1.1 * len(compressor.compress([block]))
    with pytest.raises(ValueError, match="there are no lines to compress"):
        compressor.compress_lines(b"")
