"""Wireframes are hostile input: whatever is in them, a page gets bounded numbers, checked styles, pictures and text."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.mobile import RED, Event, change, event, keyboard, mutation, snapshot, view
from tests.unit.test_playing_session import line, only_window, shown

ATTACKS: list[Any] = [
    "red;background:url(http://evil.test/)",
    "url(http://evil.test/)",
    "expression(alert(1))",
    'x"onload="alert(1)',
    "</style><script>alert(1)</script>",
    "#fff\n;x:y",
    "1px;position:static",
    "rgb(1,2,3);x:y",
    "--x",
    "\\75rl(http://evil.test/)",
    "var(--x)",
    "\u0661px",
    "http://evil.test/a.png",
    "//evil.test/a.png",
    "data:text/html;base64,PHNjcmlwdD4=",
    "data:image/svg+xml;base64,PHN2Zz4=",
    'data:image/png;base64,AAAA"),url(http://evil.test/',
    "data:image/png,AAAA",
    "javascript:alert(1)",
    "blob:http://evil.test/1",
    "\ud800",
    "\0",
    1e999,
    -1e999,
    float("nan"),
    10**400,
    -(10**18),
    True,
    None,
    [],
    {},
    ["16px"],
    {"toString": 1},
]
FIELDS = [
    "id",
    "x",
    "y",
    "width",
    "height",
    "type",
    "inputType",
    "text",
    "label",
    "value",
    "base64",
    "url",
    "style",
    "disabled",
    "checked",
    "options",
    "max",
    "childWireframes",
]
LOOKS = [
    "color",
    "backgroundColor",
    "backgroundImage",
    "backgroundSize",
    "borderWidth",
    "borderRadius",
    "borderColor",
    "verticalAlign",
    "horizontalAlign",
    "fontSize",
    "fontFamily",
    "paddingLeft",
    "paddingTop",
    "bar",
]
KINDS: list[dict[str, Any]] = [
    {"type": kind, "base64": RED}
    for kind in ("div", "text", "image", "screenshot", "placeholder", "web_view", "radio_group", "status_bar")
] + [
    {"type": "input", "inputType": kind, "value": 1, "max": 2}
    for kind in ("text", "password", "button", "checkbox", "select", "toggle", "progress")
]

_PICTURE = r"data:image/(?:png|jpe?g|webp|gif);base64,[A-Za-z0-9+/]+=*"
_NUMBER = r"-?(?:\d{1,6}(?:\.\d+)?|\d(?:\.\d+)?e-\d\d)"
_COLOR = r"#[0-9a-fA-F]{3,8}|[a-zA-Z]+|rgba?\([\d., %]+\)"
_VALUE = re.compile(
    rf"{_NUMBER}(?:px|em|%|)|100vw|[a-z-]+|{_COLOR}|url\(\"{_PICTURE}\"\)|\"[\w .,-]+\",sans-serif"
    rf"|1px solid #[0-9a-f]{{6}}|0 6px 0 0|conic-gradient\((?:{_COLOR}) \d+%,#d5d8de 0\)"
)
_TAGS = {"div", "img", "input", "progress", "html", "head", "body", "style"}


def hostile(kind: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Wireframes of this kind, with each attack in each field."""
    for number, attack in enumerate(ATTACKS, start=1):
        yield {**view(number, 0, 0, 9, 9), **kind, "style": dict.fromkeys(LOOKS, attack)}
        for field in FIELDS:
            yield {**view(number + 1_000, 0, 0, 9, 9), **kind, field: attack}


def check(node: Any) -> None:
    """Check each element and each style in an event of a page."""
    if isinstance(node, list):
        for item in node:
            check(item)
        return
    if not isinstance(node, dict):
        return
    if "tagName" in node:
        assert node["tagName"] in _TAGS
        assert set(node["attributes"]) <= {"style", "src", "decoding", "type", "checked", "value", "max"}
        assert re.fullmatch(_PICTURE, node["attributes"].get("src", f"data:image/png;base64,{RED}"))
    if isinstance(attributes := node.get("attributes"), dict):
        for declaration in split(attributes.get("style", "left:0px")):
            name, value = declaration.split(":", 1)
            assert re.fullmatch(r"[a-z-]+", name), declaration
            assert _VALUE.fullmatch(value), declaration
    for value in node.values():
        check(value)


def split(style: str) -> list[str]:
    """The declarations of a style. Only a picture's holds a semicolon."""
    return re.findall(rf"[a-z-]+:(?:url\(\"{_PICTURE}\"\)|[^;]*)", style) if "url(" in style else style.split(";")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.get("inputType") or kind["type"])
def test_what_is_not_allowed_never_becomes_a_style_or_an_address(kind: dict[str, Any]) -> None:
    wireframes = list(hostile(kind))
    events = [snapshot(0, *wireframes), mutation(1, updates=[change(one) for one in wireframes])]
    for at, attack in enumerate(ATTACKS, start=2):
        events.append(
            keyboard(at, open=True, height=attack, width=attack, x=attack, y=attack, styles={"color": attack})
        )
    [window] = shown(*map(line, events)).windows
    pages = [json.loads(text)[1] for text in window.lines]
    assert [page["type"] for page in pages] == [4, 2, *[3] * (len(events) - 1)]
    for page in pages[1:]:
        check(page["data"])


def test_events_of_odd_shapes_are_taken() -> None:
    odd: list[Any] = [None, 1, "x", [], {}, [[]], [None], [{}], {"wireframe": 1}]
    events: list[Event] = [snapshot(0)]
    for at, (key, value) in enumerate(itertools.product(("adds", "updates", "removes", "positions", "id"), odd)):
        events += [event(3, at, source=source, **{key: value}) for source in (0, 2, 6)]
    events += [event(5, 900, tag="keyboard", payload=value) for value in odd]
    assert len(only_window(*events).lines) == len(events)


def test_deep_wireframes_end_nothing() -> None:
    deep: dict[str, Any] = {"type": "text", "text": "bottom"}
    for _ in range(200):
        deep = {"childWireframes": [deep]}
    recording = shown(line(snapshot(0, deep)), line(mutation(1, adds=[change(deep)])))
    assert len(recording.windows[0].lines) == 2
    assert recording.notes == ["2 parts of the app's screens beyond what a screen may hold: left out."]


def test_a_touch_of_deep_values_ends_nothing() -> None:
    deep = b"[" * 900 + b"]" * 900
    touch = b'["w1",{"type":3,"timestamp":%d,"data":{"source":2,"id":0,"x":%s}}]' % (snapshot(1)["timestamp"], deep)
    [window] = shown(line(snapshot(0)), touch).windows
    assert json.loads(window.lines[-1])[1]["data"] == {"source": 2, "id": 7}
