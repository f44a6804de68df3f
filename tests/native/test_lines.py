"""Reading block lines: the time of an event, and its unpacked form."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker._native import event_timestamp, unpack_line
from tests.builders import NOW_MS
from tests.inputs import pairs_text
from tests.native.test_unpack import packed
from tests.reference.unpack import Budget, unpack_event

names = st.one_of(st.sampled_from(["timestamp", "type", "time\\stamp", '"', "\ud800", ""]), st.text(max_size=8))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), names)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4))
)
timestamps = st.one_of(st.integers(1, 8_640_000_000_000_000), st.floats(1e-3, 8.64e15))


@given(
    window_id=names,
    before=st.dictionaries(names, values, max_size=4),
    timestamp=timestamps,
    after=st.dictionaries(names.filter(lambda name: name != "timestamp"), values, max_size=4),
    ascii_only=st.booleans(),
    indent=st.booleans(),
)
def test_it_is_what_a_parser_finds(
    window_id: str, before: dict[str, Any], timestamp: float, after: dict[str, Any], ascii_only: bool, indent: bool
) -> None:
    separators = (" , ", " : ") if indent else (",", ":")
    members = [(name, value) for name, value in [*before.items(), ("timestamp", timestamp), *after.items()]]
    dump = json.JSONEncoder(ensure_ascii=ascii_only, separators=separators).encode
    event = "{" + separators[0].join(f"{dump(name)}{separators[1]}{dump(value)}" for name, value in members) + "}"
    text = f"[{dump(window_id)},{event}]"
    assert event_timestamp(text.encode("utf-8", "surrogatepass") + b"\n") == json.loads(text)[1]["timestamp"]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (rb'{"timestamp":1,"timestamp":2}', 2),
        (rb'{"\u0074imestamp":3}', 3),
        (rb'{"timestamp":1,"\u0074ime\u0073tamp":4}', 4),
        (rb'{"timestamp":1.5e3}', 1500),
        (rb'{"timestamp":1,"data":{"timestamp":9}}', 1),
        (rb'{"data":"\"timestamp\":9","timestamp":1}', 1),
        (rb'{"data":"}{][\\","timestamp":1}', 1),
        (rb'{"data":"\ud83d","timestamp":1}', 1),
        (b'{\t"timestamp"\r : 7 }', 7),
        (b'{"data":' + b"[{}," * 4_128 + b"1" + b"]" * 4_128 + b',"timestamp":5}', 5),
        (b'{"data":' + b'{"a":' * 4_128 + b"1" + b"}" * 4_128 + b',"timestamp":5}', 5),
        (b'{"data":' + b"1" * 10_000 + b',"timestamp":6}', 6),
        (b'{"data":[' + b'"a",' * 200_000 + b'1],"timestamp":8}', 8),
    ],
)
def test_events_that_parsers_stumble_over(event: bytes, expected: float) -> None:
    assert event_timestamp(rb'["win\"dow",' + event + b"]") == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not an event"),
        (b"\n", "not an event"),
        (b"[]", "not an event"),
        (b'["w"]', "not an event"),
        (b'["w",1]', "not an event"),
        (b'["w",[1]]', "not an event"),
        (b'[1,{"timestamp":1}]', "not an event"),
        (b'["w" {"timestamp":1}]', "not an event"),
        (b'["w",{"timestamp":1}', "not an event"),
        (b'["w",{"timestamp":1]', "not an event"),
        (b'["w",{"timestamp":1}]]', "not an event"),
        (b'["w",{"timestamp":1},2]', "not an event"),
        (b'["w",{"timestamp":1,}]', "not an event"),
        (b'["w",{"timestamp":01}]', "not an event"),
        (b'["w",{"timestamp":1,"a":"\\x"}]', "not an event"),
        (b'["w",{"timestamp":1,"a":"\x1f"}]', "not an event"),
        (b'["w",{"a":[1', "not an event"),
        (b'["w",{}]', "no timestamp"),
        (b'["w",{"a":1}]', "no timestamp"),
        (b'["w",{"timestamp":"1"}]', "no timestamp"),
        (b'["w",{"timestamp":1,"timestamp":null}]', "no timestamp"),
        (b'["w",{"data":{"timestamp":1}}]', "no timestamp"),
    ],
)
def test_what_is_no_event_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        event_timestamp(text)


@given(st.binary(max_size=40) | st.text("[]{}\"',:\\\n timesapd01e-+.w", max_size=60).map(str.encode))
def test_any_bytes_are_an_event_or_refused(text: bytes) -> None:
    for line in (text, b'["w",' + text, b'["w",{' + text + b',"timestamp":1}]'):
        try:
            found = event_timestamp(line)
        except ValueError:
            continue
        _, event = json.loads(line.decode(errors="replace"))
        assert found == event["timestamp"]


CV = ("cv", '"2024-10"')
TIMESTAMP = ("timestamp", str(NOW_MS))


def on_line(event: str) -> bytes:
    return f'["w\\"1",{event}]'.encode()


@pytest.mark.parametrize(
    "event",
    [
        pairs_text(("type", "2"), TIMESTAMP, CV, ("data", packed('{"node":{"id":1}}'))),
        pairs_text(CV, ("type", "3"), ("data", f'{{"source":0,"adds":{packed("[1e999]")},"x":"y"}}'), TIMESTAMP),
        pairs_text(TIMESTAMP, ("data", packed("[]") + "  "), CV),
        pairs_text(TIMESTAMP, ("data", "{}"), CV),
        pairs_text(TIMESTAMP, CV),
    ],
)
def test_a_packed_event_is_unpacked_in_its_place(event: str) -> None:
    unpacked = unpack_event(event, Budget(1 << 20))
    assert unpacked is not None
    for end in (b"", b"\n"):
        found = unpack_line(on_line(event) + end, 1 << 20)
        assert found.startswith(b'["w\\"1",')
        assert found.endswith(b"]" + end)
        assert json.loads(found) == json.loads(on_line(unpacked))


@pytest.mark.parametrize("cv", ["2024-1", "2024-100", 1, None, {"cv": "2024-10"}])
def test_an_event_that_is_not_packed_stays_as_it_is(cv: object) -> None:
    line = on_line(pairs_text(TIMESTAMP, ("data", packed("[]")), ("cv", json.dumps(cv))))
    assert unpack_line(line, 1 << 20) == line


@pytest.mark.parametrize(
    "data",
    ['""', '"plain"', '"\u1234"', packed("1")[:-9] + '"', packed(b"{"), packed("1" * 101), '{"texts":"","adds":[]}'],
)
def test_what_is_no_gzip_of_json_is_not_unpacked(data: str) -> None:
    with pytest.raises(ValueError, match="the event can't be unpacked"):
        unpack_line(on_line(pairs_text(TIMESTAMP, CV, ("data", data))), 100)


@pytest.mark.parametrize("line", [b"", b'["w",{}', b'["w",1]'])
def test_what_is_no_line_is_not_unpacked(line: bytes) -> None:
    with pytest.raises(ValueError, match="the event can't be unpacked"):
        unpack_line(line, 100)


def test_fields_may_hold_as_many_bytes_as_said() -> None:
    line = on_line(pairs_text(TIMESTAMP, CV, ("data", f'{{"texts":{packed("[10]")},"adds":{packed("[100]")}}}')))
    assert b"[100]" in unpack_line(line, 9)
    with pytest.raises(ValueError, match="the event can't be unpacked"):
        unpack_line(line, 8)
