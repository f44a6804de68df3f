"""What must be accepted and come out as the same JSON value: keys with escapes, in any order, repeated."""

import itertools
import json

import pytest

from recording_worker.outcome import Reason
from tests.builders import NOW_MS
from tests.contract.ends import OK, accepted, dlq
from tests.decoders import Decode, Line
from tests.inputs import (
    EVENT,
    PROPERTIES,
    Input,
    data_text,
    envelope_text,
    event_text,
    object_text,
    pairs_text,
    plain_value,
)

# keys


def _escape_key(text: str, key: str, style: int) -> str:
    """The text with some characters of a key escaped."""
    escaped = "".join(
        f"\\u{ord(character):04x}" if index % style == 0 else character for index, character in enumerate(key)
    )
    return text.replace(f'"{key}"', f'"{escaped}"')


@pytest.mark.parametrize("style", [1, 2, 3])
@pytest.mark.parametrize("key", ["event", "properties", "$session_id", "$window_id", "$snapshot_items", "timestamp"])
def test_keys_of_data_written_with_escapes(decode: Decode, key: str, style: int) -> None:
    data = _escape_key(data_text(), key, style)
    assert data != data_text()
    outcome = accepted(decode, envelope_text(data).encode())
    assert outcome.session_id == "session-1"
    assert outcome.timestamps == (NOW_MS, NOW_MS)
    assert outcome.lines[0].window_id == "window-1"


@pytest.mark.parametrize("key", ["distinct_id", "data"])
def test_keys_of_the_envelope_written_with_escapes(decode: Decode, key: str) -> None:
    outcome = accepted(decode, _escape_key(plain_value().decode(), key, 2).encode())
    assert (outcome.distinct_id, outcome.events) == ("user-1", [EVENT])


@pytest.mark.parametrize("style", [1, 2])
@pytest.mark.parametrize("key", ["$window_id", "$snapshot_source", "$lib"])
def test_escaped_key_of_a_property_that_is_no_string(decode: Decode, key: str, style: int) -> None:
    data = _escape_key(data_text(properties={key: "1"}), key, style)
    [outcome] = decode([Input(envelope_text(data).encode())]).rows
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize(
    "key",
    [
        "timestam",
        "timestamp ",
        "Timestamp",
        r"timestamp\u0000",
        r"timestam\\u0070",
        "timestamps",
        "\u0174imestamp",
        r"\u0174imestamp",
        r"\u0174\u0069mestamp",
    ],
)
def test_keys_almost_alike_are_others(decode: Decode, key: str) -> None:
    batch = decode([Input(plain_value([EVENT, EVENT.replace("timestamp", key)]))])
    assert batch.rows[0].events == [EVENT]
    assert batch.invalid_items == 1


def test_keys_in_any_order(decode: Decode) -> None:
    everything = {**PROPERTIES, "$snapshot_items": f"[{EVENT}]"}
    for keys in itertools.permutations(everything):
        properties = object_text({key: everything[key] for key in keys})
        for data in (
            f'{{"event":"$snapshot_items","properties":{properties}}}',
            f'{{"properties":{properties},"event":"$snapshot_items"}}',
        ):
            for value in (
                f'{{"data":{json.dumps(data)},"distinct_id":"user-1"}}',
                f'{{"distinct_id":"user-1","data":{json.dumps(data)}}}',
            ):
                outcome = accepted(decode, value.encode())
                assert outcome.events == [EVENT]
                assert (outcome.session_id, outcome.lines[0].window_id) == ("session-1", "window-1")


# duplicate keys


def test_duplicate_keys_of_the_envelope_the_last_counts(decode: Decode) -> None:
    data, other = json.dumps(data_text()), json.dumps(data_text([event_text('"other"')]))
    for first in (other, "null", "1", '"not JSON"', '"{}"'):
        text = pairs_text(("data", first), ("distinct_id", "0"), ("data", data), ("distinct_id", '"u"'))
        outcome = accepted(decode, text.encode())
        assert (outcome.distinct_id, outcome.events) == ("u", [EVENT])


@pytest.mark.parametrize(
    ("key", "last", "reason"),
    [
        ("data", "null", Reason.INVALID_MESSAGE_PAYLOAD),
        ("data", '"{}"', Reason.RECEIVED_NON_SNAPSHOT_MESSAGE),
        ("distinct_id", "1", Reason.INVALID_MESSAGE_PAYLOAD),
    ],
)
def test_duplicate_keys_of_the_envelope_last_not_usable(decode: Decode, key: str, last: str, reason: Reason) -> None:
    [outcome] = decode([Input(f'{plain_value().decode()[:-1]},"{key}":{last}}}'.encode())]).rows
    assert outcome.end == dlq(reason)


def _with_properties(*pairs: tuple[str, str]) -> Input:
    """A message with exactly these properties, in this order."""
    return Input(envelope_text(pairs_text(("event", '"$snapshot_items"'), ("properties", pairs_text(*pairs)))).encode())


EVERYTHING = {**PROPERTIES, "$snapshot_items": f"[{EVENT}]"}


@pytest.mark.parametrize("escape", [False, True], ids=["alike", "second-escaped"])
def test_duplicate_keys_of_the_properties_the_last_counts(decode: Decode, escape: bool) -> None:
    first = dict.fromkeys(PROPERTIES, '"one"') | {"$snapshot_items": "[{},{},1]"}
    last = {key: f'"{key}"' for key in PROPERTIES} | {"$snapshot_items": f"[{EVENT}]"}
    row = _with_properties(*first.items(), *last.items())
    if escape:
        head, _, tail = (row.value or b"").decode().rpartition(r"\"$session_id\":")
        row = Input(f'{head}\\"\\\\u0024session_\\\\u0069d\\":{tail}'.encode())
    batch = decode([row])
    assert batch.rows[0].session_id == "$session_id"
    assert batch.rows[0].lines == (Line("$window_id", EVENT),)
    block = batch.blocks["$session_id"]
    assert (block.snapshot_source, block.snapshot_library) == ("$snapshot_source", "$lib")
    assert batch.invalid_items == 0


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("$session_id", '""'),
        ("$session_id", "null"),
        ("$window_id", "null"),
        ("$snapshot_source", "1"),
        ("$lib", "[]"),
        ("$snapshot_items", "null"),
    ],
)
def test_duplicate_keys_of_the_properties_one_not_usable(decode: Decode, key: str, text: str) -> None:
    last = _with_properties(*EVERYTHING.items(), (key, text))
    first = _with_properties((key, text), *EVERYTHING.items())
    batch = decode([last, first])
    assert batch.rows[0].end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)
    assert batch.rows[1].end == OK
    assert batch.rows[1].lines == (Line("window-1", EVENT),)


def test_duplicate_properties_nothing_is_left_of_the_first(decode: Decode) -> None:
    other = object_text({"$session_id": '"s2"', "$snapshot_items": f"[{EVENT},{EVENT}]"})
    good = data_text()
    outcome = accepted(decode, envelope_text(f'{good[:-1]},"properties":{other}}}').encode())
    assert (outcome.session_id, outcome.lines) == ("s2", (Line("", EVENT), Line("", EVENT)))
    outcome = accepted(decode, envelope_text(f'{{"event":1,"properties":{other},{good[1:]}').encode())
    assert (outcome.session_id, outcome.lines) == ("session-1", (Line("window-1", EVENT),))


@pytest.mark.parametrize("member", ['"event":"$pageview"', '"event":null', '"properties":{}', '"properties":null'])
def test_duplicate_keys_of_data_last_not_usable(decode: Decode, member: str) -> None:
    [outcome] = decode([Input(envelope_text(f"{data_text()[:-1]},{member}}}").encode())]).rows
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


def test_duplicate_keys_of_an_event_the_last_counts_and_all_are_passed_on(decode: Decode) -> None:
    later = NOW_MS + 5
    events = [
        f'{{"timestamp":1,"type":5,"timestamp":"x","data":1,"timestamp":{later},"type":3,"data":{{"source":2,"source":5}}}}',
        f'{{"timestamp":null,"\\u0074imestamp":{later}}}',
        f'{{"\\u0074imestamp":-1,"timestamp":{later}}}',
    ]
    batch = decode([Input(plain_value(events))])
    assert batch.rows[0].events == events
    assert batch.rows[0].timestamps == (later, later)
    assert batch.blocks["session-1"].keypress_count == 1
    assert batch.blocks["session-1"].mouse_activity_count == 0
