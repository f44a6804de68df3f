"""What the decoder accepts, and the reason for each bad input: a test for each row of the contract, in its order.

Rows 7 to 11: the outer text, `data`, ids and headers. Rows 1 to 6, from the bytes to a text, are in
test_decode_contract_bytes.py, rows 12 to 14 in test_decode_contract_items.py, and the order of all rows in
test_decode_contract_order.py.
"""

from collections.abc import Callable

import pytest

from recording_worker.outcome import Reason
from tests.contract.ends import OK, accepted, decode_one, dlq
from tests.contract.malformed import MALFORMED
from tests.decoders import Decode
from tests.inputs import (
    ENCODED,
    EVENT,
    Input,
    data_text,
    envelope_text,
    event_text,
    gzip_value,
    lz4_value,
    plain_value,
    zstd_value,
)

# outer text not JSON


@pytest.mark.parametrize("name", MALFORMED)
def test_row_07_outer_text_not_json(decode: Decode, name: str) -> None:
    malformed = MALFORMED[name]
    value = plain_value().decode()
    texts = [
        malformed,
        envelope_text(data_text(), {"ip": malformed}),
        envelope_text(data_text(), {"ip": f"[1,{malformed}]"}),
        envelope_text(data_text(), {"data": malformed}),
        value + malformed,
        value[:-1] + "," + malformed + "}",
    ]
    batch = decode([Input(text.encode() or b" ") for text in texts])
    assert [row.end for row in batch.rows] == [dlq(Reason.INVALID_JSON)] * len(texts)


@pytest.mark.parametrize("control", ["\x00", "\x1f", "\n"])
def test_row_07_control_character_anywhere_in_a_long_string_of_the_envelope(decode: Decode, control: str) -> None:
    strings = [f'"{"x" * before}{control}{"x" * (150 - before)}"' for before in range(0, 150, 7)]
    texts = [envelope_text(data_text(), {key: string}) for string in strings for key in ("ip", "distinct_id")]
    batch = decode([Input(text.encode()) for text in texts])
    assert {row.end for row in batch.rows} == {dlq(Reason.INVALID_JSON)}


@pytest.mark.parametrize("way", ENCODED)
def test_row_07_nothing_or_white_space(decode: Decode, way: str) -> None:
    rows = [ENCODED[way](plain) for plain in (b" ", b"\n\n", b"\xef\xbb\xbf", b"\0", b"\0" * 64)]
    assert [row.end for row in decode(rows).rows] == [dlq(Reason.INVALID_JSON)] * len(rows)


@pytest.mark.parametrize("encoder", [gzip_value, lz4_value, zstd_value], ids=["gzip", "lz4", "zstd"])
def test_row_07_nothing_compressed(decode: Decode, encoder: Callable[[bytes], bytes]) -> None:
    row = Input(encoder(b""), "lz4" if encoder is lz4_value else None)
    assert decode_one(decode, row).end == dlq(Reason.INVALID_JSON)


# the envelope

NOT_STRINGS = ["null", "true", "false", "0", "1e999", "[]", "{}", '["a"]', '{"a":"b"}']
NOT_OBJECTS = ["null", "true", "false", "0", "-1.5e3", '""', '"{}"', "[]", "[{}]"]


@pytest.mark.parametrize("text", NOT_OBJECTS)
def test_row_08_outer_value_not_an_object(decode: Decode, text: str) -> None:
    assert decode_one(decode, text.encode()).end == dlq(Reason.INVALID_MESSAGE_PAYLOAD)


@pytest.mark.parametrize("text", [None, *NOT_STRINGS], ids=str)
@pytest.mark.parametrize("key", ["distinct_id", "data"])
def test_row_08_distinct_id_or_data_no_string(decode: Decode, key: str, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(envelope={key: text}))
    assert outcome.end == dlq(Reason.INVALID_MESSAGE_PAYLOAD)


def test_row_08_empty_object(decode: Decode) -> None:
    assert decode_one(decode, b"{}").end == dlq(Reason.INVALID_MESSAGE_PAYLOAD)


def test_row_08_empty_distinct_id_is_a_string(decode: Decode) -> None:
    assert accepted(decode, plain_value(envelope={"distinct_id": '""'})).distinct_id == ""


# data


@pytest.mark.parametrize("name", MALFORMED)
def test_row_09_data_not_json(decode: Decode, name: str) -> None:
    malformed = MALFORMED[name]
    data = data_text()
    texts = [
        malformed,
        data + malformed,
        data_text(body={"x": malformed}),
        data_text(body={"event": malformed}),
        data_text(properties={"x": malformed}),
        data_text(properties={"$session_id": malformed}),
        data_text([malformed]),
        data_text([EVENT, malformed]),
        data_text([event_text(malformed)]),
        data_text([event_text(f'{{"source":{malformed}}}')]),
        data_text([event_text(f'{{"payload":{{"href":[{malformed}]}}}}')]),
        data_text([event_text(timestamp=malformed)]),
        data_text([event_text(x=malformed)]),
        data_text([EVENT[:-1] + "," + malformed + "}"]),
    ]
    batch = decode([Input(envelope_text(text).encode()) for text in texts])
    assert [row.end for row in batch.rows] == [dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)] * len(texts)


@pytest.mark.parametrize("text", ["", " ", *NOT_OBJECTS, "{}"], ids=repr)
def test_row_09_data_not_an_object_with_an_event(decode: Decode, text: str) -> None:
    assert decode_one(decode, envelope_text(text).encode()).end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize(
    "text", [None, *NOT_STRINGS, '""', '"$snapshot"', '"$snapshot_items "', '"$SNAPSHOT_ITEMS"'], ids=str
)
def test_row_09_event_not_snapshot_items(decode: Decode, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(body={"event": text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize("text", [None, *NOT_OBJECTS, "{}"], ids=str)
def test_row_09_properties_not_an_object_with_items(decode: Decode, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(body={"properties": text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize("text", [None, "null", "true", "1", '"[]"', "{}", f'{{"0":{EVENT}}}'], ids=str)
def test_row_09_items_not_an_array(decode: Decode, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(properties={"$snapshot_items": text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize("text", [None, '""', *NOT_STRINGS], ids=str)
def test_row_09_session_id_missing_empty_or_no_string(decode: Decode, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(properties={"$session_id": text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize("text", NOT_STRINGS)
@pytest.mark.parametrize("key", ["$window_id", "$snapshot_source", "$lib"])
def test_row_09_optional_property_present_and_no_string(decode: Decode, key: str, text: str) -> None:
    outcome = decode_one(decode, plain_value(properties={key: text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


def test_row_09_optional_properties_may_be_missing(decode: Decode) -> None:
    batch = decode([Input(plain_value(properties={"$window_id": None, "$snapshot_source": None, "$lib": None}))])
    assert batch.rows[0].end == OK
    assert [line.window_id for line in batch.rows[0].lines] == [""]
    assert batch.blocks["session-1"].snapshot_source == "web"
    assert batch.blocks["session-1"].snapshot_library is None


# ids that are too long

CHARACTERS = {
    "ascii": ("x", '"'),
    "escaped": ("x", '"\\u0078'),
    "two-bytes": ("é", '"'),
    "astral": ("😀", '"'),
    "escaped-astral": ("😀", '"\\ud83d\\ude00'),
    "nul": ("\0", '"\\u0000'),
    "lone-surrogate": ("\ufffd", '"\\udc00'),
}
"""A character, and how an id of it begins in the text; a single quote is an id that is written plainly."""


@pytest.mark.parametrize("character", CHARACTERS)
@pytest.mark.parametrize(("key", "most"), [("$session_id", 256), ("$window_id", 256), ("distinct_id", 1024)])
def test_ids_may_have_so_many_characters(decode: Decode, key: str, most: int, character: str) -> None:
    value, begins = CHARACTERS[character]
    written = begins[1:] or value
    rows = []
    for count in (most, most + 1, most * 13, most * 40):
        text = f'"{written * count}"'
        rows.append(
            Input(plain_value(envelope={key: text}))
            if key == "distinct_id"
            else Input(plain_value(properties={key: text}))
        )
    batch = decode(rows)
    assert [row.end for row in batch.rows] == [OK] + [dlq(Reason.ID_TOO_LONG)] * 3
    kept = {"$session_id": batch.rows[0].session_id, "distinct_id": batch.rows[0].distinct_id}
    assert kept.get(key, batch.rows[0].lines[0].window_id) == value * most
    assert batch.invalid_items == 0


def test_of_two_window_ids_only_the_last_may_not_be_too_long(decode: Decode) -> None:
    """Of a key that comes twice the last value counts."""
    long = f'"{"x" * 300}","$window_id":"w"'
    assert accepted(decode, plain_value(properties={"$window_id": long})).lines[0].window_id == "w"


# headers unlike the body


@pytest.mark.parametrize("header", ["session-2", "session-", "session-11", "", "SESSION-1", " session-1"], ids=repr)
def test_row_10_session_id_header_body_mismatch(decode: Decode, header: str) -> None:
    outcome = decode_one(decode, Input(plain_value(), session_id_header=header))
    assert outcome.end == dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH)


@pytest.mark.parametrize("header", ["user-2", "user-", "user-11", "", "USER-1", "user-1 "], ids=repr)
def test_row_11_distinct_id_header_body_mismatch(decode: Decode, header: str) -> None:
    outcome = decode_one(decode, Input(plain_value(), distinct_id_header=header))
    assert outcome.end == dlq(Reason.DISTINCT_ID_HEADER_BODY_MISMATCH)


@pytest.mark.parametrize("session_id", [None, "session-1"])
@pytest.mark.parametrize("distinct_id", [None, "user-1"])
def test_row_10_and_11_headers_absent_or_alike(decode: Decode, session_id: str | None, distinct_id: str | None) -> None:
    outcome = accepted(decode, Input(plain_value(), None, session_id, distinct_id))
    assert (outcome.session_id, outcome.distinct_id) == ("session-1", "user-1")


def test_row_11_the_properties_distinct_id_is_not_compared(decode: Decode) -> None:
    row = Input(plain_value(properties={"distinct_id": '"another"'}), distinct_id_header="user-1")
    assert accepted(decode, row).distinct_id == "user-1"


@pytest.mark.parametrize(
    ("text", "header"),
    [('"\\u0061b"', "ab"), ('"é"', "é"), ('"\\u00e9"', "é"), ('"\\ud83d\\ude00"', "😀"), ('"a\\"\\\\\\/"', 'a"\\/')],
)
def test_row_10_and_11_headers_are_compared_with_the_value(decode: Decode, text: str, header: str) -> None:
    value = plain_value(properties={"$session_id": text}, envelope={"distinct_id": text})
    outcome = accepted(decode, Input(value, None, header, header))
    assert (outcome.session_id, outcome.distinct_id) == (header, header)
