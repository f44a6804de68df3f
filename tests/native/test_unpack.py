"""Events the client has packed (`"cv": "2024-10"`), compared with a plain Python unpacker, value by value."""

import gzip
import json
import random
import zlib
from functools import cache
from typing import Any, NamedTuple

import pytest

from recording_worker import _native
from recording_worker.settings.choices import Codec
from recording_worker.settings.model import Settings
from tests.builders import NOW_MS
from tests.decoders import Line, call_native, native_outcome, parse_lines
from tests.inputs import ENCODED, Input, data_text, envelope_text, gzip_member, input_of, pairs_text, plain_value
from tests.reference import jsontext
from tests.sample import sample_messages

FIELDS = ("texts", "attributes", "removes", "adds")
CV = ("cv", '"2024-10"')
TYPE, TIMESTAMP = ("type", "3"), ("timestamp", str(NOW_MS))
DOM = '{"node":{"type":0,"childNodes":[{"id":1,"a":"\\u00e9é\\ud800\\"\\\\"},-0,1e999,true,null,"",[],{}]}}'


def string_of(packed: bytes, *, ascii_only: bool = False) -> str:
    """Return bytes as the client puts them into JSON: one character for each byte."""
    return json.dumps(packed.decode("latin-1"), ensure_ascii=ascii_only)


def packed(text: str | bytes) -> str:
    return string_of(gzip.compress(text if isinstance(text, bytes) else text.encode(), mtime=0))


class Unpacked(NamedTuple):
    lines: tuple[Line, ...]
    events: int
    failures: int


def decode(value: bytes, *, cap: int = 1 << 26) -> Unpacked:
    decoder = _native.Decoder(unpack_client_compression=True, max_decompressed_bytes=cap)
    decoded, dispositions, _ = call_native(decoder, [Input(value)])
    assert list(dispositions) == [0]
    return Unpacked(parse_lines(decoded.lines(0)), decoded.unpacked_events, decoded.unpack_failures)


def unpacked_event(*pairs: tuple[str, str]) -> str:
    """Return an event's text after unpacking. The event must be one that can be unpacked."""
    return unpacked_text(pairs_text(*pairs))


def unpacked_text(event: str) -> str:
    lines, events, failures = decode(plain_value([event]))
    assert (events, failures) == (1, 0)
    return lines[0].event


def assert_left(event: str, *, cap: int = 1 << 26) -> None:
    """Check that the event is written unchanged and counted as a failure, and that events around it are unpacked."""
    other = pairs_text(TYPE, TIMESTAMP, CV, ("data", packed("[]")))
    lines, events, failures = decode(plain_value([other, event, other]), cap=cap)
    expected = pairs_text(TYPE, TIMESTAMP, ("data", "[]"))
    assert [line.event for line in lines] == [expected, event, expected]
    assert (events, failures) == (2, 1)


def unpack(event: Any) -> Any:
    """Return what an event must become, in plain Python."""
    if event.get("cv") != "2024-10":
        return event
    data = event["data"]
    if isinstance(data, str):
        data = gunzip(data)
    elif isinstance(data, dict):
        data = {key: gunzip(v) if key in FIELDS and isinstance(v, str) else v for key, v in data.items()}
    return {key: data if key == "data" else value for key, value in event.items() if key != "cv"}


def gunzip(field: str) -> Any:
    return jsontext.parse(gzip.decompress(field.encode("latin-1")).decode())


@pytest.mark.unsanitized
def test_the_sample_comes_out_value_by_value() -> None:
    inputs = [input_of(message) for message in sample_messages()]
    packed_call = call_native(_native.Decoder(), inputs)
    unpacked_call = call_native(_native.Decoder(unpack_client_compression=True), inputs)
    assert (packed_call.decoded.unpacked_events, packed_call.decoded.unpack_failures) == (0, 0)
    assert (unpacked_call.decoded.unpacked_events, unpacked_call.decoded.unpack_failures) == (255, 0)
    as_came, unpacked = native_outcome(*packed_call), native_outcome(*unpacked_call)
    for before, after in zip(as_came.rows, unpacked.rows, strict=True):
        assert (before.end, before.timestamps, before.console_logs) == (after.end, after.timestamps, after.console_logs)
        for one, other in zip(before.lines, after.lines, strict=True):
            assert one.window_id == other.window_id
            if '"cv"' in one.event:
                assert jsontext.parse(other.event) == unpack(jsontext.parse(one.event))
            else:
                assert one.event == other.event
    assert as_came.blocks == unpacked.blocks


@pytest.mark.parametrize("encoding", ENCODED)
def test_in_every_encoding_of_the_message(encoding: str) -> None:
    event = pairs_text(TYPE, TIMESTAMP, ("data", packed(DOM)), CV)
    decoder = _native.Decoder(unpack_client_compression=True)
    decoded = call_native(decoder, [ENCODED[encoding](plain_value([event]))]).decoded
    assert parse_lines(decoded.lines(0))[0].event == pairs_text(TYPE, TIMESTAMP, ("data", DOM))


@pytest.mark.parametrize("at", range(4))
def test_data_with_cv_at_any_place(at: int) -> None:
    members = [TYPE, ("data", packed(DOM)), TIMESTAMP]
    expected = [TYPE, ("data", DOM), TIMESTAMP]
    assert unpacked_event(*members[:at], CV, *members[at:]) == pairs_text(*expected)


def test_each_field_of_data_in_place() -> None:
    texts = {"texts": '[{"id":1,"value":"x"}]', "attributes": "[]", "removes": '[ {"id" : 2} ]', "adds": f"[{DOM}]"}
    rest = [("source", "0"), ("isAttachIframe", "true")]
    data = [*rest, *((name, packed(text)) for name, text in texts.items()), ("more", '"texts"')]
    expected = [*rest, *texts.items(), ("more", '"texts"')]
    assert unpacked_event(TYPE, ("data", pairs_text(*data)), TIMESTAMP, CV) == pairs_text(
        TYPE, ("data", pairs_text(*expected)), TIMESTAMP
    )


@pytest.mark.parametrize(
    "data", ["{}", '{"adds":[],"texts":null,"removes":1}', "null", "-1.5", "[1,{},[]]", '{"x":{"adds":"no gzip"}}']
)
def test_what_is_no_string_only_loses_cv(data: str) -> None:
    assert unpacked_event(CV, TYPE, ("data", data), TIMESTAMP) == pairs_text(TYPE, ("data", data), TIMESTAMP)


def test_an_event_without_data_only_loses_cv() -> None:
    assert unpacked_event(TYPE, TIMESTAMP, CV) == pairs_text(TYPE, TIMESTAMP)


@pytest.mark.parametrize("value", ["null", "true", "12", "-0.5e3", '"text"', '" "', "[]", "{}", " [1] "])
def test_any_json_value_may_be_packed(value: str) -> None:
    assert unpacked_event(TYPE, TIMESTAMP, CV, ("data", packed(value))) == pairs_text(TYPE, TIMESTAMP, ("data", value))


def test_white_space_around_members_stays() -> None:
    event = f'{{ "type" : 3 , "cv" : "2024-10" , "data" : {packed("[1]")} , "timestamp" : {NOW_MS} }}'
    assert unpacked_text(event) == f'{{ "type" : 3  , "data" : [1] , "timestamp" : {NOW_MS} }}'
    event = f'{{ "cv" : "2024-10" , "data" : {{ "adds" : {packed("[1]")} }} , "timestamp" : {NOW_MS}\t}}'
    assert unpacked_text(event) == f'{{  "data" : {{ "adds" : [1] }} , "timestamp" : {NOW_MS}\t}}'


def test_line_breaks_of_the_event_and_of_the_field_are_taken_out() -> None:
    event = f'{{"type": 3,\n"cv":\r"2024-10",\n"data": {packed("[1, 2]")},"timestamp":{NOW_MS}}}'
    assert unpacked_text(event) == f'{{"type":3,"data":[1,2],"timestamp":{NOW_MS}}}'
    field = '{ "a\\n\\" b" :\n[1,\r\n 2 , "\\\\"\t]}'
    assert unpacked_event(TYPE, TIMESTAMP, CV, ("data", packed(field))) == pairs_text(
        TYPE, TIMESTAMP, ("data", jsontext.compact(field))
    )


def test_keys_and_version_with_escapes_are_the_same_keys() -> None:
    event = f'{{"\\u0063v":"2024\\u002d10","timestamp":{NOW_MS},"d\\u0061ta":{{"\\u0061dds":{packed("[7]")}}}}}'
    assert unpacked_text(event) == f'{{"timestamp":{NOW_MS},"d\\u0061ta":{{"\\u0061dds":[7]}}}}'


@pytest.mark.parametrize("ascii_only", [False, True])
def test_all_bytes_however_they_are_written(ascii_only: bool) -> None:
    text = json.dumps("".join(random.Random(1).choices('abcdefgh"\\\néß𝄞', k=60_000)), ensure_ascii=False)
    field = string_of(gzip.compress(text.encode(), 9, mtime=0), ascii_only=ascii_only)
    assert len(set(json.loads(field))) == 256
    assert unpacked_event(TYPE, TIMESTAMP, CV, ("data", field)) == pairs_text(TYPE, TIMESTAMP, ("data", text))


def test_escapes_of_every_kind_in_the_packed_string() -> None:
    packed_bytes = gzip_member(b"[1]", comment=b'\b\f\n\r\t/\\"\x7f\x80\xffA')
    field = (
        json.dumps(packed_bytes.decode("latin-1"))
        .replace("/", "\\/")
        .replace("A", "\\u0041")
        .replace("\\u00f", "\\u00F")
    )
    assert unpacked_event(TYPE, TIMESTAMP, CV, ("data", field)) == pairs_text(TYPE, TIMESTAMP, ("data", "[1]"))


GZIPS = {
    "two-members": gzip_member(b"[1,") + gzip_member(b"2]"),
    "empty-member": gzip_member(b"") + gzip_member(b"[1,2]") + gzip_member(b""),
    "trailing-bytes": gzip_member(b"[1,2]") + b"trailing",
    "every-flag": gzip_member(b"[1,2]", extra=b"ex", name=b"name", comment=b"comment", header_crc=True),
    "one-trailing-byte": gzip_member(b"[1,2]") + b"\x1f",
}


@pytest.mark.parametrize("name", GZIPS)
def test_gzip_of_every_form(name: str) -> None:
    event = unpacked_event(TYPE, TIMESTAMP, CV, ("data", string_of(GZIPS[name])))
    assert event == pairs_text(TYPE, TIMESTAMP, ("data", "[1,2]"))


GOOD = gzip.compress(b'["good"]', mtime=0)
BAD_STRINGS = {
    "empty": '""',
    "plain-text": '"some text"',
    "plain-json": '"[1]"',
    "a-character-above-latin-1": json.dumps(GOOD.decode("latin-1") + "\u0100", ensure_ascii=False),
    "an-escape-above-latin-1": json.dumps(GOOD.decode("latin-1") + "\u0100"),
    "a-surrogate": string_of(GOOD)[:-1] + '\\ud800"',
    "an-astral-character": json.dumps(GOOD.decode("latin-1") + "😀", ensure_ascii=False),
    "truncated": string_of(GOOD[:-1]),
    "header-only": string_of(GOOD[:10]),
    "wrong-crc": string_of(GOOD[:-8] + b"\0\0\0\0" + GOOD[-4:]),
    "wrong-header-crc": string_of(gzip_member(b"[1]", header_crc=True).replace(b"\xff", b"\xfe", 1)),
    "reserved-flag": string_of(GOOD[:3] + b"\x20" + GOOD[4:]),
    "wrong-size": string_of(GOOD[:-4] + b"\1\0\0\0"),
    "corrupt": string_of(GOOD[:12] + b"\xff\xff" + GOOD[14:]),
    "zlib-and-not-gzip": string_of(zlib.compress(b"[1]")),
    "bad-second-member": string_of(GOOD + GOOD[:-3]),
}
BAD_TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b"  ",
    "not-closed": b"[1",
    "unclosed-string": b'["a',
    "two-values": b"[1] [2]",
    "trailing-comma": b"[1,]",
    "word": b"undefined",
    "number": b"01",
    "NaN": b"[NaN]",
    "bad-escape": b'["\\x"]',
    "bad-unicode-escape": b'["\\u12g4"]',
    "backslash-at-the-end": b"[1]\\",
    "control-character": b'["a\nb"]',
    "zero-byte": b"[1]\0",
    "invalid-utf-8": b'["\xff"]',
    "utf-8-surrogate": b'["\xed\xa0\x80"]',
    "byte-order-mark": b"\xef\xbb\xbf[1]",
    "closes-the-event": b'1},{"a":1',
    "too-deep": b"[" * 4_125 + b"]" * 4_125,
}
BAD = BAD_STRINGS | {f"text-{name}": packed(text) for name, text in BAD_TEXTS.items()}


@pytest.mark.parametrize("name", BAD)
def test_what_fails_stays_as_it_came(name: str) -> None:
    assert_left(pairs_text(TYPE, TIMESTAMP, CV, ("data", BAD[name])))


@pytest.mark.parametrize("name", BAD)
def test_one_bad_field_leaves_the_whole_event(name: str) -> None:
    data = pairs_text(("texts", packed("[1]")), ("adds", BAD[name]), ("removes", packed("[2]")))
    assert_left(pairs_text(TYPE, ("data", data), TIMESTAMP, CV))


@pytest.mark.parametrize(
    "event",
    [
        pairs_text(CV, TIMESTAMP, CV, ("data", packed("[1]"))),
        pairs_text(TIMESTAMP, ("cv", "1"), CV, ("data", packed("[1]"))),
        pairs_text(TIMESTAMP, CV, ("data", packed("[1]")), ("data", packed("[1]"))),
        pairs_text(TIMESTAMP, CV, ("data", pairs_text(("adds", packed("[1]")), ("adds", "[]")))),
    ],
)
def test_a_member_that_matters_twice_is_a_failure(event: str) -> None:
    assert_left(event)


@pytest.mark.parametrize(
    "version", ['"2024-11"', '"2024-1"', '"2024-100"', '""', "null", "2024", '["2024-10"]', '"2024-10 "']
)
def test_other_versions_are_not_touched(version: str) -> None:
    event = pairs_text(TYPE, TIMESTAMP, ("cv", version), ("data", packed("[1]")))
    assert decode(plain_value([event])) == ((Line("window-1", event),), 0, 0)
    twice = pairs_text(TYPE, CV, TIMESTAMP, ("cv", version), ("data", packed("[1]")))
    assert decode(plain_value([twice])) == ((Line("window-1", twice),), 0, 0)


def test_cv_elsewhere_is_not_the_events() -> None:
    data = pairs_text(CV, ("adds", packed("[1]")))
    event = pairs_text(TYPE, TIMESTAMP, ("data", data))
    assert decode(plain_value([event])) == ((Line("window-1", event),), 0, 0)


def test_off_by_default() -> None:
    event = pairs_text(TYPE, TIMESTAMP, CV, ("data", packed("[1]")))
    decoded = call_native(_native.Decoder(), [Input(plain_value([event]))]).decoded
    assert parse_lines(decoded.lines(0))[0].event == event
    assert (decoded.unpacked_events, decoded.unpack_failures) == (0, 0)


@pytest.mark.parametrize(("levels", "in_data"), [(4_124, False), (4_123, True)])
def test_nesting_to_the_limit_of_the_message(levels: int, in_data: bool) -> None:
    def event(depth: int) -> tuple[str, str]:
        text = "[" * depth + "]" * depth
        forms = [packed(text), text]
        came, unpacked = (pairs_text(TIMESTAMP, ("data", pairs_text(("adds", f)) if in_data else f)) for f in forms)
        return came[:-1] + ',"cv":"2024-10"}', unpacked

    came, unpacked = event(levels)
    assert unpacked_text(came) == unpacked
    assert_left(event(levels + 1)[0])


def test_what_counts_is_the_event_as_it_came() -> None:
    """A packed full snapshot counts as one. An unpacked field adds no click, key press or url."""
    click = '{"source":2,"type":2,"href":"https://a.test/"}'
    events = [
        pairs_text(("type", "2"), TIMESTAMP, CV, ("data", packed('{"href":"https://b.test/"}'))),
        pairs_text(TYPE, TIMESTAMP, CV, ("data", packed(click))),
        pairs_text(TYPE, TIMESTAMP, CV, ("data", click[:-1] + f',"adds":{packed("[]")}}}')),
    ]
    inputs = [Input(plain_value(events))]
    off = call_native(_native.Decoder(), inputs).decoded
    on = call_native(_native.Decoder(unpack_client_compression=True), inputs).decoded
    assert on.unpacked_events == 3
    blocks = []
    for decoded in (off, on):
        block = _native.SessionBlock()
        block.record(decoded, 0, 0)
        blocks.append(block.summary()._replace(size=0))  # what is unpacked is larger
    found = blocks[0]
    assert blocks[1] == found
    assert (found.click_count, found.keypress_count, found.mouse_activity_count) == (1, 0, 1)
    assert (found.active_milliseconds, found.out_of_order_count, found.gap_count) == (1, 0, 0)
    assert (found.urls, found.event_count, found.first_timestamp) == (["https://a.test/"], 3, NOW_MS)
    assert (found.first_full_snapshot_position, found.first_full_snapshot_timestamp) == (0, NOW_MS)


def test_an_item_that_is_no_event_is_not_counted() -> None:
    no_event = pairs_text(TYPE, ("timestamp", "0"), CV, ("data", '"bad"'))
    event = pairs_text(TYPE, TIMESTAMP)
    assert decode(plain_value([no_event, event])) == ((Line("window-1", event),), 0, 0)


def test_what_an_event_unpacks_to_counts_against_the_cap_of_the_message() -> None:
    text = json.dumps("a" * 100_000)
    event = pairs_text(TYPE, TIMESTAMP, CV, ("data", packed(text)))
    value = plain_value([event])
    unpacked = pairs_text(TYPE, TIMESTAMP, ("data", text))
    assert decode(value, cap=len(value) + len(text)) == ((Line("window-1", unpacked),), 1, 0)
    assert decode(value, cap=len(value) + len(text) - 1) == ((Line("window-1", event),), 0, 1)
    twice = plain_value([event, event])
    both = (Line("window-1", unpacked), Line("window-1", event))
    assert decode(twice, cap=len(twice) + len(text) + 1_000) == (both, 1, 1)


@cache
def bomb() -> bytes:
    deflate = zlib.compressobj(9, wbits=31)
    return deflate.compress(b" " * (256 << 20)) + deflate.flush()


@pytest.mark.parametrize("said", [0, 1 << 20, 0xFFFFFFFF])
def test_bombs_stay_as_they_came(said: int) -> None:
    event = pairs_text(TYPE, TIMESTAMP, CV, ("data", string_of(bomb()[:-4] + said.to_bytes(4, "little"))))
    lines, events, failures = decode(plain_value([event] * 20))
    assert lines == (Line("window-1", event),) * 20
    assert (events, failures) == (0, 20)


def test_what_a_damaged_gzip_held_does_not_count_against_the_cap() -> None:
    text = json.dumps("a" * 100_000)
    member = gzip.compress(text.encode(), mtime=0)
    bad = pairs_text(TYPE, TIMESTAMP, CV, ("data", string_of(member + member[:-1])))
    good = pairs_text(TYPE, TIMESTAMP, CV, ("data", string_of(member)))
    value = plain_value([bad, good])
    found = decode(value, cap=len(value) + len(text) + 1_000)
    assert (found.events, found.failures) == (1, 1)


def test_a_message_of_many_bombs_is_given_up() -> None:
    """64 MiB beyond the cap may be unpacked in vain. Then nothing more is tried: no message takes minutes."""
    cap = 4 << 20
    bomb = pairs_text(TYPE, TIMESTAMP, CV, ("data", packed(" " * cap + "1")))
    good = pairs_text(TYPE, TIMESTAMP, CV, ("data", packed("[]")))
    for bombs, unpacked in ((5, 1), (40, 0)):
        value = plain_value([bomb] * bombs + [good])
        assert len(value) < cap
        found = decode(value, cap=cap)
        assert (found.events, found.failures) == (unpacked, bombs + 1 - unpacked)


def test_many_messages_through_one_decoder_do_not_mix() -> None:
    decoder = _native.Decoder(unpack_client_compression=True)
    for number in range(50):
        event = pairs_text(TYPE, TIMESTAMP, CV, ("data", packed(f"[{number}]" + " " * number * 1000)))
        bad = pairs_text(TYPE, TIMESTAMP, CV, ("data", packed(f"[{number}")))
        plain = pairs_text(TYPE, TIMESTAMP, ("number", str(number)))
        items = [plain, event, bad, plain, event]
        decoded = call_native(decoder, [Input(plain_value(items)), Input(b"{"), Input(plain_value([plain]))]).decoded
        unpacked = pairs_text(TYPE, TIMESTAMP, ("data", f"[{number}]" + " " * number * 1000))
        assert [line.event for line in parse_lines(decoded.lines(0))] == [plain, unpacked, bad, plain, unpacked]
        assert [line.event for line in parse_lines(decoded.lines(2))] == [plain]
        assert (decoded.unpacked_events, decoded.unpack_failures) == (2, 1)


def test_a_byte_order_mark_before_data_moves_nothing() -> None:
    event = pairs_text(TYPE, TIMESTAMP, CV, ("data", packed("[1]")))
    lines, *_ = decode(envelope_text("\ufeff" + data_text([event])).encode())
    assert lines[0].event == pairs_text(TYPE, TIMESTAMP, ("data", "[1]"))


def test_mutated_gzips_are_unpacked_right_or_left() -> None:
    """Every line is JSON, whatever the bytes are: parse_lines checks that."""
    rng = random.Random(2)
    whole = gzip.compress(DOM.encode(), mtime=0)
    for _ in range(1_500):
        mutated = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        event = pairs_text(TYPE, TIMESTAMP, CV, ("data", string_of(bytes(mutated[: rng.randint(10, 1_000)]))))
        lines, events, failures = decode(plain_value([event]))
        assert events + failures == 1
        assert lines[0].event == (pairs_text(TYPE, TIMESTAMP, ("data", DOM)) if events else event)


def test_on_with_zstd_off_with_snappy_unless_set() -> None:
    assert Settings().unpacks_client_compression
    assert not Settings(codec=Codec.SNAPPY).unpacks_client_compression
    assert Settings(codec=Codec.SNAPPY, unpack_client_compression=True).unpacks_client_compression
    assert not Settings(unpack_client_compression=False).unpacks_client_compression
