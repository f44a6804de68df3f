"""The arguments of decode apart from values: headers, limits, columns of the wrong type, several threads."""

import threading
from array import array
from contextlib import suppress
from typing import Any

import pytest

from recording_worker import _native
from recording_worker.outcome import Disposition, Reason
from tests.builders import NOW_MS
from tests.decoders import call_native, decode_native
from tests.inputs import EVENT, Input, event_text, plain_value

VALUE = plain_value([EVENT])


def test_rows_that_have_ended_are_left_alone() -> None:
    dispositions, reasons = bytearray([0, 3, 0]), bytearray([0, 38, 0])
    nothing, times = _native.TextColumn([None] * 3), array("q", [NOW_MS] * 3)
    batch = _native.Decoder().decode(
        _native.ByteColumn([VALUE, VALUE, b"{}"]), nothing, nothing, nothing, times, None, dispositions, reasons
    )
    assert batch.rows == 3
    assert dispositions == bytes([0, 3, 3])
    assert reasons == bytes([0, 38, Reason.INVALID_MESSAGE_PAYLOAD])
    assert [batch.event_count(row) for row in range(3)] == [1, 0, 0]
    assert (batch.lines(1), batch.session_id(1), batch.console_logs(1)) == (b"", "", [])


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("wrong", [[1], ["text"], None, 1, array("d", [1.0])])
def test_columns_of_the_wrong_type(column: int, wrong: object) -> None:
    nothing = _native.TextColumn([None])
    columns: list[Any] = [_native.ByteColumn([VALUE]), nothing, nothing, nothing, array("q", [NOW_MS])]
    columns[column] = wrong
    decoder = _native.Decoder()
    values, encodings, session_ids, distinct_ids, timestamps = columns
    with pytest.raises((TypeError, ValueError)):
        decoder.decode(values, encodings, session_ids, distinct_ids, timestamps, None, bytearray(1), bytearray(1))
    assert call_native(decoder, [Input(VALUE)]).dispositions == b"\0"


def test_headers_with_unpaired_surrogates_are_as_if_replaced() -> None:
    body = plain_value([EVENT], {"$session_id": '"a\\ud800b"'})
    for header, reason in (("a\ud800b", Reason.NONE), ("a\ufffdb", Reason.NONE), ("a\ud83d\ude00b", None)):
        reasons = call_native(_native.Decoder(), [Input(body, None, header)]).reasons
        assert reasons[0] == (Reason.SESSION_ID_HEADER_BODY_MISMATCH if reason is None else reason)


def test_limits_below_zero() -> None:
    with pytest.raises(OverflowError):
        _native.Decoder(max_decompressed_bytes=-1)
    with pytest.raises(OverflowError):
        _native.Decoder(max_decoded_bytes=-1)


def test_the_cap_fits_offsets_of_32_bits() -> None:
    with pytest.raises(ValueError, match="max_decompressed_bytes"):
        _native.Decoder(max_decompressed_bytes=2**31)


def test_timestamps_of_rows_that_have_none() -> None:
    batch = call_native(_native.Decoder(), [Input(b"{}"), Input(plain_value(["{}"]))]).decoded
    assert [batch.timestamps(row) for row in range(2)] == [(0.0, 0.0)] * 2


def test_the_distinct_id_of_a_large_message_may_have_escapes() -> None:
    """Its text is freed before the id is read. Under sanitizers, the copy of the id ends where it says."""
    value = plain_value([event_text(f'"{"x" * 1000}"')], envelope={"distinct_id": r'"\u00e9\n"'})
    found = call_native(_native.Decoder(large_bytes=100), [Input(value)])
    assert found.decoded.distinct_id(0) == "é\n"


LOG = '{"plugin":"rrweb/console@1","payload":{"level":"log","payload":["a message"]}}'


@pytest.mark.parametrize(
    ("value", "row_bytes"),
    [
        (plain_value([EVENT], {"$session_id": f'"{"s" * 250}"', "$lib": f'"{"l" * 900}"'}), 1150),
        (plain_value([event_text(LOG, type="6")] * 20), 20 * (len(event_text(LOG, type="6")) + 40)),
        (plain_value([event_text('{"href":"https://a.example/"}', type="4")] * 30), 30 * 60),
    ],
    ids=["texts", "console messages", "events"],
)
def test_what_comes_with_the_lines_counts_too(value: bytes, row_bytes: int) -> None:
    """A row may have small lines, and much that is kept for its records until the batch is done."""
    rows = call_native(_native.Decoder(max_decoded_bytes=20 * row_bytes), [Input(value)] * 50).decoded.rows
    assert rows <= 20
    assert call_native(_native.Decoder(), [Input(value)] * 50).decoded.rows == 50


def test_decoders_in_several_threads() -> None:
    """Each thread has a decoder of its own."""
    values = [plain_value([event_text(f'"{number}{"x" * 2_000}"')]) for number in range(200)]
    expected = [row.lines for row in decode_native([Input(value) for value in values]).rows]
    blocks = []

    def work() -> None:
        decoder = _native.Decoder()
        for _ in range(20):
            batch = call_native(decoder, [Input(value) for value in values]).decoded
            block = _native.SessionBlock()
            for row in range(batch.rows):
                block.record(batch, row, row)
        blocks.append(block)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [block.lines() for block in blocks]
    assert len(found) == 4
    text = "".join(f'["{line.window_id}",{line.event}]\n' for lines in expected for line in lines)
    assert set(found) == {text.encode()}


def test_one_decoder_in_two_threads_is_refused() -> None:
    decoder = _native.Decoder()
    values = [Input(plain_value([event_text(f'"{"x" * 1_000_000}"')]))] * 60
    refused = []

    def work() -> None:
        try:
            call_native(decoder, values)
        except RuntimeError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused.count("this decoder is at work in another thread") == len(refused) <= 2
    assert call_native(decoder, [Input(VALUE)]).dispositions[0] == Disposition.OK


def test_a_decoder_that_is_at_work_gives_nothing_back() -> None:
    decoder = _native.Decoder()
    values = [Input(plain_value([event_text(f'"{"x" * 1_000_000}"')]))]
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            with suppress(RuntimeError):  # it gives back at this moment
                call_native(decoder, values)

    def give_back() -> None:
        while True:
            decoder.give_back_kept()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="this decoder is at work in another thread"):
            give_back()
    finally:
        done.set()
        thread.join()
    decoder.give_back_kept()
    assert call_native(decoder, [Input(VALUE)]).dispositions[0] == Disposition.OK
