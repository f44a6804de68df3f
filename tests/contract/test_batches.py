"""What a decode call promises about a batch: rows are independent, buffers are kept, decoding stops in time."""

import random
from array import array

import pytest

from recording_worker import _native
from recording_worker.outcome import Disposition, Reason
from tests.builders import NOW_MS
from tests.contract.malformed import MALFORMED
from tests.decoders import (
    BatchOutcome,
    NativeCall,
    assert_same,
    call_native,
    decode_native,
    decode_reference,
    native_outcome,
)
from tests.inputs import ENCODED, Input, envelope_text, event_text, input_of, plain_value
from tests.sample import sample_messages


def mixed_rows() -> list[Input]:
    """Return good and bad messages of all sizes and encodings. Each has something that no other message has."""
    rows = [input_of(message) for message in sample_messages()[::8]]
    for number, way in enumerate([*ENCODED] * 4):
        mark = f'"mark-{number}-{"x" * (number**3 % 5_000)}"'
        items = [event_text(mark), "{}", event_text(f'{{"href":{mark}}}', type="4", timestamp=str(NOW_MS + number))]
        properties = {"$session_id": f'"session-{number}"', "$window_id": mark, "$lib": mark if number % 2 else None}
        rows.append(ENCODED[way](plain_value(items, properties)))
    rows += [Input(envelope_text(text).encode()) for text in MALFORMED.values()]
    rows += [
        Input(None),
        Input(b""),
        Input(b"\x1f\x8b"),
        Input(b"{}"),
        Input(plain_value([])),
        Input(plain_value(), "br"),
    ]
    return rows


def outcomes(call: NativeCall) -> BatchOutcome:
    return native_outcome(*call)


@pytest.mark.unsanitized
def test_sample_of_real_recordings() -> None:
    """Every message of the sample is ok, and both decoders give the same."""
    rows = [input_of(message) for message in sample_messages()]
    reference = decode_reference(rows)
    native = decode_native(rows)
    assert_same(native, reference)
    assert len(native.rows) == 82
    assert all(row.end == (Disposition.OK, Reason.NONE) for row in native.rows)
    assert sum(len(row.lines) for row in native.rows) == 5_834
    assert sum(len(row.console_logs) for row in native.rows) == 225
    assert native.encodings == {"plain": 50, "gzip": 24, "lz4": 8}
    assert native.uncompressed_bytes == 6_333_984
    assert (native.invalid_items, native.invalid_utf8) == (0, 0)
    assert len(native.blocks) == 12
    assert len({line.window_id for row in native.rows for line in row.lines}) == 15


def test_no_message_sees_another() -> None:
    """A message gets the same alone, in any batch, at any place in it, and with a decoder that has seen others."""
    rows = mixed_rows()
    alone = [decode_native([row]).rows[0] for row in rows]
    decoder = _native.Decoder()
    chance = random.Random(7)
    for _ in range(2):
        order = list(range(len(rows)))
        chance.shuffle(order)
        batch = outcomes(call_native(decoder, [rows[index] for index in order]))
        assert list(batch.rows) == [alone[index] for index in order]


def test_large_messages_leave_nothing_in_the_buffers() -> None:
    """A small message after a large one, in every encoding, with the decoder's buffers full of the large one."""
    decoder = _native.Decoder()
    large = plain_value([event_text('"' + "leak " * 100_000 + '"')])
    for way in ENCODED:
        for small in (b"{", b'{"data":"', b'{"distinct_id":"a","data":"{\\"', b"[", b'"', plain_value()):
            rows = [ENCODED[way](large), ENCODED[way](small)]
            batch = outcomes(call_native(decoder, rows))
            assert batch.rows[1] == decode_reference(rows).rows[1]


def test_a_batch_outlives_the_next_calls() -> None:
    """What a call gave stays as it was while its decoder goes on, and after the decoder is gone."""
    rows = [input_of(message) for message in sample_messages()]
    decoder = _native.Decoder()
    first = call_native(decoder, rows)
    before = [first.decoded.lines(row) for row in range(len(rows))]
    blocks = []
    for row in range(len(rows)):
        blocks.append(_native.SessionBlock())
        blocks[-1].record(first.decoded, row, row)
    for _ in range(3):
        call_native(decoder, rows[::-1])
    assert [first.decoded.lines(row) for row in range(len(rows))] == before
    del decoder, first
    assert [block.lines() for block in blocks] == before


def test_rows_decided_before_are_left_alone() -> None:
    values = [plain_value(), b"not JSON", None, plain_value()]
    dispositions, reasons = bytearray([3, 3, 1, 0]), bytearray([32, 33, 34, 0])
    nothing, times = _native.TextColumn([None] * 4), array("q", [NOW_MS] * 4)
    decoded = _native.Decoder().decode(
        _native.ByteColumn(values), nothing, nothing, nothing, times, None, dispositions, reasons
    )
    assert decoded.rows == 4
    assert list(dispositions) == [3, 3, 1, 0]
    assert list(reasons) == [32, 33, 34, 0]
    assert decoded.encodings.get("plain") == 1
    assert decoded.session_id(3) == "session-1"


@pytest.mark.parametrize("max_decoded_bytes", [1, 10_000, 30_000])
def test_decoding_stops_once_the_rows_pass_the_limit(max_decoded_bytes: int) -> None:
    """At least one row is decided. The row that passes the limit is the last. The next call decodes the others."""
    rows = [row for row in mixed_rows() if len(row.value or b"") < 50_000]
    decoder = _native.Decoder(max_decoded_bytes=max_decoded_bytes)
    together = decode_native(rows).rows
    at = calls = 0
    while at < len(rows):
        call = call_native(decoder, rows[at:])
        batch = outcomes(call)
        decided = call.decoded.rows
        assert decided >= 1
        assert batch.rows == together[at : at + decided]
        assert not any(call.dispositions[decided:])
        assert not any(call.reasons[decided:])
        assert call_native(_native.Decoder(), rows[at : at + decided - 1]).decoded.total_bytes <= max_decoded_bytes
        if at + decided < len(rows):
            assert call.decoded.total_bytes > max_decoded_bytes
        at += decided
        calls += 1
    assert at == len(rows)
    assert calls > 1


def test_rows_of_exactly_the_limit_do_not_stop_decoding() -> None:
    rows = [Input(plain_value([event_text(str(number))])) for number in range(4)]
    size = call_native(_native.Decoder(), rows[:1]).decoded.total_bytes
    decided = [
        call_native(_native.Decoder(max_decoded_bytes=limit), rows).decoded.rows
        for limit in (0, size - 1, size, 2 * size - 1, 2 * size)
    ]
    assert decided == [1, 1, 2, 2, 3]


def test_decoding_stops_before_a_large_message_unless_it_comes_first_and_may() -> None:
    """Whether messages are large changes nothing about what becomes of them."""
    rows = mixed_rows()
    together = decode_native(rows).rows
    for unpack in (False, True):
        decoder = _native.Decoder(large_bytes=2_000, unpack_client_compression=unpack)
        together = outcomes(call_native(_native.Decoder(unpack_client_compression=unpack), rows)).rows
        at = stops = 0
        while at < len(rows):
            call = call_native(decoder, rows[at:], large=False)
            if call.decoded.stopped_at_large:
                decided = call.decoded.rows
                assert outcomes(call).rows == together[at : at + decided]
                at += decided
                stops += 1
                call = call_native(decoder, rows[at:], large=True)
            decided = call.decoded.rows
            assert decided >= 1
            assert outcomes(call).rows == together[at : at + decided]
            at += decided
        assert at == len(rows)
        assert stops > 1


@pytest.mark.parametrize("short", range(7))
def test_columns_of_different_lengths_are_refused(short: int) -> None:
    lengths = [2] * 7
    lengths[short] = 1
    values, encodings, sessions, distincts, timestamps, dispositions, reasons = lengths
    with pytest.raises(ValueError, match=r".+"):
        _native.Decoder().decode(
            _native.ByteColumn([plain_value()] * values),
            _native.TextColumn([None] * encodings),
            _native.TextColumn([None] * sessions),
            _native.TextColumn([None] * distincts),
            array("q", [NOW_MS] * timestamps),
            None,
            bytearray(dispositions),
            bytearray(reasons),
        )


def test_an_empty_batch() -> None:
    assert decode_native([]) == decode_reference([])
