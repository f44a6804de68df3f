"""The contract of items: rows 12 to 14, in their order. Other rows are in test_decode_contract.py."""

import pytest

from recording_worker.outcome import Reason
from tests.builders import NOW_MS
from tests.contract.ends import OK, accepted, decode_one, drop
from tests.decoders import Decode
from tests.inputs import (
    EVENT,
    Input,
    event_text,
    plain_value,
)

DAY_MS = 24 * 60 * 60 * 1000

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
