"""What must be accepted and come out as the same JSON value: white space, byte order marks, nesting."""

import json
import re
from collections.abc import Callable

import pytest

from recording_worker.outcome import Reason
from tests.contract.ends import OK, accepted, dlq, untouched
from tests.decoders import Decode
from tests.inputs import (
    EVENT,
    Input,
    data_text,
    envelope_text,
    event_text,
    gzip_value,
    plain_value,
)
from tests.reference import jsontext

# white space and byte order marks

SPACE = " \t\r\n \n\n\t"


def _spaced(text: str, space: str) -> str:
    """Return the text with white space around each token."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\[\]{}:,"]+', text)
    return space + space.join(tokens) + space


@pytest.mark.parametrize("space", [" ", "\t", "  \t \t ", " " * 100], ids=repr)
def test_white_space_without_line_breaks_is_kept_in_events(decode: Decode, space: str) -> None:
    event = event_text('{"source":2,"type":2,"x":["a b",{"\\" c":null}]}')
    data = _spaced(data_text([event, event]), space)
    outcome = accepted(decode, _spaced(envelope_text(data), space).encode())
    assert outcome.events == [_spaced(event, space).strip()] * 2


@pytest.mark.parametrize("space", ["\n", "\r\n", "\r", SPACE, "\n" * 100], ids=repr)
def test_event_with_line_breaks_is_compacted(decode: Decode, space: str) -> None:
    event = event_text('{"source":2,"type":2,"x":["a  b\\n",{"\\" c":null},[],{}, true ,-0.50e+1]}')
    data = _spaced(data_text([event, event]), space)
    batch = decode([Input(_spaced(envelope_text(data), space).encode())])
    assert len(batch.rows[0].lines) == 2
    for text in batch.rows[0].events:
        assert "\n" not in text
        assert jsontext.compact(text) == jsontext.compact(event)
    assert batch.blocks["session-1"].click_count == 2


def test_only_the_event_with_line_breaks_is_compacted(decode: Decode) -> None:
    spaced = event_text('{ "source" : 1 }')
    outcome = accepted(decode, plain_value(f"[\n{EVENT}\n,\r\n {spaced} \n,\n{{\n{spaced[1:]}\n]"))
    assert outcome.events[:2] == [EVENT, spaced]
    assert "\n" not in outcome.events[2]
    assert jsontext.compact(outcome.events[2]) == jsontext.compact(spaced)


def test_line_break_characters_in_strings_are_no_line_breaks(decode: Decode) -> None:
    untouched(decode, event_text('"\u2028\u2029\x85 \\n \\r \\u000a"'))


def test_line_break_beside_escaped_quotes_and_backslashes(decode: Decode) -> None:
    strings = ['"\\\\"', '"\\""', '"a\\\\\\" , : [ ] { }  b"', '" \\\\\\\\ "', '"  "', '""']
    event = event_text(f"[\n{' , '.join(strings)}\r\n]")
    [text] = accepted(decode, plain_value([event])).events
    assert "\n" not in text
    assert jsontext.compact(text) == jsontext.compact(event)


@pytest.mark.parametrize("space", ["", " ", "\n\t"], ids=repr)
@pytest.mark.parametrize("encode", [bytes, gzip_value], ids=["plain", "gzip"])
def test_byte_order_mark_at_the_start_of_the_message(decode: Decode, encode: type[bytes], space: str) -> None:
    value = encode(b"\xef\xbb\xbf" + space.encode() + plain_value())
    assert accepted(decode, value).events == [EVENT]


@pytest.mark.parametrize("bom", ["\ufeff", "\\ufeff", "\\uFEFF"], ids=["raw", "escaped", "escaped-upper"])
def test_byte_order_mark_at_the_start_of_data(decode: Decode, bom: str) -> None:
    string = json.dumps(data_text())
    value = plain_value(envelope={"data": '"' + bom + string[1:]})
    assert accepted(decode, value).events == [EVENT]


def test_byte_order_marks_in_strings_are_kept(decode: Decode) -> None:
    untouched(decode, event_text('"\ufeff"'), event_text('"\\ufeff"'))


# nesting


def _nested(depth: int, around: str = "1") -> str:
    """Return `around` inside `depth` objects and arrays in turn. The outermost is an object."""
    opening = "".join('{"a":' if level % 2 == 0 else "[" for level in range(depth))
    closing = "".join("}" if level % 2 == 0 else "]" for level in reversed(range(depth)))
    return opening + around + closing


@pytest.mark.parametrize("depth", [100, 1_023, 1_024, 1_025, 2_048, 4_095])
def test_nesting_of_an_event(decode: Decode, depth: int) -> None:
    untouched(decode, event_text(_nested(depth)), EVENT)
    untouched(decode, EVENT, event_text("[" * depth + "]" * depth))
    untouched(decode, event_text("1", x='{"x":' * depth + "{}" + "}" * depth))


def test_nesting_of_an_event_with_line_breaks(decode: Decode) -> None:
    event = event_text(_nested(4_095))
    [text] = accepted(decode, plain_value([event.replace("[", "[\n")])).events
    assert "\n" not in text
    assert jsontext.compact(text) == event


@pytest.mark.parametrize("depth", [1_024, 4_096])
def test_nesting_where_nothing_is_read(decode: Decode, depth: int) -> None:
    deep = _nested(depth)
    for value in (
        plain_value(envelope={"x": deep}),
        plain_value(body={"x": deep}),
        plain_value(properties={"x": deep}),
        plain_value(properties={"x": deep}, body={"x": deep}, envelope={"x": deep}),
    ):
        assert accepted(decode, value).events == [EVENT]


def test_nesting_is_counted_by_what_is_open_at_once(decode: Decode) -> None:
    deep = _nested(3_000)
    untouched(decode, event_text(f"[{deep},{deep}]"), event_text(deep), event_text(f"[{','.join(['[]'] * 10_000)}]"))


def test_brackets_in_strings_do_not_nest(decode: Decode) -> None:
    untouched(decode, event_text('"' + '[{\\"' * 20_000 + '"'))


@pytest.mark.parametrize("depth", [jsontext.MAX_DEPTH + 1, 8_192, 100_000, 300_000])
def test_deeper_nesting_is_invalid_json(decode: Decode, depth: int) -> None:
    deep = {"arrays": "[" * depth + "]" * depth, "objects": '{"a":' * depth + "1" + "}" * depth, "both": _nested(depth)}
    rows = []
    for text in deep.values():
        rows.append(text.encode())
        rows.append(plain_value(envelope={"x": text}))
        rows.append(envelope_text(text).encode())
        rows.append(plain_value(body={"x": text}))
        rows.append(plain_value(properties={"x": text}))
        rows.append(plain_value([EVENT, event_text(text)]))
        rows.append(plain_value([text]))
    batch = decode([Input(value) for value in rows])
    assert [row.end for row in batch.rows] == [dlq(Reason.INVALID_JSON)] * len(rows)


PLACES: dict[str, tuple[int, Callable[[str], bytes]]] = {
    "envelope": (1, lambda deep: plain_value(envelope={"x": deep})),
    "body": (1, lambda deep: plain_value(body={"x": deep})),
    "properties": (2, lambda deep: plain_value(properties={"x": deep})),
    "item": (3, lambda deep: plain_value([deep, EVENT])),
    "event": (4, lambda deep: plain_value([event_text("1", x=deep)])),
    "type": (4, lambda deep: plain_value([event_text("1", type=deep)])),
    "data": (4, lambda deep: plain_value([event_text(deep)])),
    "href": (5, lambda deep: plain_value([event_text(f'{{"href":{deep}}}')])),
    "source": (5, lambda deep: plain_value([event_text(f'{{"source":{deep}}}')])),
    "member of data": (5, lambda deep: plain_value([event_text(f'{{"x":{deep}}}')])),
    "element of payload": (6, lambda deep: plain_value([event_text(f'{{"payload":[{deep}]}}')])),
    "member of payload": (6, lambda deep: plain_value([event_text(f'{{"payload":{{"x":{deep}}}}}')])),
    "console string": (7, lambda deep: plain_value([event_text(f'{{"payload":{{"payload":[{deep}]}}}}')])),
}
"""The number of arrays and objects around a value, and a message with that value."""


@pytest.mark.parametrize("place", PLACES)
def test_the_limit_of_nesting_is_the_same_everywhere(decode: Decode, place: str) -> None:
    """4,128 arrays and objects may be open at once, wherever in the two texts they are."""
    around, message = PLACES[place]
    rows = [
        Input(message("[" * depth + "]" * depth)) for depth in (jsontext.MAX_DEPTH - around + more for more in (0, 1))
    ]
    assert [row.end for row in decode(rows).rows] == [OK, dlq(Reason.INVALID_JSON)]


def test_nesting_that_never_closes(decode: Decode) -> None:
    rows = [b"[" * 1_000_000, b'{"a":' * 1_000_000, envelope_text("[" * 1_000_000).encode()]
    batch = decode([Input(value) for value in rows])
    assert [row.end for row in batch.rows] == [dlq(Reason.INVALID_JSON)] * 3
