"""Packed events (`"cv": "2024-10"`), written unpacked if that is wanted."""

import json

import pytest

from recording_worker.outcome import Disposition
from tests.contract.ends import OK
from tests.decoders import BatchOutcome, Decode, assert_same, decode_native, decode_reference
from tests.inputs import EVENT, Input, event_text, gzip_member, gzip_value, input_of, plain_value
from tests.reference import jsontext
from tests.sample import sample_messages

CV = '"2024-10"'


def packed(plain: str | bytes) -> str:
    """Return a field's JSON as the client packs it: the text of a JSON string."""
    return packed_bytes(gzip_value(plain.encode() if isinstance(plain, str) else plain))


def packed_bytes(data: bytes) -> str:
    return json.dumps(data.decode("latin-1"), ensure_ascii=False)


def unpacked(decode: Decode, *events: str) -> BatchOutcome:
    """Decode a message of these events, with unpacking."""
    batch = decode([Input(plain_value(events))], unpack=True)
    assert batch.rows[0].end == OK
    return batch


def same(text: str, expected: str) -> bool:
    """Check that two texts have the same tokens, byte for byte."""
    return jsontext.compact(text) == jsontext.compact(expected)


PLAIN = [
    "{}",
    "[]",
    "null",
    "0",
    '"x"',
    '{"node":{"id":1,"childNodes":[{"a":"b"}]},"initialOffset":{"top":0}}',
    "[1,2.50,1e999]",
]


@pytest.mark.parametrize("plain", PLAIN)
def test_data_as_one_string(decode: Decode, plain: str) -> None:
    batch = unpacked(decode, event_text(packed(plain), type="2", cv=CV), EVENT)
    assert batch.rows[0].events == [event_text(plain, type="2"), EVENT]
    assert (batch.unpacked_events, batch.unpack_failures) == (1, 0)


@pytest.mark.parametrize("fields", [["texts"], ["adds"], ["texts", "attributes", "removes", "adds"]])
def test_fields_of_data_as_strings(decode: Decode, fields: list[str]) -> None:
    def event(pack: bool) -> str:
        members = ",".join(
            f'"{name}":{packed(plain) if pack else plain}' for name, plain in zip(fields, PLAIN, strict=False)
        )
        return event_text(f'{{"source":0,{members},"isAttachIframe":true}}', cv=CV if pack else None, delay="5")

    batch = unpacked(decode, event(True), event(True))
    assert batch.rows[0].events == [event(False)] * 2
    assert (batch.unpacked_events, batch.unpack_failures) == (2, 0)


def test_off_by_default(decode: Decode) -> None:
    event = event_text(packed("{}"), type="2", cv=CV)
    batch = decode([Input(plain_value([event]))])
    assert batch.rows[0].events == [event]
    assert (batch.unpacked_events, batch.unpack_failures) == (0, 0)


@pytest.mark.parametrize("members", [f'{{"cv":{CV},HERE}}', f'{{HERE,"cv":{CV}}}', f'{{"delay":1,"cv":{CV},HERE}}'])
def test_cv_is_left_out_wherever_it_stands(decode: Decode, members: str) -> None:
    inner = EVENT[1:-1].replace('{"source":1}', packed("[1]"))
    batch = unpacked(decode, members.replace("HERE", inner))
    expected = members.replace(f'"cv":{CV}', "").replace(",,", ",").replace("{,", "{").replace(",}", "}")
    assert batch.rows[0].events == [expected.replace("HERE", inner).replace(packed("[1]"), "[1]")]


@pytest.mark.parametrize("space", [" ", "\t", "\n", " \r\n\t"], ids=repr)
def test_white_space_around_members(decode: Decode, space: str) -> None:
    for members in (("cv", "timestamp", "data"), ("timestamp", "cv", "data"), ("data", "timestamp", "cv")):
        texts = {"cv": CV, "timestamp": "1795000000000", "data": packed('{"a":[1, 2]}')}
        event = (
            f"{{{space}"
            + f"{space},{space}".join(f'"{name}"{space}:{space}{texts[name]}' for name in members)
            + f"{space}}}"
        )
        [text] = unpacked(decode, event).rows[0].events
        assert "\n" not in text
        kept = ",".join(f'"{name}":{texts[name]}' for name in members if name != "cv")
        assert same(text, f"{{{kept}}}".replace(texts["data"], '{"a":[1, 2]}'))


def test_keys_and_version_written_with_escapes(decode: Decode) -> None:
    event = f'{{"\\u0063v":"2024\\u002d10","timestamp":1795000000000,"d\\u0061ta":{{"t\\u0065xts":{packed("[1]")}}}}}'
    [text] = unpacked(decode, event).rows[0].events
    assert text == '{"timestamp":1795000000000,"d\\u0061ta":{"t\\u0065xts":[1]}}'


def test_packed_strings_written_in_any_way(decode: Decode) -> None:
    data = gzip_value(b'{"a":"\xc3\xa9"}')
    ways = [
        json.dumps(data.decode("latin-1"), ensure_ascii=False),
        json.dumps(data.decode("latin-1")),
        '"' + "".join(f"\\u{byte:04X}" for byte in data) + '"',
        json.dumps(data.decode("latin-1")).replace("/", "\\/"),
    ]
    batch = unpacked(decode, *(event_text(way, cv=CV) for way in ways))
    assert batch.rows[0].events == [event_text('{"a":"é"}')] * len(ways)


def test_several_members_and_optional_fields_of_gzip(decode: Decode) -> None:
    data = gzip_member(b'{"a"', name=b"n", extra=b"e") + gzip_member(b":1}", comment=b"c", header_crc=True) + b"\0\0"
    assert unpacked(decode, event_text(packed_bytes(data), cv=CV)).rows[0].events == [event_text('{"a":1}')]


def test_unpacked_json_is_passed_on_as_it_was(decode: Decode) -> None:
    plain = '{"a":1.50,"a":1e999,"\\u0061":"\\ud83d \\u0000 \\/ é 😀","n":123456789012345678901234567890}'
    assert unpacked(decode, event_text(packed(plain), cv=CV)).rows[0].events == [event_text(plain)]


@pytest.mark.parametrize("space", ["\n", "\r\n", "\n\t "], ids=repr)
def test_line_breaks_in_what_was_packed_are_compacted(decode: Decode, space: str) -> None:
    plain = f'{space}{{{space}"a  b":{space}[1,{space}"\\" c \\\\"]}}{space}'
    [text] = unpacked(decode, event_text(packed(plain), cv=CV)).rows[0].events
    assert "\n" not in text
    assert same(text, event_text(plain))


def test_without_a_packed_field_only_cv_goes(decode: Decode) -> None:
    events = ['{"source":0,"texts":[],"adds":null,"x":"y"}', "null", "[]", "1", "{}", None]
    batch = unpacked(decode, *(event_text(data, cv=CV) for data in events))
    assert batch.rows[0].events == [event_text(data) for data in events]
    assert (batch.unpacked_events, batch.unpack_failures) == (len(events), 0)


@pytest.mark.parametrize("cv", [None, '"2024-11"', '"2024-10 "', "2024", "null", '["2024-10"]', f'{CV},"cv":null'])
def test_other_versions_are_left_alone(decode: Decode, cv: str | None) -> None:
    event = event_text(packed("{}"), type="2", cv=cv)
    batch = unpacked(decode, event)
    assert batch.rows[0].events == [event]
    assert (batch.unpacked_events, batch.unpack_failures) == (0, 0)


GOOD = gzip_value(b'{"a":[1,2,3],"b":"some text, some text"}')
FAILING: dict[str, str] = {
    "empty": '""',
    "not-gzip": '"plain text"',
    "json-not-gzipped": '"{}"',
    "truncated": packed_bytes(GOOD[:-1]),
    "wrong-crc": packed_bytes(GOOD[:-8] + b"\0\0\0\0" + GOOD[-4:]),
    "wrong-size": packed_bytes(GOOD[:-4] + b"\0\0\0\1"),
    "corrupt": packed_bytes(GOOD[:12] + b"\xff\xff" + GOOD[14:]),
    "second-member-truncated": packed_bytes(GOOD + GOOD[:-3]),
    "character-above-ff": json.dumps(GOOD.decode("latin-1") + "\u0100"),
    "surrogate": json.dumps(GOOD.decode("latin-1"))[:-1] + '\\ud83d"',
    "of-nothing": packed(""),
    "of-white-space": packed(" \n"),
    "of-no-json": packed("{"),
    "of-two-values": packed("1 2"),
    "of-value-and-comma": packed("1,"),
    "of-members": packed('"a":1,"b":2'),
    "of-bad-escape": packed('"\\x"'),
    "of-bad-number": packed("01"),
    "of-cut-number": packed("1e"),
    "of-cut-literal": packed("tru"),
    "of-open-string": packed('"a'),
    "of-control-character": packed('"\x01"'),
    "of-nul": packed("1\0"),
    "of-closing-brackets": packed("1],[2"),
    "of-invalid-utf-8": packed(b'"\xff"'),
    "of-surrogate-bytes": packed(b'"\xed\xa0\x80"'),
    "of-byte-order-marks": packed("\ufeff\ufeff1"),
    "of-too-deep": packed("[" * 4_128 + "]" * 4_128),
    "of-never-closed": packed("[" * 10_000),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_stays_as_it_came_and_is_counted(decode: Decode, name: str) -> None:
    field = FAILING[name]
    events = [
        event_text(field, cv=CV),
        event_text(f'{{"source":0,"texts":{packed("[]")},"adds":{field},"removes":{packed("[]")}}}', cv=CV),
    ]
    batch = unpacked(decode, EVENT, *events, event_text(packed("[1]"), cv=CV))
    assert batch.rows[0].events == [EVENT, *events, event_text("[1]")]
    assert (batch.unpacked_events, batch.unpack_failures) == (1, 2)


@pytest.mark.parametrize(
    "event",
    [
        event_text(packed("1"), cv=f'{CV},"cv":{CV}'),
        event_text(f'{packed("1")},"data":{packed("2")}', cv=CV),
        event_text(f'{{"texts":{packed("1")},"texts":[]}}', cv=CV),
    ],
    ids=["cv", "data", "texts"],
)
def test_what_comes_twice_stays_as_it_came(decode: Decode, event: str) -> None:
    batch = unpacked(decode, event)
    assert batch.rows[0].events == [event]
    assert (batch.unpacked_events, batch.unpack_failures) == (0, 1)


@pytest.mark.parametrize("depth", [1_024, 4_124, 4_125])
def test_nesting_of_what_was_packed(decode: Decode, depth: int) -> None:
    """An unpacked event may nest as deep as any event."""
    deep = "[" * depth + "]" * depth
    event = event_text(packed(deep), cv=CV)
    fits = depth + 4 <= jsontext.MAX_DEPTH
    assert unpacked(decode, event).rows[0].events == [event_text(deep) if fits else event]


def test_the_cap_holds_for_what_is_unpacked(decode: Decode) -> None:
    """The text of a message and its unpacked events may have the cap's bytes together."""
    small, large = packed("[" + " " * 1_000 + "]"), packed("[" + " " * 100_000 + "]")
    events = [event_text(small, cv=CV), event_text(large, cv=CV)]
    value = plain_value(events)
    for cap, fits in ((200_000, True), (len(value) + 50_000, False)):
        batch = decode([Input(value)], max_decompressed_bytes=cap, unpack=True)
        assert batch.rows[0].end == OK
        assert (batch.unpacked_events, batch.unpack_failures) == (1 + fits, 1 - fits)
        assert same(batch.rows[0].events[0], event_text("[]"))
        assert same(batch.rows[0].events[1], event_text("[]") if fits else events[1])


def test_a_bomb_stays_packed() -> None:
    bomb = event_text(packed(b" " * (65 << 20)), cv=CV)
    batch = decode_native([Input(plain_value([bomb, EVENT]))], unpack=True)
    assert batch.rows[0].events == [bomb, EVENT]
    assert (batch.unpacked_events, batch.unpack_failures) == (0, 1)


def test_counters_do_not_depend_on_it(decode: Decode) -> None:
    """Counters come from the event as received. Only the sizes of the lines differ."""
    events = [
        event_text(packed('{"href":"https://a.test","source":2}'), type="2", cv=CV),
        event_text(f'{{"source":5,"href":"https://b.test","adds":{packed("[]")}}}', cv=CV),
        event_text(packed('{"plugin":"rrweb/console@1"}'), type="6", cv=CV),
    ]
    rows = [Input(plain_value(events))]
    with_it, without = decode(rows, unpack=True), decode(rows)
    assert with_it.unpacked_events == 3
    assert with_it.blocks == without.blocks
    assert with_it.blocks["session-1"].urls == ["https://b.test"]
    assert with_it.rows[0].console_logs == without.rows[0].console_logs == ()


@pytest.mark.unsanitized
def test_sample_of_real_recordings_unpacked() -> None:
    """Every packed event of the sample can be unpacked, and both decoders give the same values."""
    rows = [input_of(message) for message in sample_messages()]
    native = decode_native(rows, unpack=True)
    assert_same(native, decode_reference(rows, unpack=True))
    assert (native.unpacked_events, native.unpack_failures) == (255, 0)
    for row in native.rows:
        assert row.disposition == Disposition.OK
        assert not any('"cv":"2024-10"' in event for event in row.events)
