import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.reading.event_lines import event_timestamp

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
    "text", [b"", b"[]", b'["w",{}]', b'["w",{"a":1}]', b'["w",{"a":[1', b'["w",{"timestamp":"x"}]']
)
def test_what_is_no_event_is_told(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an event|no timestamp|could not convert"):
        event_timestamp(text)
