"""SessionBlock: what it keeps alive, and what it refuses."""

import gc

import pytest

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
    assert summary.snapshot_mode is None
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
    assert block.lines() == expected


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
    assert block.lines() == expected


def test_chunks_that_come_back_are_not_shared() -> None:
    """The lines of a batch do not change while the decoder decodes other batches."""
    decoder = _native.Decoder()
    kept = call_native(decoder, [Input(value) for value in large(30)]).decoded
    before = [kept.lines(row) for row in range(30)]
    for size in (10, 1_000, 300_000, 5_000_000):
        for _ in range(3):
            call_native(decoder, [Input(value) for value in large(5, size)])
    assert [kept.lines(row) for row in range(30)] == before


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
