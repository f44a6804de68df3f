"""SessionBlock and gather: what they keep alive, and what they refuse."""

import gc
import struct
from typing import Any

import pytest
import zstandard

from recording_worker import _native
from tests.decoders import call_native
from tests.inputs import EVENT, Input, event_text, plain_value


def decoded(*values: bytes, max_decoded_bytes: int = 1 << 27) -> _native.DecodedBatch:
    decoder = _native.Decoder(max_decoded_bytes=max_decoded_bytes)
    return call_native(decoder, [Input(value) for value in values]).decoded


def large(count: int, size: int = 100_000) -> list[bytes]:
    return [plain_value([event_text(f'"{number}{"x" * size}"')]) for number in range(count)]


def test_a_new_block() -> None:
    block = _native.SessionBlock()
    assert (block.size, block.event_count, block.message_count) == (0, 0, 0)
    summary = block.summary()
    assert (summary.distinct_id, summary.snapshot_source, summary.snapshot_library) == ("", "web", None)
    assert (summary.first_url, summary.urls, block.messages()) == (None, [], [])
    assert (summary.active_milliseconds, summary.out_of_order_count, summary.gap_count) == (0, 0, 0)
    assert not summary.has_full_snapshot
    assert (summary.first_full_snapshot_position, summary.first_full_snapshot_timestamp) == (None, None)


def test_lines_outlive_the_batch_and_the_decoder() -> None:
    values = large(80)
    batch = decoded(*values)
    expected = b"".join(batch.lines(row) for row in range(len(values)))
    block = _native.SessionBlock()
    for row in range(len(values)):
        block.record(batch, row, row)
    del batch
    gc.collect()
    decoded(*reversed(values))  # overwrites memory that is free
    assert bytes(memoryview(_native.gather([block]))) == expected


def test_a_block_keeps_the_lines_of_all_its_chunks() -> None:
    """The decoder reuses chunks that nothing refers to. 8 MB of lines take four of them."""
    decoder = _native.Decoder()
    values = large(80)
    block = _native.SessionBlock()
    batch = call_native(decoder, [Input(value) for value in values]).decoded
    expected = b"".join(batch.lines(row) for row in range(len(values)))
    for row in range(len(values)):
        block.record(batch, row, row)
    del batch
    call_native(decoder, [Input(value) for value in reversed(values)])
    assert bytes(memoryview(_native.gather([block]))) == expected


def test_chunks_that_come_back_are_not_shared() -> None:
    """The lines of a batch do not change while the decoder decodes other batches."""
    decoder = _native.Decoder()
    kept = call_native(decoder, [Input(value) for value in large(30)]).decoded
    before = [kept.lines(row) for row in range(30)]
    for size in (10, 1_000, 300_000, 5_000_000):
        for _ in range(10):
            call_native(decoder, [Input(value) for value in large(5, size)])
    assert [kept.lines(row) for row in range(30)] == before


def test_gather_of_several_blocks() -> None:
    batch = decoded(*large(3, 10))
    blocks = [_native.SessionBlock() for _ in range(4)]
    for block, rows in zip(blocks, ([0], [], [1, 2, 0], [2]), strict=True):
        for row in rows:
            block.record(batch, row, row)
    buffer = _native.gather(blocks)
    expected = [batch.lines(0), b"", batch.lines(1) + batch.lines(2) + batch.lines(0), batch.lines(2)]
    assert len(buffer) == sum(map(len, expected))
    view = memoryview(buffer)
    assert view.readonly
    assert view.tobytes() == b"".join(expected)
    found = [view[start : start + length].tobytes() for start, length in struct.iter_unpack("=QQ", buffer.segments)]
    assert found == expected


def test_gathered_lines_are_what_zstandard_takes() -> None:
    batch = decoded(*large(3))
    blocks = []
    for row in range(3):
        blocks.append(_native.SessionBlock())
        blocks[-1].record(batch, row, row)
    buffer = _native.gather(blocks)
    lines = zstandard.BufferWithSegments(memoryview(buffer), buffer.segments)
    frames = zstandard.ZstdCompressor().multi_compress_to_buffer(lines)
    decompress = zstandard.ZstdDecompressor().decompress
    assert [decompress(frames[row].tobytes()) for row in range(3)] == [batch.lines(row) for row in range(3)]


@pytest.mark.parametrize("blocks", [[], [_native.SessionBlock()]])
def test_gather_of_nothing(blocks: list[_native.SessionBlock]) -> None:
    buffer = _native.gather(blocks)
    assert len(buffer) == 0
    assert memoryview(buffer).tobytes() == b""
    assert buffer.segments == bytes(16 * len(blocks))


@pytest.mark.parametrize("wrong", [None, b"", 1])
def test_gather_takes_blocks_only(wrong: Any) -> None:
    with pytest.raises(TypeError):
        _native.gather([_native.SessionBlock(), wrong])


def test_a_view_keeps_the_buffer() -> None:
    batch = decoded(*large(1))
    block = _native.SessionBlock()
    block.record(batch, 0, 0)
    view = memoryview(_native.gather([block]))
    gc.collect()
    assert view.tobytes() == batch.lines(0)


def test_record_refuses_rows_that_are_not_there_or_not_ok() -> None:
    batch = decoded(plain_value([EVENT]), b"no message")
    block = _native.SessionBlock()
    with pytest.raises(ValueError, match="row 1 did not end as ok"):
        block.record(batch, 1, 0)
    for row in (2, -1):
        with pytest.raises(IndexError):
            block.record(batch, row, 0)
    assert block.message_count == 0


def test_rows_of_a_batch_end_where_decoding_stopped() -> None:
    batch = decoded(*large(5), max_decoded_bytes=150_000)
    assert batch.rows == 2
    with pytest.raises(IndexError):
        batch.lines(2)


def test_offsets_in_any_order() -> None:
    batch = decoded(*large(3, 1))
    block = _native.SessionBlock()
    for row, offset in enumerate((7, 9, 5)):
        block.record(batch, row, offset)
    assert (block.summary().first_offset, block.summary().last_offset) == (5, 9)
    assert block.messages() == [(7, 1), (9, 1), (5, 1)]
