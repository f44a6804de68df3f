"""What must be accepted and come out as the same JSON value: numbers, escapes, unknown keys, data of any kind."""

import json

import pytest

from recording_worker.outcome import Reason
from tests.builders import NOW_MS
from tests.contract.ends import OK, accepted, dlq, untouched
from tests.decoders import Decode
from tests.inputs import (
    EVENT,
    Input,
    data_text,
    event_text,
    lz4_value,
    plain_value,
)
from tests.reference import jsontext

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
    "nul-many": r"\u0000" * 200,
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
    assert batch.rows[0].end == OK
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
        (r"\udbff", "\ufffd"),
        (r"\udc00", "\ufffd"),
        (r"\uDFFF", "\ufffd"),
        (r"\ud7ff\ue000", "\ud7ff\ue000"),
        (r"\ud800\udc00\udbff\udfff", "\U00010000\U0010ffff"),
        (r"\ud800\udbff", "\ufffd\ufffd"),
        (r"\udc00\udc00", "\ufffd\ufffd"),
        (r"\ud800\ue000", "\ufffd\ue000"),
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
    """The envelope's string after unescaping has U+FFFD for a lone surrogate."""
    value = plain_value([event_text('"HERE"')]).replace(b"HERE", escapes.encode())
    [outcome] = decode([Input(value)]).rows
    if text is None:  # then the text of data is no JSON: a raw line break, or a backslash before U+FFFD
        assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)
    else:
        assert outcome.events == [event_text(f'"{text}"')]


def test_surrogate_halves_in_both_texts_make_no_pair(decode: Decode) -> None:
    """One half escaped in `data`, the other directly in the envelope: the second becomes U+FFFD."""
    value = plain_value([event_text('"HERE"')]).replace(b"HERE", rb"\\ud83d\ude00 \ud83d\\ude00")
    assert accepted(decode, value).events == [event_text('"\\ud83d\ufffd \ufffd\\ude00"')]


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
