"""What a mobile app recorded becomes a page: the mobile SDKs' events, and what they show."""

import json
from collections import Counter
from typing import Any

import pytest

from recording_worker.playing import wireframes
from recording_worker.playing.boxes import Box, Element, Gap, Missing, box_of, keyboard_box
from recording_worker.playing.session import Window
from recording_worker.playing.wireframes import Screen
from tests import mobile
from tests.browser.rrweb import shown_texts
from tests.builders import NOW_MS
from tests.mobile import (
    COLUMN,
    RED,
    ROOT,
    TITLE,
    Event,
    Wireframe,
    change,
    column,
    event,
    in_lines,
    keyboard,
    meta,
    mutation,
    root,
    screenshot,
    snapshot,
    text,
    touch,
    view,
)
from tests.unit.test_playing_session import bounded, line, only_window, shown

BODY = 7
TEXTS = [
    *("Sign in to the shop", "ada@shop.test", "Stay signed in", "Private", "Company", "Germany ▾", "Dark mode"),
    *("☆☆☆☆☆", "★★★★★", "web view", "map", "SIGN IN"),
]


def played(window: Window) -> list[Event]:
    return [json.loads(text)[1] for text in window.lines]


def texts(*events: Event) -> list[str]:
    """The texts that the page shows in the end."""
    return shown_texts(played(only_window(*events)), float("inf"))


def style(box: Box) -> dict[str, str]:
    return dict(part.split(":", 1) for part in box.style.split(";"))


def test_the_screen_is_a_page() -> None:
    window = only_window(*mobile.android())
    assert (window.playable_from, window.unplayable, window.events) == (NOW_MS, None, 11)
    assert shown_texts(played(window), NOW_MS + 1) == TEXTS
    first, second, *_ = played(window)
    assert first == meta(0)
    assert second["data"]["initialOffset"] == {"top": 0, "left": 0}


@pytest.mark.parametrize(
    ("until", "differs"),
    [
        (701, {"+": ["keyboard"]}),
        (1_001, {"ada@shop.test": "grace@shop.test", "+": ["keyboard"]}),
        (1_501, {"ada@shop.test": "grace@shop.test"}),
        (2_401, {"ada@shop.test": "grace@shop.test", "+": ["Wrong password"]}),
        (4_001, {"ada@shop.test": "grace@shop.test", "Sign in to the shop": "Welcome back"}),
    ],
)
def test_what_changes_is_changed_in_its_place(until: float, differs: dict[str, Any]) -> None:
    expected = [differs.get(text, text) for text in TEXTS] + differs.get("+", [])
    assert shown_texts(played(only_window(*mobile.android())), NOW_MS + until) == expected


@pytest.mark.parametrize(
    ("events", "pictures"),
    [
        (mobile.android_screenshots(), 3),
        (mobile.ios_screenshots(), 3),
        (mobile.flutter(), 2),
    ],
    ids=["android", "ios", "flutter"],
)
def test_screenshots(events: list[Event], pictures: int) -> None:
    sent = [wireframe["base64"].replace("\n", "") for item in events for wireframe in _wireframes(item)]
    found = [url for item in played(only_window(*events)) for url in _images(item["data"])]
    assert found == sent
    assert len(found) == pictures


def _wireframes(item: Event) -> list[Wireframe]:
    data = item["data"]
    return [*data.get("wireframes", []), *(update["wireframe"] for update in data.get("updates", []))]


def _images(value: object) -> list[str]:
    if isinstance(value, list):
        return [url for item in value for url in _images(item)]
    if not isinstance(value, dict):
        return []
    here = [value["attributes"]["src"]] if value.get("tagName") == "img" else []
    return [*here, *(url for item in value.values() for url in _images(item))]


def test_touches_lead_to_the_body_or_to_a_wireframe() -> None:
    move = event(3, 3, source=6, positions=[{"id": 0, "x": 1, "y": 2, "timeOffset": -5}, "odd", {"id": TITLE}])
    window = only_window(snapshot(0, text(TITLE, 1, "a")), touch(1, 5, 6, 7), touch(2, 5, 6, 9, TITLE), move)
    _, page, begin, end, moved = played(window)
    assert begin == touch(1, 5, 6, 7, BODY)
    assert end["data"]["id"] == _body(page)["childNodes"][0]["childNodes"][0]["id"]
    assert moved["data"]["positions"] == [
        {"id": BODY, "x": 1, "y": 2, "timeOffset": -5},
        {"id": end["data"]["id"]},
    ]
    assert window.active == [(NOW_MS + 1, NOW_MS + 3)]


def _body(page: Event) -> dict[str, Any]:
    body: dict[str, Any] = page["data"]["node"]["childNodes"][1]["childNodes"][1]
    assert body["id"] == BODY
    return body


def test_the_size_is_that_of_the_snapshot_if_nothing_else_says_it() -> None:
    window = only_window(snapshot(5, view(1, 0, 0, 400, 800), view(2, 390, 700, 20, 50)), meta(9))
    assert played(window)[0] == event(4, 5, href="", width=410, height=800)
    assert len(window.lines) == 3
    assert played(only_window(meta(0), snapshot(5, view(1, 0, 0, 9, 9))))[0] == meta(0)
    assert len(only_window(snapshot(5)).lines) == 1


def test_nothing_is_shown_before_the_full_snapshot() -> None:
    update = mutation(1, updates=[change(screenshot(RED))])
    assert "no full snapshot" in (only_window(meta(0), update).unplayable or "")
    window = only_window(meta(0), update, event(2, 2, wireframes="none"), snapshot(3, text(1, 1, "now")))
    assert window.playable_from == NOW_MS + 3
    assert shown_texts(played(window), float("inf")) == ["now"]


def test_windows_do_not_mix() -> None:
    one, other = (snapshot(at, text(TITLE, 1, name)) for at, name in enumerate(("one", "other")))
    update = mutation(2, updates=[change(text(TITLE, 1, "changed"))])
    recording = shown(line(one, "a"), line(other, "b"), line(update, "a"))
    assert [shown_texts(played(window), float("inf")) for window in recording.windows] == [["changed"], ["other"]]


def test_a_page_in_the_same_window_is_a_page() -> None:
    node = {"type": 0, "childNodes": [], "id": 1}
    page, change_of_page = event(2, 1, node=node, wireframes=[]), mutation(2, adds=[], removes=[{"id": 1}])
    window = only_window(snapshot(0, text(1, 1, "app")), page, change_of_page)
    assert window.lines[-2:] == [line(page), line(change_of_page)]


def test_other_events_stay_as_they_are() -> None:
    log = event(6, 1, plugin="rrweb/console@1", payload={"level": "log", "payload": ["tapped"]})
    network = event(6, 2, plugin="rrweb/network@1", payload={"requests": []})
    window = only_window(snapshot(0), log, network, meta(3, "/cart"))
    assert window.lines[1:] == [line(log), line(network), line(meta(3, "/cart"))]


def test_a_change_of_the_root_changes_all_in_it() -> None:
    """Android names each changed wireframe, with all inside it, from the outside to the inside."""
    changed = column(title="Hello")
    update = mutation(
        1, updates=[change(root(changed)), change(changed, ROOT), change(changed["childWireframes"][0], COLUMN)]
    )
    assert texts(snapshot(0, root(column())), update) == ["Hello", *TEXTS[1:]]


def test_an_addition_that_is_also_in_a_changed_parent_is_there_once() -> None:
    notice = text(900, 5, "new")
    parent = view(1, 0, 0, 9, 9, childWireframes=[notice, text(2, 1, "old")])
    events = [snapshot(0, view(1, 0, 0, 9, 9, childWireframes=[text(2, 1, "old")]))]
    assert texts(*events, mutation(1, adds=[change(notice, 1)], updates=[change(parent)])) == ["new", "old"]


def test_a_wireframe_moves_to_another_parent() -> None:
    leaf = text(3, 1, "leaf")
    one, other = (view(number, 0, 0, 9, 9, childWireframes=[text(number + 10, 1, f"in {number}")]) for number in (1, 2))
    first = snapshot(0, {**one, "childWireframes": [leaf, *one["childWireframes"]]}, other)
    assert texts(first) == ["leaf", "in 1", "in 2"]
    assert texts(first, mutation(1, updates=[change(leaf, 2)])) == ["in 1", "in 2", "leaf"]
    new = view(4, 0, 0, 9, 9, childWireframes=[leaf])
    assert texts(first, mutation(1, adds=[change(new, 2)], updates=[change(leaf, 4)])) == ["in 1", "in 2", "leaf"]


def test_a_wireframe_is_not_put_into_itself() -> None:
    loop = view(1, 0, 0, 9, 9, childWireframes=[view(2, 0, 0, 9, 9, childWireframes=[text(1, 1, "again")])])
    assert texts(snapshot(0, loop)) == ["again"]
    update = mutation(1, updates=[change({**loop, "childWireframes": [text(5, 1, "stays")]}, 2)])
    assert texts(snapshot(0, loop), update) == ["stays"]


def test_ids_that_repeat_or_are_none() -> None:
    odd: list[Any] = [None, "1", True, [1], 2**70, 1.5]
    first = snapshot(0, text(1, 1, "first"), text(1, 1, "second"), *[{**text(1, 1, "x"), "id": name} for name in odd])
    assert texts(first) == ["first", "second", *["x"] * 6]
    gone = mutation(1, removes=[{"id": name} for name in odd] + [{"id": 77}, "odd", {"id": 1}, {"id": 1}])
    assert texts(first, gone) == ["first", *["x"] * 4], "the last one with an id has it"
    again = view(2, 0, 0, 9, 9, childWireframes=[text(1, 1, "third"), text(1, 1, "fourth")])
    assert texts(first, mutation(1, adds=[change(again)]))[-2:] == ["third", "fourth"]
    assert "second" not in texts(first, mutation(1, adds=[change(again)]))


def test_the_keyboard_opens_once_and_closes() -> None:
    events = [snapshot(0, text(1, 1, "a")), keyboard(1, open=True, height=300), keyboard(2, open=True, height=200)]
    assert texts(*events) == ["a", "keyboard"]
    assert texts(*events, keyboard(3, open=False)) == ["a"]
    assert texts(*events, event(5, 3, tag="keyboard")) == ["a"]
    assert texts(events[0], event(5, 3, tag="keyboard", payload="odd"), event(5, 4, tag="other")) == ["a"]
    assert style(keyboard_box({"open": True, "height": 300}))["bottom"] == "0px"
    placed = style(keyboard_box({"open": True, "height": 300, "y": 500, "styles": {"color": "#abc"}}))
    assert (placed["top"], placed["color"], "bottom" in placed) == ("500px", "#abc", False)


def test_a_box_is_where_the_wireframe_is_and_looks_like_it() -> None:
    look = {"color": "#123", "backgroundColor": "rgba(1, 2, 3, 0.5)", "borderWidth": "2px", "fontFamily": "Roboto"}
    more = {"fontSize": 12.5, "verticalAlign": "bottom", "horizontalAlign": "right", "paddingLeft": 3}
    box = box_of(view(1, -5, 7, 100, 200, "rectangle", style={**look, **more}))
    assert style(box) == {
        "position": "fixed",
        "left": "-5px",
        "top": "7px",
        "width": "100px",
        "height": "200px",
        "color": "#123",
        "background-color": "rgba(1, 2, 3, 0.5)",
        "border-width": "2px",
        "border-style": "solid",
        "font-size": "12.5px",
        "padding-left": "3px",
        "font-family": '"Roboto",sans-serif',
        "display": "flex",
        "align-items": "flex-end",
        "justify-content": "flex-end",
        "text-align": "right",
    }
    assert box.content == ()
    assert style(box_of({"width": "100vw"})) == {"position": "fixed", "left": "0px", "top": "0px", "width": "100vw"}
    assert style(box_of({"style": {"fontFamily": "monospace"}}))["font-family"] == "monospace"


def test_a_background_image() -> None:
    box = box_of(view(1, 0, 0, 9, 9, style={"backgroundImage": in_lines(RED), "backgroundSize": "cover"}))
    assert f'background-image:url("data:image/png;base64,{RED}");background-size:cover' in box.style
    assert "background-size:auto" in box_of({"style": {"backgroundImage": RED, "backgroundSize": "9px;x:y"}}).style


@pytest.mark.parametrize(
    ("wireframe", "content"),
    [
        ({"type": "text", "text": "a <b>"}, "a <b>"),
        ({"type": "text", "text": 12}, "12"),
        ({"type": "placeholder"}, "placeholder"),
        ({"type": "web_view", "url": "https://shop.test/"}, "https://shop.test/"),
        ({"type": "image"}, "image"),
        ({"type": "screenshot", "base64": ""}, "screenshot"),
        ({"type": "input", "inputType": "button", "value": "Go"}, "Go"),
        ({"type": "input", "inputType": "email", "value": "a@b"}, "a@b"),
        ({"type": "input", "inputType": "textArea", "value": "two\nlines"}, "two\nlines"),
        ({"type": "input", "inputType": "password", "value": "abc"}, "•••"),
        ({"type": "input", "inputType": "number", "value": 1.5}, "1.5"),
        ({"type": "input", "inputType": "select", "options": ["one", "two"]}, "one ▾"),
        ({"type": "input", "inputType": "select", "value": "two", "options": "odd"}, "two ▾"),
        ({"type": "input", "inputType": "progress", "max": 5, "style": {"bar": "rating"}}, "rating"),
        ({"type": "input", "inputType": "progress", "value": 3, "style": {"bar": "rating"}}, "rating"),
    ],
)  # fmt: skip
def test_what_a_box_says(wireframe: Wireframe, content: str) -> None:
    assert box_of(wireframe).content == (content,)
    assert box_of(wireframe).missing is None


def test_controls() -> None:
    [box, label] = box_of(view(1, 0, 0, 9, 9, "input", inputType="checkbox", checked=True, label="Yes")).content
    assert isinstance(box, Element)
    assert (box.tag, box.attributes["type"], "checked" in box.attributes, label) == ("input", "checkbox", True, "Yes")
    [radio] = box_of(view(1, 0, 0, 9, 9, "input", inputType="radio", checked=False)).content
    assert isinstance(radio, Element)
    assert (radio.attributes["type"], "checked" in radio.attributes) == ("radio", False)
    [bar] = box_of(view(1, 0, 0, 9, 9, "input", inputType="progress", value=30, max=40)).content
    assert isinstance(bar, Element)
    assert (bar.tag, bar.attributes["value"], bar.attributes["max"]) == ("progress", "0.75", "1")
    [endless] = box_of(view(1, 0, 0, 9, 9, "input", inputType="progress", max=0)).content
    assert isinstance(endless, Element)
    assert "value" not in endless.attributes
    disc = {"type": "input", "inputType": "progress", "style": {"bar": "circular", "color": "#123456"}, "value": 9}
    [ring] = box_of(disc).content
    assert isinstance(ring, Element)
    assert "conic-gradient(#123456 100%," in ring.attributes["style"]
    for on, side in ((True, "right:4%"), (False, "left:4%")):
        [track] = box_of(view(1, 0, 0, 9, 9, "input", inputType="toggle", checked=on)).content
        assert isinstance(track, Element)
        [knob] = track.content
        assert isinstance(knob, Element)
        assert side in knob.attributes["style"]


@pytest.mark.parametrize(
    ("value", "most", "stars", "width"),
    [(2, 4, 4, "50.0%"), (3.5, 5, 5, "70.0%"), (-1, 5, 5, "0.0%"), (9, 1e4, 20, "0.1%"), ("6.5", "13", 13, "50.0%")],
)
def test_a_rating_shows_parts_of_stars(value: float | str, most: float | str, stars: int, width: str) -> None:
    rating = view(1, 0, 0, 9, 9, "input", inputType="progress", value=value, max=most, style={"bar": "rating"})
    [shown] = box_of(rating).content
    assert isinstance(shown, Element)
    empty, full = shown.content
    assert isinstance(full, Element)
    assert (empty, full.content) == ("☆" * stars, ("★" * stars,))
    assert full.attributes["style"].endswith(f"width:{width}")


def test_the_bars_of_the_system_are_over_all_else() -> None:
    for kind in ("status_bar", "navigation_bar"):
        assert style(box_of(view(1, 0, 0, 9, 9, kind)))["z-index"] == "1"
    assert "z-index" not in box_of(view(1, 0, 0, 9, 9)).style


def test_a_disabled_input_is_paler() -> None:
    button = view(1, 0, 0, 9, 9, "input", inputType="button", value="Go")
    assert "opacity" not in box_of(button).style
    assert box_of({**button, "disabled": True}).style.endswith(";opacity:0.5")


def test_what_can_not_be_shown_is_noted() -> None:
    pictures = [view(number, 0, 0, 9, 9, "image", base64="data:image/svg+xml;base64,AAAA") for number in range(2)]
    unknown = [
        view(3, 0, 0, 9, 9, "hologram"),
        view(4, 0, 0, 9, 9, "input", inputType="dial"),
        view(5, 0, 0, 9, 9, [1]),
    ]
    events = [snapshot(0, *pictures, *unknown, "odd"), mutation(1, adds=[{"node": {}, "parentId": 1}, None])]
    recording = shown(*map(line, events))
    assert shown_texts(played(recording.windows[0]), float("inf")) == ["image", "image", "hologram", "dial", "unknown"]
    assert recording.notes == [
        "2 images of the app can't be shown: only PNG, JPEG, WebP and GIF in base64 can.",
        "3 parts of the app's screens can't be shown: their place is known, not their kind (dial, hologram, unknown).",
        "3 parts of the app's screens can't be read: left out.",
    ]


def test_a_screen_holds_no_more_than_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wireframes, "MAX_PARTS", 5)
    monkeypatch.setattr(wireframes, "MAX_DEPTH", 3)
    many = [text(number, 1, str(number)) for number in range(1, 9)]
    deep = view(
        1,
        0,
        0,
        9,
        9,
        childWireframes=[
            view(2, 0, 0, 9, 9, childWireframes=[view(3, 0, 0, 9, 9, childWireframes=[text(4, 1, "deep")])])
        ],
    )
    assert texts(snapshot(0, deep)) == []
    recording = shown(
        line(snapshot(0, *many)), line(mutation(1, updates=[change(text(1, 1, "one")), change(text(9, 1, "9"))]))
    )
    assert shown_texts(played(recording.windows[0]), float("inf")) == ["one", "2", "3", "4", "5"]
    assert recording.notes == ["4 parts of the app's screens beyond what a screen may hold: left out."]
    missing: Counter[Gap] = Counter()
    screen = Screen(missing)
    screen.as_rrweb(snapshot(0))
    screen.as_rrweb(mutation(1, adds=[change({"type": "div"}) for _ in range(9)]))
    assert (screen.changed, missing[Missing.OUT_OF_BOUNDS, ""]) == (5, 4)
    screen.as_rrweb(mutation(2, adds=[change({"type": "div"})]))
    assert missing[Missing.OUT_OF_BOUNDS, ""] == 5, "wireframes without an id count, too"


def test_what_a_line_becomes_counts_as_held() -> None:
    """Three bytes of a wireframe become a node of more than a hundred, and a part of a screen."""
    recorded = [line(snapshot(at, *[{} for _ in range(1_000)])) for at in range(20)]
    assert sum(map(len, recorded)) < 100_000
    recording = bounded(recorded, 4_000_000)
    [window] = recording.windows
    assert 100_000 < sum(map(len, window.lines)) < 4_000_000 - 500 * 1_000 * recording.events
    assert recording.notes == [f"{20 - recording.events} events after the first 3.8MiB of the recording: left out."]
