"""What must be accepted, and come out as the same JSON value: one section a point of the contract's list."""

import itertools
import json
import re

import pytest

from recording_worker.batch import Disposition
from recording_worker.reasons import Reason
from tests.builders import NOW_MS
from tests.decoders import Decode, Line, Outcome
from tests.inputs import (
    EVENT,
    PROPERTIES,
    Input,
    data_text,
    envelope_text,
    event_text,
    gzip_value,
    lz4_value,
    object_text,
    pairs_text,
    plain_value,
)
from tests.reference import jsontext


def accepted(decode: Decode, value: bytes) -> Outcome:
    [outcome] = decode([Input(value)]).rows
    assert outcome.end == (Disposition.OK, Reason.NONE)
    return outcome


def untouched(decode: Decode, *events: str) -> None:
    """The events come out byte for byte."""
    assert accepted(decode, plain_value(events)).events == list(events)


# numbers

NUMBERS = [
    "0", "-0", "-0.0", "0e0", "0E+0", "-0e-0", "1", "-1", "10", "1.0", "1.50", "0.1", "1e5", "1E5", "1e+5", "1e-5",
    "1e05", "1.5e300", "1e999", "-1e999", "1e-999", "1e99999999999999999999999", "1e-99999999999999999999999",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "1" + 30 * "0", "9" * 400, "-" + "9" * 5_000, "0." + "1" * 5_000,
    "1." + "0" * 5_000 + "e-5000", "1e" + "0" * 1_000 + "1", "2.2250738585072011e-308", "1.7976931348623159e308",
    "4.9e-324", "123456789.123456789123456789e-10",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:24])
def test_numbers_come_out_as_they_were(decode: Decode, number: str) -> None:
    untouched(
        decode,
        event_text(number),
        event_text(f"[{number},{number}]"),
        event_text(f'{{"source":{number},"type":{number},"x":[{number}]}}'),
        event_text(type=number),
        event_text(x=number),
    )


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:24])
def test_numbers_may_stand_in_what_is_not_read(decode: Decode, number: str) -> None:
    value = plain_value(properties={"x": number}, body={"x": f"[{number}]"}, envelope={"x": f"[{number},{number}]"})
    assert accepted(decode, value).events == [EVENT]


def test_timestamps_with_a_fraction(decode: Decode) -> None:
    events = [event_text(timestamp=f"{NOW_MS}.{part}") for part in ("25", "0", "750")]
    outcome = accepted(decode, plain_value(events))
    assert outcome.events == events
    assert outcome.timestamps == (NOW_MS, NOW_MS + 0.75)


# escapes

ESCAPES = {
    "short": r"\" \\ \/ \b \f \n \r \t",
    "nul": r"\u0000",
    "nul-many": r"\u0000" * 1_000,
    "control": r"\u0001\u001f\u007f\u0080\u009f",
    "two-bytes": r"\u00e9\u07ff",
    "three-bytes": r"\u0800\uffff\ufffd\ufffe\u2028\u2029\ufeff",
    "pair": r"\ud83d\ude00\ud800\udc00\udbff\udfff",
    "lower-hex": r"\u00ab\u00cd\u00ef",
    "upper-hex": r"\u00AB\u00CD\u00EF\uD83D\uDE00",
    "mixed-hex": r"\u00Ab\u00cD\uD83d\udE00",
    "ascii-escaped": r"\u0061\u0022\u005c\u005C\u002f",
    "backslashes": "\\\\" * 100,
    "backslashes-and-quote": "\\\\" * 7 + '\\"' + "\\\\" * 8,
    "lone-high": r"\ud800",
    "lone-low": r"\udc00",
    "lone-high-then-text": r"\ud83dx",
    "lone-high-then-escape": r"\ud83d\n",
    "lone-high-then-bmp": r"\ud83d\u0041",
    "lone-high-then-high": r"\ud83d\ud83d\ude00",
    "lone-pair-reversed": r"\ude00\ud83d",
    "lone-high-then-backslash": r"\ud83d\\ude00",
    "lone-high-at-the-ends": r"\udbff middle \udbff",
    "gzip-as-string": r"\u001f\u008b\b\u0000\u0000\u0000\u0000\u0000\u0000\u0003",
    "raw-not-ascii": "é ü 漢字 😀 \u2028\u2029 \ufeff \x7f \x85 \ufffd \U0010ffff",
}


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_come_out_as_they_were(decode: Decode, name: str) -> None:
    string = f'"{ESCAPES[name]}"'
    untouched(
        decode,
        event_text(string),
        event_text(f'{{"href":{string},"tag":{string},"plugin":{string},"payload":{{"href":{string}}}}}'),
        event_text(f"[{string},{string}]", type="6"),
        event_text(f'{{{string}:{string},"k":{string}}}', type=string),
        event_text(x=string),
        EVENT[:-1] + f",{string}:{string}}}",
    )


@pytest.mark.parametrize("escape_more", [False, True], ids=["as-python-writes", "all-escaped"])
@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_however_the_envelope_is_written(decode: Decode, name: str, escape_more: bool) -> None:
    """`data` is one JSON string: it can carry raw UTF-8, or escape any of its characters."""
    event = event_text(f'"{ESCAPES[name]}"')
    data = data_text([event])
    if escape_more:
        units = data.encode("utf-16-be").hex()
        string = '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'
    else:
        string = json.dumps(data, ensure_ascii=False)
    assert accepted(decode, plain_value(envelope={"data": string})).events == [event]


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_may_stand_in_the_envelope(decode: Decode, name: str) -> None:
    string = f'"{ESCAPES[name]}"'
    value = plain_value(envelope={"ip": string, "x": f"{{{string}:[{string}]}}"})
    assert accepted(decode, value).events == [EVENT]


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_in_what_is_read(decode: Decode, name: str) -> None:
    string = f'"{ESCAPES[name]}"'
    parsed = jsontext.parse(string)
    assert isinstance(parsed, str)
    text = jsontext.replace_surrogates(parsed)
    properties = dict.fromkeys(("$session_id", "$window_id", "$snapshot_source", "$lib"), string)
    batch = decode([Input(plain_value(properties=properties, envelope={"distinct_id": string}))])
    assert batch.rows[0].end == (Disposition.OK, Reason.NONE)
    assert (batch.rows[0].session_id, batch.rows[0].distinct_id) == (text, text)
    assert [line.window_id for line in batch.rows[0].lines] == [text]
    block = batch.blocks[text]
    assert (block.distinct_id, block.snapshot_source, block.snapshot_library) == (text, text[:1_000], text)


# lone surrogates


@pytest.mark.parametrize("surrogate", [r"\ud800", r"\udbff", r"\udc00", r"\uDFFF"])
def test_lone_surrogate_in_data_is_kept(decode: Decode, surrogate: str) -> None:
    untouched(decode, event_text(f'"a{surrogate}b"'), event_text(f'{{"{surrogate}":"{surrogate}"}}'))


@pytest.mark.parametrize(
    ("escapes", "text"),
    [
        (r"\ud800", "\ufffd"),
        (r"\udc00", "\ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83dx\ude00", "\ufffdx\ufffd"),
        (r"\ud83d\n", None),
        (r"\ud83d\\n", "\ufffd\\n"),
        (r"\ud83d\\ude00", "\ufffd\\ude00"),
        (r"\ud83d\\\ude00", None),
        (r"\ud83d\ude00", "😀"),
    ],
)
def test_lone_surrogate_directly_in_the_envelope_is_replaced(decode: Decode, escapes: str, text: str | None) -> None:
    """What the envelope's string holds once unescaped, with U+FFFD for what is no character."""
    value = plain_value([event_text('"HERE"')]).replace(b"HERE", escapes.encode())
    [outcome] = decode([Input(value)]).rows
    if text is None:  # then the text of data is no JSON: a raw line break, or a backslash before U+FFFD
        assert outcome.end == (Disposition.DLQ, Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)
    else:
        assert outcome.events == [event_text(f'"{text}"')]


def test_surrogate_halves_in_both_texts_make_no_pair(decode: Decode) -> None:
    """One half escaped in `data`, the other directly in the envelope: the second becomes U+FFFD."""
    value = plain_value([event_text('"HERE"')]).replace(b"HERE", rb"\\ud83d\ude00 \ud83d\\ude00")
    assert accepted(decode, value).events == [event_text('"\\ud83d\ufffd \ufffd\\ude00"')]


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


@pytest.mark.parametrize("key", ["$window_id", "$snapshot_source", "$lib"])
def test_escaped_key_of_a_property_that_is_no_string(decode: Decode, key: str) -> None:
    data = _escape_key(data_text(properties={key: "1"}), key, 2)
    [outcome] = decode([Input(envelope_text(data).encode())]).rows
    assert outcome.end == (Disposition.DLQ, Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize(
    "key", ["timestam", "timestamp ", "Timestamp", r"timestamp\u0000", r"timestam\\u0070", "timestamps"]
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
    assert outcome.end == (Disposition.DLQ, reason)


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
    assert batch.rows[0].end == (Disposition.DLQ, Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)
    assert batch.rows[1].end == (Disposition.OK, Reason.NONE)
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
    assert outcome.end == (Disposition.DLQ, Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


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


# white space and byte order marks

SPACE = " \t\r\n \n\n\t"


def _spaced(text: str, space: str) -> str:
    """The text with white space around each token."""
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
    """`around` inside `depth` arrays and objects, turn about, an object outermost."""
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


@pytest.mark.parametrize("depth", [jsontext.MAX_DEPTH + 1, 8_192, 100_000, 1_000_000])
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
    assert [row.end for row in batch.rows] == [(Disposition.DLQ, Reason.INVALID_JSON)] * len(rows)


def test_the_limit_of_nesting_is_the_same_in_both_texts(decode: Decode) -> None:
    """4,128 arrays and objects may be open at once: 1 around a member of the envelope, 4 around an event's data."""
    limit = jsontext.MAX_DEPTH
    fits = [plain_value(envelope={"x": _nested(limit - 1)}), plain_value([event_text(_nested(limit - 4))])]
    over = [plain_value(envelope={"x": _nested(limit)}), plain_value([event_text(_nested(limit - 3))])]
    batch = decode([Input(value) for value in fits + over])
    ok, invalid = (Disposition.OK, Reason.NONE), (Disposition.DLQ, Reason.INVALID_JSON)
    assert [row.end for row in batch.rows] == [ok, ok, invalid, invalid]


def test_nesting_that_never_closes(decode: Decode) -> None:
    rows = [b"[" * 1_000_000, b'{"a":' * 1_000_000, envelope_text("[" * 1_000_000).encode()]
    batch = decode([Input(value) for value in rows])
    assert [row.end for row in batch.rows] == [(Disposition.DLQ, Reason.INVALID_JSON)] * 3


# unknown keys, and data of any kind


def test_unknown_keys_at_every_level(decode: Decode) -> None:
    unknown = '{"a":[null,true,false,0,"x",{"timestamp":"no","$session_id":1,"data":null}],"":{}}'
    event = event_text(f'{{"source":1,"unknown":{unknown}}}', unknown=unknown, delay=unknown)
    members = {"unknown": unknown, "": unknown, "timestamp": unknown, "type": unknown}
    outcome = accepted(
        decode, plain_value([event], members, members, {**members, "event": unknown, "properties": unknown})
    )
    assert outcome.events == [event]


@pytest.mark.parametrize(
    "data",
    [None, "null", "true", "0", "-1.5e300", '""', '"\\u001f\\u008b\\b\\u0000"', "[]", "[1,[2,{}]]", "{}", '{"a":1}'],
    ids=str,
)
@pytest.mark.parametrize(
    "event_type", [None, "2", "3", "4", "5", "6", "99", "-1", "3.5", "null", '"3"', "[]", "{}"], ids=str
)
def test_data_and_type_of_an_event_may_be_anything(decode: Decode, data: str | None, event_type: str | None) -> None:
    untouched(decode, event_text(data, type=event_type), event_text(data, type=event_type, cv='"2024-10"'))


def test_event_packed_by_the_client(decode: Decode) -> None:
    packed = '"\\u001f\\u008b\\b\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0003\\u00ab\\u0056\x7f\u0080ÿ"'
    events = [
        event_text(packed, type="2", cv='"2024-10"'),
        event_text(f'{{"source":0,"texts":{packed},"attributes":{packed},"removes":{packed}}}', cv='"2024-10"'),
    ]
    batch = decode([Input(lz4_value(plain_value(events)), "lz4")])
    assert batch.rows[0].events == events
    assert batch.blocks["session-1"].has_full_snapshot


def test_an_event_may_be_nothing_but_a_timestamp(decode: Decode) -> None:
    untouched(decode, f'{{"timestamp":{NOW_MS}}}', f'{{ "timestamp" : {NOW_MS} }}')
