"""`snapshot_mode`: how a mobile app's recording shows its screens.

The rule is `snapshotModeFrom` in PostHog's nodejs/src/ingestion/pipelines/sessionreplay/rrweb-types.ts. Which messages
it is for stands in sessions/session-block-recorder.ts of the same folder.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.builders import NOW_MS
from tests.decoders import Decode
from tests.inputs import Input, Members, event_text, gzip_value, plain_value
from tests.mobile import (
    Event,
    Wireframe,
    android,
    android_screenshots,
    event,
    flutter,
    ios_screenshots,
    keyboard,
    meta,
    screenshot,
    text,
    touch,
    view,
)
from tests.mobile import snapshot as screen

TEXT = text(142_908_405, 40, "Item 1")
IMAGE = view(209_272_202, 0, 0, 100, 100, "image", base64="iVBORw0KGgo=")
BOX = view(183_891_344, 0, 0, 411, 891, "div", childWireframes=[TEXT, IMAGE])
NO_KIND = view(183_891_344, 0, 0, 411, 891, childWireframes=[screenshot("iVBORw0KGgo=")])
SHOT = screenshot("iVBORw0KGgo=", 9_223_372_036_854_775_807)
TOUCHES = [touch(1, 66, 556, 7), touch(2, 66, 556, 9)]
NETWORK = event(6, 3, plugin="rrweb/network@1", payload={"requests": [{"name": "https://api.test/", "duration": 5}]})
LOG = event(6, 4, plugin="rrweb/console@1", payload={"level": "warn", "payload": ["low memory"]})
KEYBOARD = keyboard(5, open=True, height=300)


def change(at: float, adds: Sequence[Wireframe] = (), updates: Sequence[Wireframe] = (), removes: int = 0) -> Event:
    """A mutation. A list that would be empty is left out, as the SDKs do."""
    lists = {
        "adds": [{"parentId": 183_891_344, "wireframe": added} for added in adds],
        "updates": [{"parentId": 183_891_344, "wireframe": updated} for updated in updates],
        "removes": [{"parentId": 183_891_344, "id": number} for number in range(removes)],
    }
    return event(3, at, source=0, **{name: nodes for name, nodes in lists.items() if nodes})


def message(events: Sequence[Event], properties: Members | None = None) -> bytes:
    """The value of a message of a mobile app, or of one that says something else in `properties`."""
    says = {"$snapshot_source": '"mobile"', "$lib": '"posthog-android"', "$window_id": None, **(properties or {})}
    return plain_value([json.dumps(each) for each in events], says)


def mode_of(decode: Decode, *messages: bytes, unpack: bool = False) -> str | None:
    """Return the mode of the block that holds the messages."""
    batch = decode([Input(value) for value in messages], unpack=unpack)
    assert not any(row.disposition for row in batch.rows)
    return batch.blocks["session-1"].snapshot_mode


def mode_of_text(decode: Decode, *events: str, source: str = '"mobile"') -> str | None:
    return mode_of(decode, plain_value(events, {"$snapshot_source": source}))


FULL = '{"wireframes":[%s]}'
ADDS = '{"source":0,"adds":[{"wireframe":%s}]}'
UPDATES = '{"source":0,"updates":[{"wireframe":%s}]}'
SHAPES = [(FULL, "2"), (ADDS, "3"), (UPDATES, "3")]
"""Where an event has wireframes, and its type."""
AN_ID = '{"id":1,"type":"screenshot"}'


@pytest.mark.parametrize(
    ("events", "mode"),
    [
        pytest.param(android(), "wireframe", id="Android, wireframes"),
        pytest.param(android_screenshots(), "screenshot", id="Android and React Native, screenshots"),
        pytest.param(ios_screenshots(), "screenshot", id="iOS, screenshots"),
        pytest.param(flutter(), "screenshot", id="Flutter"),
        pytest.param([screen(1, IMAGE)], "wireframe", id="a picture is no screenshot"),
        pytest.param([screen(1, NO_KIND)], "wireframe", id="a wireframe without a type; children don't count"),
        pytest.param([change(0, adds=[TEXT], removes=1)], "wireframe", id="added"),
        pytest.param([change(0, updates=[SHOT])], "screenshot", id="updated"),
        pytest.param([change(0, adds=[TEXT], updates=[SHOT])], "wireframe", id="added before updated"),
        pytest.param([change(0, updates=[SHOT]), screen(1, BOX)], "screenshot", id="the first event, not the snapshot"),
        pytest.param([screen(9, SHOT), screen(1, BOX)], "screenshot", id="in the order of the message, not of time"),
        pytest.param([screen(1, None, "text", {"id": "7"}, SHOT, BOX)], "screenshot", id="the first valid"),
        pytest.param([*TOUCHES, NETWORK, LOG, KEYBOARD, meta(0, "Main")], None, id="nothing is shown"),
        pytest.param([change(0, removes=1)], None, id="removed only"),
        pytest.param([screen(0)], None, id="no wireframes"),
        pytest.param([event(5, 0, wireframes=[SHOT]), event(3, 0, wireframes=[SHOT])], None, id="other types"),
        pytest.param([event(2, 0, source=0, adds=[{"wireframe": SHOT}])], None, id="a full snapshot has no changes"),
    ],
)
def test_modes(decode: Decode, events: list[Event], mode: str | None) -> None:
    assert mode_of(decode, message(events)) == mode
    assert mode_of(decode, message(events), unpack=True) == mode
    assert mode_of(decode, *(message([each]) for each in events)) == mode


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ('"mobile"', True),
        ('"mob\\u0069le"', True),
        ('"Mobile"', False),
        ('"mobile "', False),
        ('"mobile\\u0000"', False),
        ('"web"', False),
        ('""', False),
        (None, False),
    ],
)
def test_only_mobile_messages_are_asked(decode: Decode, source: str | None, asked: bool) -> None:
    value = plain_value([event_text(FULL % AN_ID, type="2")], {"$snapshot_source": source})
    assert mode_of(decode, value) == ("screenshot" if asked else None)


def test_source_may_come_before_or_after_the_items_and_the_last_counts(decode: Decode) -> None:
    items = f'"$snapshot_items":[{event_text(FULL % AN_ID, type="2")}]'
    for members, mode in [
        (f'"$snapshot_source":"mobile",{items}', "screenshot"),
        (f'{items},"$snapshot_source":"mobile"', "screenshot"),
        (f'"$snapshot_source":"web",{items},"$snapshot_source":"mobile"', "screenshot"),
        (f'"$snapshot_source":"mobile",{items},"$snapshot_source":"web"', None),
        (f'"$snapshot_source":"mobile",{items},"$snapshot_items":[{event_text()}]', None),
    ]:
        data = f'{{"event":"$snapshot_items","properties":{{"$session_id":"session-1",{members}}}}}'
        value = json.dumps({"distinct_id": "user-1", "data": data}).encode()
        assert mode_of(decode, value) == mode


def test_a_block_has_the_mode_of_its_first_message_that_shows_something(decode: Decode) -> None:
    nothing, boxes, shots = (message(events) for events in (TOUCHES, [screen(1, BOX)], [screen(1, SHOT)]))
    web = message([screen(1, SHOT)], {"$snapshot_source": '"web"'})
    assert mode_of(decode, nothing, boxes, shots) == "wireframe"
    assert mode_of(decode, nothing, nothing, shots, boxes) == "screenshot"
    assert mode_of(decode, web, nothing, boxes) == "wireframe"
    assert mode_of(decode, web, nothing) is None


def test_each_session_has_its_own_mode(decode: Decode) -> None:
    def of(session: str, *events: Event) -> Input:
        return Input(message(events, {"$session_id": f'"{session}"'}))

    rows = [
        of("a", *TOUCHES),
        of("b", screen(0, SHOT)),
        of("a", screen(1, BOX)),
        of("c", LOG),
        of("b", screen(2, BOX)),
        of("a", screen(3, SHOT)),
    ]
    blocks = decode(rows).blocks
    assert {name: block.snapshot_mode for name, block in blocks.items()} == {
        "a": "wireframe",
        "b": "screenshot",
        "c": None,
    }
    assert decode(list(reversed(rows))).blocks["a"].snapshot_mode == "screenshot"


def test_items_that_are_left_out_do_not_count(decode: Decode) -> None:
    far = screen(-30 * 86_400_000, SHOT)
    no_time: Event = {"type": 2, "data": {"wireframes": [SHOT]}}
    assert mode_of(decode, message([far, no_time, *TOUCHES])) is None
    assert mode_of(decode, message([far, no_time, *TOUCHES, screen(1, BOX)])) == "wireframe"


@pytest.mark.parametrize("number", ["0", "-0", "-1", "1.5", "1e308", "18446744073709551616", "1e-999", "1E+2"])
@pytest.mark.parametrize(("shape", "event_type"), SHAPES)
def test_a_wireframe_has_a_finite_number_as_its_id(decode: Decode, shape: str, event_type: str, number: str) -> None:
    assert mode_of_text(decode, event_text(shape % f'{{"id":{number}}}', type=event_type)) == "wireframe"


@pytest.mark.parametrize(
    "value",
    [
        *("{}", "[]", "null", "true", "1", '"screenshot"', '[{"id":1}]', '{"type":"screenshot"}', '{"ID":1}'),
        *(f'{{"id":{value},"type":"screenshot"}}' for value in ("null", "true", '"1"', "[1]", "{}", "1e999", "-1e999")),
        '{"id":1,"id":"1"}',
        '{"childWireframes":[{"id":1}]}',
        '{"wireframe":{"id":1}}',
    ],
)
@pytest.mark.parametrize(("shape", "event_type"), SHAPES)
def test_what_is_no_wireframe(decode: Decode, shape: str, event_type: str, value: str) -> None:
    assert mode_of_text(decode, event_text(shape % value, type=event_type)) is None
    found = [event_text(shape % value, type=event_type), event_text(shape % AN_ID, type=event_type)]
    assert mode_of_text(decode, *found) == "screenshot"


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ('"screenshot"', "screenshot"),
        ('"\\u0073creenshot"', "screenshot"),
        ('"text","type":"screenshot"', "screenshot"),
        ('"screenshot","type":"text"', "wireframe"),
        ('"screenshot","type":null', "wireframe"),
        ('"Screenshot"', "wireframe"),
        ('"screenshot "', "wireframe"),
        ('["screenshot"]', "wireframe"),
        ('""', "wireframe"),
    ],
)
@pytest.mark.parametrize(("shape", "event_type"), SHAPES)
def test_the_type_of_a_wireframe(decode: Decode, shape: str, event_type: str, kind: str, mode: str) -> None:
    for members in (f'"id":1,"type":{kind}', f'"type":{kind},"id":1', f'"id":"1","type":{kind},"id":1'):
        assert mode_of_text(decode, event_text(shape % f"{{{members}}}", type=event_type)) == mode


@pytest.mark.parametrize(
    ("data", "event_type", "mode"),
    [
        (FULL % AN_ID, "2.0", "screenshot"),
        (FULL % AN_ID, "20e-1", "screenshot"),
        (FULL % AN_ID, '"2"', None),
        (FULL % AN_ID, "3", None),
        (FULL % AN_ID, None, None),
        (FULL % AN_ID, '4,"type":2', "screenshot"),
        (FULL % AN_ID, '2,"type":4', None),
        (ADDS % AN_ID, "2", None),
        ('{"adds":[{"wireframe":{"id":1}}],"source":0}', "3", "wireframe"),
        ('{"adds":[{"wireframe":{"id":1}}],"source":-0.0}', "3", "wireframe"),
        ('{"adds":[{"wireframe":{"id":1}}],"source":0e9}', "3.0", "wireframe"),
        ('{"adds":[{"wireframe":{"id":1}}],"source":1}', "3", None),
        ('{"adds":[{"wireframe":{"id":1}}],"source":"0"}', "3", None),
        ('{"adds":[{"wireframe":{"id":1}}],"source":false}', "3", None),
        ('{"adds":[{"wireframe":{"id":1}}],"source":null}', "3", None),
        ('{"adds":[{"wireframe":{"id":1}}]}', "3", None),
        ('{"adds":[{"wireframe":{"id":1}}],"source":0,"source":1}', "3", None),
        (
            '{"updates":[{"wireframe":{"id":1,"type":"screenshot"}}],"adds":[{"wireframe":{"id":1}}],"source":0}',
            "3",
            "wireframe",
        ),
        ('{"updates":[{"wireframe":{"id":1}}],"adds":[{"wireframe":{}}],"source":0}', "3", "wireframe"),
        ('{"adds":[1,null,[{"wireframe":{"id":1}}],{"wireframe":7},{"node":{"id":1}}],"source":0}', "3", None),
        ('{"adds":{"wireframe":{"id":1}},"updates":null,"source":0}', "3", None),
        ('{"adds":[{"wireframe":{"id":1},"wireframe":null}],"source":0}', "3", None),
        ('{"adds":[{"wireframe":{"id":1}}],"adds":[],"source":0}', "3", None),
        ('{"wireframes":{"id":1}}', "2", None),
        ('{"wireframes":"[]"}', "2", None),
        ('{"wireframes":[[{"id":1}]]}', "2", None),
        ('{"wireframes":[{"id":1}],"wireframes":[]}', "2", None),
        ('{"wireframes":[],"wireframes":[{"id":1}]}', "2", "wireframe"),
        ('{"wireframes":[{"id":1}]},"data":{}', "2", None),
        ('null,"data":{"wireframes":[{"id":1}]}', "2", "wireframe"),
        ('[{"wireframes":[{"id":1}]}]', "2", None),
        ('{"data":{"wireframes":[{"id":1}]}}', "2", None),
        ('"wireframes"', "2", None),
        (None, "2", None),
        ('{"w\\u0069reframes":[{"\\u0069d":1}]}', "2", "wireframe"),
        (' { "wireframes" :\t[ { "id" :\n 1 , "type" : "screenshot" } ] } ', "2", "screenshot"),
        ('{"wireframes":[{"id":1,"a":' + "[" * 3_000 + "]" * 3_000 + "}]}", "2", "wireframe"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_where_wireframes_are(decode: Decode, data: str | None, event_type: str | None, mode: str | None) -> None:
    assert mode_of_text(decode, event_text(data, type=event_type)) == mode


def test_wireframes_that_the_client_packed_are_not_read(decode: Decode) -> None:
    """Events count as they were received. The SDKs of mobile apps don't pack."""

    def packed(value: object) -> str:
        return gzip_value(json.dumps(value).encode()).decode("latin-1")

    whole: dict[str, Any] = {"type": 2, "timestamp": NOW_MS, "cv": "2024-10", "data": packed({"wireframes": [SHOT]})}
    part = event(3, 0, source=0, adds=packed([{"wireframe": SHOT}])) | {"cv": "2024-10"}
    for unpack in (False, True):
        batch = decode([Input(message([whole, part]))], unpack=unpack)
        assert batch.unpacked_events == 2 * unpack
        assert batch.blocks["session-1"].snapshot_mode is None


def test_a_message_whose_utf8_is_repaired(decode: Decode) -> None:
    value = message([meta(0, "Mainé"), screen(1, SHOT)]).replace(b"\\\\u00e9", b"\xff")
    assert b"\xff" in value
    assert mode_of(decode, value) == "screenshot"


def test_a_large_message(decode: Decode) -> None:
    """The core frees what it does not need of a large text while it decodes it."""
    large = screenshot("A" * 9_000_000)
    assert mode_of(decode, message([*TOUCHES, screen(1, large)])) == "screenshot"
