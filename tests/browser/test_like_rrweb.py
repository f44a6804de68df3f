"""The stage shows a recording as rrweb's own player does, without any protection: the same texts, in the same boxes."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page

from recording_worker.playing import player
from recording_worker.playing.session import Recording
from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import Builder, Event, Node, added, event, lines, meta, mutation
from tests.browser.test_page import move
from tests.browser.test_play import ADMIN, CONSOLE, MEDIA, TODO, events, made, recording
from tests.mobile import RED

_SHOWN = """() => {
  const found = [];
  function look(root) {
    for (const node of root.childNodes) {
      if (node.nodeType === 3 && node.data.trim()) found.push(node.data.trim());
      if (node.nodeType !== 1 || ["HEAD", "STYLE", "SCRIPT", "NOSCRIPT", "TITLE"].includes(node.tagName)) continue;
      const box = node.getBoundingClientRect(), style = getComputedStyle(node);
      const value = "value" in node ? `${node.value} ${node.checked}` : "";
      const place = [box.x, box.y, box.width, box.height].map(Math.round);
      found.push([node.tagName, ...place, style.color, value].join(" "));
      if (node.shadowRoot) look(node.shadowRoot);
      if (node.tagName === "IFRAME" && node.contentDocument) look(node.contentDocument);
      look(node);
    }
  }
  look(document.querySelector("#root iframe").contentDocument);
  return found;
}"""
"""JavaScript: the texts, and each element with its box, its color and what is typed in."""
_PLAY = """async ([events, offset]) => {
  document.getElementById("root").replaceChildren();
  window.replayer = new rrwebReplay.Replayer(events, {
    root: document.getElementById("root"), showWarning: false, triggerFocus: false, mouseTail: false,
    UNSAFE_replayCanvas: true, // else a canvas is no canvas, but has the box of its content
    insertStyleRules: ["* { scroll-behavior: auto !important; }"], // else a seek does not scroll to its end
  });
  await new Promise((done) => setTimeout(done, 50)); // then it has taken the size of the first page
  window.replayer.pause(offset);
}"""


@pytest.fixture(scope="module")
def bare(browser: Browser) -> Iterator[Page]:
    """A page with rrweb's player alone. It loads nothing either."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.route("**/*", lambda route: route.abort())
    page = context.new_page()
    rrweb = player.load()
    page.set_content('<!doctype html><div id="root"></div>')
    page.add_style_tag(content=rrweb.style)
    page.add_script_tag(content=rrweb.script)
    yield page
    context.close()


def compare(page: Page, bare: Page, url: str, shown: Recording) -> None:
    """Compare each window at some times. In a session of several windows, the address names the window."""
    for number, window in enumerate(shown.windows):
        if window.playable_from is None:
            continue
        recorded = events(shown, number)
        first = recorded[0]["timestamp"]
        for part in (0.0, 0.35, 0.7, 1.0):
            at = window.playable_from + round(part * (window.end - window.playable_from))
            bare.evaluate(_PLAY, [recorded, at - first + (1 if part in (0.0, 1.0) else 0)])
            seconds = (at - shown.start) / 1000
            page.goto(f"{url}#t={seconds:.3f}" + (f"&w={number + 1}" if len(shown.windows) > 1 else ""))
            expected = settled(bare)
            shown_here = settled(stage_of(page), expected)
            differs = [pair for pair in zip(expected, shown_here, strict=False) if pair[0] != pair[1]]
            assert shown_here == expected, (number, part, differs[:5])


def settled(frame: Page | Frame, expected: list[str] | None = None) -> Any:
    """Return what is shown, once it is what is expected, or else once it stays the same."""
    last: Any = None
    for _ in range(50):
        shown = frame.evaluate(_SHOWN)
        if shown == (last if expected is None else expected):
            return shown
        last = shown
        frame.wait_for_timeout(100)
    return last


@pytest.mark.parametrize("session", [TODO, CONSOLE, MEDIA, ADMIN])
def test_real_sessions(page: Page, bare: Page, serve: Serve, sample: Path, session: str) -> None:
    shown = recording(sample, session)
    compare(page, bare, serve(shown), shown)


PICTURE = f"data:image/png;base64,{RED}"
SVG = "data:image/svg+xml;base64," + base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
CSS = """
body { margin: 0; font: 14px sans-serif } canvas { width: 300px; height: 100px; display: block }
canvas + p { color: red }
img { width: 5px; height: 5px } video { width: 200px; height: 90px } :not(canvas) > b { color: green }
input:checked + span { color: blue } x-card { display: block; padding: 7px }
"""


def canvases(make: Builder) -> tuple[list[Node], list[Event]]:
    canvas = make.element("canvas", {"width": "600", "height": "200", "rr_dataURL": PICTURE})
    auto = make.element("canvas", {"style": "width: auto; height: 40px", "width": "90", "height": "30"})
    changed = {"id": auto["id"], "attributes": {"width": "180", "style": {"margin-left": "10px"}}}
    return [canvas, make.element("p", {}, "after it"), auto], [mutation(300, attributes=[changed])]


def inputs(make: Builder) -> tuple[list[Node], list[Event]]:
    text, box = make.element("input", {"value": "a"}), make.element("input", {"type": "checkbox"})
    area, choice = make.element("textarea", {"value": "x"}, "x"), make.element("select", {"value": "two"})
    choice["childNodes"] = [make.element("option", {"value": name}, name) for name in ("one", "two", "three")]
    typed = [(text, "typed", False), (box, "on", True), (area, "two\nlines", False), (choice, "three", False)]
    body = [text, box, make.element("span", {}, "checked"), area, choice]
    return body, [event(3, 200, source=5, id=node["id"], text=value, isChecked=on) for node, value, on in typed]


def media(make: Builder) -> tuple[list[Node], list[Event]]:
    video = make.element("video", {"controls": "", "poster": PICTURE, "rr_mediaState": "paused"})
    image = make.element("img", {"src": PICTURE, "alt": "red"})
    sized = make.element("img", {"src": SVG, "style": "width: 80px; height: 20px"})
    playing = event(3, 300, source=7, id=video["id"], type=0, currentTime=1, volume=1, muted=False)
    return [video, image, sized], [playing]


def frames(make: Builder) -> tuple[list[Node], list[Event]]:
    outer = make.element("iframe", {"width": "400", "height": "150"})
    inner = make.element("iframe", {"width": "200", "height": "50"})

    def document(*body: Node | str) -> Node:
        return dict(make.snapshot(0, body)["data"]["node"])

    first, second = document("in a frame", inner), document("in a frame of a frame")
    attached = [
        mutation(at, adds=[added(holder["id"], node)], isAttachIframe=True)
        for at, holder, node in ((2, outer, first), (3, inner, second))
    ]
    return [outer, make.element("p", {}, "below")], attached


def shadows(make: Builder) -> tuple[list[Node], list[Event]]:
    style = make.element("style", {"_cssText": "p { margin: 3px; color: rgb(1, 2, 3) }"})
    inside = [{**node, "isShadow": True} for node in (style, make.element("p", {}, "in the shadow"))]
    card = {**make.element("x-card", {}, make.element("b", {}, "slotted")), "isShadowHost": True}
    card["childNodes"] += inside
    sheet = {"styleId": 1, "rules": [{"rule": "p { padding-left: 40px }", "index": 0}]}
    adopted = event(3, 200, source=15, id=card["id"], styles=[sheet], styleIds=[1])
    later = mutation(300, adds=[added(card["id"], {**make.element("p", {}, "later"), "isShadow": True})])
    flat = later["data"]["adds"][0]["node"]
    later["data"]["adds"] += [added(flat["id"], child) for child in flat["childNodes"]]
    flat["childNodes"] = []
    return [card], [adopted, later]


def rules(make: Builder) -> tuple[list[Node], list[Event]]:
    style = make.element("style", {"_cssText": ".a { color: rgb(9, 9, 9) }"})
    inserted = event(3, 200, source=8, id=style["id"], adds=[{"rule": ".a { padding: 11px }", "index": 1}])
    declared = event(
        3, 300, source=13, id=style["id"], index=[0], set={"property": "color", "value": "rgb(7, 7, 7)", "priority": ""}
    )
    sheet = {"styleId": 5, "rules": [{"rule": ".a { margin: 4px }", "index": 0}]}
    adopted = event(3, 400, source=15, id=0, styles=[sheet], styleIds=[5])
    return [style, make.element("p", {"class": "a"}, "styled")], [inserted, declared, adopted]


@pytest.mark.parametrize("case", [canvases, inputs, media, frames, shadows, rules])
def test_cases(page: Page, bare: Page, serve: Serve, case: Any) -> None:
    make = Builder()
    body, changes = case(make)
    snapshot = make.snapshot(1, body, [make.element("style", {"_cssText": CSS})])
    for change in changes:
        if change["data"].get("source") == 15 and change["data"]["id"] == 0:
            change["data"]["id"] = snapshot["data"]["node"]["id"]
    shown = made(lines([meta(0), snapshot, *changes, move(1_000)]))
    compare(page, bare, serve(shown), shown)


def test_a_difference_would_be_seen(page: Page, bare: Page, serve: Serve) -> None:
    make = Builder()
    shown = made(lines([meta(0), make.snapshot(1, ["a text"]), move(1_000)]))
    other = [meta(0), Builder().snapshot(1, ["another text"]), move(1_000)]
    bare.evaluate(_PLAY, [json.loads(json.dumps(other)), 500])
    page.goto(serve(shown))
    assert settled(bare) != settled(stage_of(page))
