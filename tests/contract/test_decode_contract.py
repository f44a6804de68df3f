"""What the decoder accepts, and the reason for each bad input: a test for each row of the contract, in its order.

Rows 1 to 6, from the bytes to a text, are in test_decode_contract_bytes.py.
"""

import gzip
import itertools
import json
from collections.abc import Callable

import pytest

from recording_worker.outcome import Reason
from tests.builders import NOW_MS
from tests.contract.ends import OK, accepted, decode_one, dlq, drop
from tests.contract.malformed import MALFORMED
from tests.decoders import Decode, Line, Outcome
from tests.inputs import (
    ENCODED,
    EVENT,
    Input,
    data_text,
    envelope_text,
    event_text,
    gzip_value,
    lz4_value,
    object_text,
    plain_value,
    zstd_value,
)

DAY_MS = 24 * 60 * 60 * 1000

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


# items that are no events

INVALID_ITEMS = {
    "null": "null",
    "true": "true",
    "number": str(NOW_MS),
    "string": '"event"',
    "array": "[]",
    "array-of-event": f"[{EVENT}]",
    "empty": "{}",
    "timestamp-missing": event_text(timestamp=None),
    "timestamp-elsewhere": event_text(f'{{"timestamp":{NOW_MS}}}', timestamp=None),
    "timestamp-other-case": event_text(timestamp=None, Timestamp=str(NOW_MS)),
    "timestamp-null": event_text(timestamp="null"),
    "timestamp-true": event_text(timestamp="true"),
    "timestamp-string": event_text(timestamp=f'"{NOW_MS}"'),
    "timestamp-array": event_text(timestamp=f"[{NOW_MS}]"),
    "timestamp-object": event_text(timestamp="{}"),
    "timestamp-zero": event_text(timestamp="0"),
    "timestamp-minus-zero": event_text(timestamp="-0"),
    "timestamp-zero-float": event_text(timestamp="0.0e5"),
    "timestamp-negative": event_text(timestamp=f"-{NOW_MS}"),
    "timestamp-underflow": event_text(timestamp="1e-999"),
    "timestamp-infinite": event_text(timestamp="1e999"),
    "timestamp-infinite-digits": event_text(timestamp="9" * 400),
    "timestamp-huge-exponent": event_text(timestamp="1e99999999999999999999"),
    "timestamp-over": event_text(timestamp="8640000000000001"),
    "timestamp-over-float": event_text(timestamp="8.640000000000001e15"),
    "timestamp-past-int64": event_text(timestamp="9223372036854775808"),
    "timestamp-past-uint64": event_text(timestamp="18446744073709551616"),
    "timestamp-uint64-wrapped": event_text(timestamp=str((1 << 64) + NOW_MS)),
    "timestamp-int64-min": event_text(timestamp="-9223372036854775808"),
    "timestamp-last-of-two": event_text(timestamp=f'{NOW_MS},"timestamp":null'),
}


@pytest.mark.parametrize("name", INVALID_ITEMS)
def test_row_12_item_is_left_out_and_counted(decode: Decode, name: str) -> None:
    item = INVALID_ITEMS[name]
    first, last = event_text('"first"'), event_text('"last"')
    for items in ([item, first, last], [first, item, last], [first, last, item], [item, first, item, last, item]):
        batch = decode([Input(plain_value(items))])
        assert batch.rows[0].end == OK
        assert batch.rows[0].events == [first, last]
        assert batch.invalid_items == len(items) - 2


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("1", 1.0),
        ("0.001", 0.001),
        ("1e-300", 1e-300),
        ("8640000000000000", 8.64e15),
        ("8.64e15", 8.64e15),
        ("8.64E+0015", 8.64e15),
        ("8640000000000000.4", 8.64e15),
        ("86400000e8", 8.64e15),
        ("1795000000000.5", 1795000000000.5),
        ("1795000000000.123456789", 1795000000000.1235),
        ("17950000000000000000e-7", 1795000000000.0),
        ("1795000000000" + "0" * 30 + "e-30", 1795000000000.0),
        ("0." + "0" * 20 + "1795e33", 1795000000000.0),
        ("123456789012345.67890123456789012345", 123456789012345.67),
        ("0.1e1", 1.0),
    ],
    ids=lambda argument: argument[:30] if isinstance(argument, str) else "",
)
def test_row_12_timestamp_is_a_double(decode: Decode, text: str, timestamp: float) -> None:
    event = event_text(timestamp=text)
    [outcome] = decode([Input(plain_value([event]))], max_timestamp_diff_ms=1 << 62).rows
    assert outcome.end == OK
    assert outcome.events == [event]
    assert outcome.timestamps == (timestamp, timestamp)


def test_row_12_items_are_counted_only_in_messages_that_get_there(decode: Decode) -> None:
    value = plain_value(["{}", "{}"])
    batch = decode([Input(value, session_id_header="other"), Input(value, distinct_id_header="other"), Input(value)])
    assert batch.invalid_items == 2


# no item left


@pytest.mark.parametrize("items", [[], ["{}"], list(INVALID_ITEMS.values())], ids=["none", "one", "many"])
def test_row_13_no_item_left(decode: Decode, items: list[str]) -> None:
    batch = decode([Input(plain_value(items))])
    assert batch.rows[0].end == drop(Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS)
    assert batch.invalid_items == len(items)


def test_row_13_no_item_but_white_space(decode: Decode) -> None:
    outcome = decode_one(decode, plain_value("[ \n ]"))
    assert outcome.end == drop(Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS)


# timestamps far from now


TOO_FAR = drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)
NO_EVENTS = drop(Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS)
FAR = 7 * DAY_MS


@pytest.mark.parametrize("rule", ["items", "messages"])
@pytest.mark.parametrize("clock", ["clock", "message"])
@pytest.mark.parametrize(
    ("differences", "kept"),
    [
        ([0], [0]),
        ([1 - FAR], [1 - FAR]),
        ([FAR - 1], [FAR - 1]),
        ([FAR - 1, 1 - FAR], [FAR - 1, 1 - FAR]),
        ([-FAR], []),
        ([FAR], []),
        ([-8 * DAY_MS, 8 * DAY_MS], []),
        ([-FAR, 0], [0]),
        ([0, FAR], [0]),
        ([8 * DAY_MS, 5, 3], [5, 3]),
        ([0, -8 * DAY_MS, 1], [0, 1]),
    ],
)
def test_row_14_timestamps_far_from_now(
    decode: Decode, clock: str, rule: str, differences: list[int], kept: list[int]
) -> None:
    """Items too far from now are left out. By PostHog's rule, one of them drops the message."""
    events = {difference: event_text(timestamp=str(NOW_MS + difference)) for difference in differences}
    row = Input(plain_value(list(events.values())), timestamp_ms=1 if clock == "clock" else NOW_MS)
    now_ms = NOW_MS if clock == "clock" else None
    batch = decode([row], now_ms, far_item_drops_message=rule == "messages")
    [outcome] = batch.rows
    far = len(differences) - len(kept)
    assert batch.far_items == far
    assert batch.invalid_items == 0
    assert outcome.far_timestamps == ((NOW_MS + min(differences), NOW_MS + max(differences)) if far else None)
    if not kept or (far and rule == "messages"):
        assert outcome.end == TOO_FAR
    else:
        assert outcome.end == OK
        assert outcome.events == [events[difference] for difference in kept]
        assert outcome.timestamps == (NOW_MS + min(kept), NOW_MS + max(kept))


def test_row_14_items_that_are_left_out_count_nowhere(decode: Decode) -> None:
    """They add no click, URL or console message, and are no full snapshot."""
    log = '{"plugin":"rrweb/console@1","payload":{"level":"error","payload":["text"]}}'
    left_out = [
        event_text('{"source":2,"type":2}'),
        event_text('{"source":5}'),
        event_text('{"href":"https://example.com/"}', type="4"),
        event_text(log, type="6"),
        event_text("{}", type="2"),
    ]
    late = [event.replace(str(NOW_MS), "1") for event in left_out]
    assert not set(late) & set(left_out)
    with_them = decode([Input(plain_value([*late, EVENT, *late]))])
    without = decode([Input(plain_value([EVENT]))])
    assert with_them.far_items == 2 * len(late)
    assert with_them.rows[0].lines == without.rows[0].lines
    assert with_them.rows[0].console_logs == ()
    assert with_them.blocks == without.blocks


def test_row_14_the_reason_if_no_item_is_left(decode: Decode) -> None:
    far = event_text(timestamp="1")
    rows = [Input(plain_value(items)) for items in (["{}"], ["{}", far], [far, "null"], ["{}", far, EVENT])]
    batch = decode(rows)
    assert [row.end for row in batch.rows] == [NO_EVENTS, TOO_FAR, TOO_FAR, OK]
    assert (batch.invalid_items, batch.far_items) == (4, 3)
    assert [row.far_timestamps for row in batch.rows] == [None, (1, 1), (1, 1), (1, NOW_MS)]


def test_row_14_a_message_that_ended_before_counts_no_items(decode: Decode) -> None:
    row = Input(plain_value([event_text(timestamp="1")]), session_id_header="other")
    batch = decode([row])
    assert (batch.far_items, batch.rows[0].far_timestamps) == (0, None)


def test_row_14_of_several_arrays_of_items_the_last_counts(decode: Decode) -> None:
    far = event_text(timestamp="1")
    batch = decode([Input(plain_value(f'[{far}],"$snapshot_items":[{EVENT}]'))])
    assert (batch.far_items, batch.rows[0].far_timestamps, batch.rows[0].events) == (0, None, [EVENT])


def test_row_14_the_limit_is_a_setting(decode: Decode) -> None:
    rows = [Input(plain_value([event_text(timestamp=str(NOW_MS - ago))])) for ago in (0, 999, 1_000)]
    batch = decode(rows, max_timestamp_diff_ms=1_000)
    assert [row.end for row in batch.rows] == [OK, OK, TOO_FAR]


def test_row_14_fraction_of_a_millisecond(decode: Decode) -> None:
    rows = [Input(plain_value([event_text(timestamp=f"{NOW_MS - 1_000}.{part}")])) for part in ("5", "0")]
    batch = decode(rows, max_timestamp_diff_ms=1_000)
    assert [row.end for row in batch.rows] == [OK, TOO_FAR]


def test_row_14_left_out_items_do_not_count(decode: Decode) -> None:
    value = plain_value([event_text(timestamp="9e15"), EVENT, event_text(timestamp="-1")])
    assert accepted(decode, value).timestamps == (NOW_MS, NOW_MS)


def test_row_14_message_of_1970(decode: Decode) -> None:
    row = Input(plain_value([event_text(timestamp="1")]), timestamp_ms=0)
    assert accepted(decode, row).timestamps == (1, 1)


# all else


def test_row_15_all_else_is_ok(decode: Decode) -> None:
    events = [event_text(timestamp=str(NOW_MS + later), data=f'{{"source":{later}}}') for later in (5, 1, 9, 3)]
    outcome = accepted(decode, Input(plain_value(events), None, "session-1", "user-1"))
    assert outcome == Outcome(
        *OK,
        session_id="session-1",
        distinct_id="user-1",
        lines=tuple(Line("window-1", event) for event in events),
        timestamps=(NOW_MS + 1, NOW_MS + 9),
    )


# the order of the rows


def _with_faults(*faults: str) -> Input:
    """A message with several faults."""
    items = {
        "no-valid-events": ["{}"],
        "timestamp-diff": [event_text(timestamp="1")],
    }
    chosen = next((items[fault] for fault in items if fault in faults), [EVENT])
    data = data_text(chosen, body={"event": '"$pageview"'} if "non-snapshot" in faults else None)
    distinct_id = "null" if "invalid-payload" in faults else f'"{"x" * 1025}"' if "too-long" in faults else '"user-1"'
    plain = envelope_text(data, {"distinct_id": distinct_id})
    if "invalid-json" in faults:
        plain += "}"
    if "too-large" in faults:
        plain += " " * 10_000
    value = gzip_value(plain.encode())
    return Input(
        value[:-9] if "corrupt" in faults else value,
        session_id_header="other" if "session-id" in faults else "session-1",
        distinct_id_header="other" if "distinct-id" in faults else "user-1",
        timestamp_ms=-1 if "no-timestamp" in faults else NOW_MS,
    )


FAULTS = {
    "no-timestamp": dlq(Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY),
    "corrupt": dlq(Reason.INVALID_COMPRESSED_DATA),
    "too-large": dlq(Reason.PAYLOAD_TOO_LARGE),
    "invalid-json": dlq(Reason.INVALID_JSON),
    "invalid-payload": dlq(Reason.INVALID_MESSAGE_PAYLOAD),
    "non-snapshot": dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE),
    "too-long": dlq(Reason.ID_TOO_LONG),
    "session-id": dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH),
    "distinct-id": dlq(Reason.DISTINCT_ID_HEADER_BODY_MISMATCH),
    "no-valid-events": drop(Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS),
    "timestamp-diff": drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE),
}
IMPOSSIBLE = {("corrupt", "too-large"), ("no-valid-events", "timestamp-diff")}
"""Pairs that a message can't have, or whose first reason is out of sight for a decoder that stops at the cap."""


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in itertools.combinations_with_replacement(FAULTS, 2) if pair not in IMPOSSIBLE],
)
def test_the_first_row_that_applies_ends_the_message(decode: Decode, first: str, second: str) -> None:
    [outcome] = decode([_with_faults(first, second)], max_decompressed_bytes=5_000).rows
    assert outcome.end == FAULTS[first]


def test_a_syntax_error_comes_before_all_a_text_says(decode: Decode) -> None:
    """Each text must be JSON as a whole before its values are checked."""
    assert decode_one(decode, b'{"distinct_id":null,"data":1').end == dlq(Reason.INVALID_JSON)
    assert decode_one(decode, b"[] x").end == dlq(Reason.INVALID_JSON)
    row = Input(envelope_text(data_text() + "x").encode(), session_id_header="other")
    assert decode_one(decode, row).end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


def test_rows_of_a_batch_end_each_for_itself(decode: Decode) -> None:
    rows = [_with_faults(fault) for fault in FAULTS] + [_with_faults()]
    batch = decode(rows, max_decompressed_bytes=5_000)
    assert [row.end for row in batch.rows] == [*FAULTS.values(), OK]
    assert batch.rows[-1].events == [EVENT]


def test_the_envelope_object_builder_is_not_the_decoder() -> None:
    """The texts that tests build are the same as json.dumps writes."""
    assert json.loads(gzip.decompress(_with_faults().value or b""))["distinct_id"] == "user-1"
    assert json.loads(object_text({"a": "1"}, {"a": None, "b": "[]"})) == {"b": []}
