"""A canvas shows what was recorded of it, in the box that the page's styles give to a canvas."""

import base64
from typing import Any

from playwright.sync_api import Page

from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import Builder, Event, event, lines, meta, mutation
from tests.browser.test_page import move
from tests.browser.test_play import click_timeline, made
from tests.mobile import GREEN, RED

_BOXES = """() => {
  const shown = document.querySelector("#root iframe").contentDocument;
  return [...shown.querySelectorAll("canvas")].map((canvas) => {
    const box = canvas.getBoundingClientRect();
    return [box.x, box.y, box.width, box.height].map(Math.round);
  });
}"""
"""JavaScript for the stage: left, top, width and height of each canvas."""
_COLOR = """async ([picture, x, y]) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
}"""
"""JavaScript for a page: the color of a picture at a place."""
_CORNER = """() => {
  const { x, y } = document.querySelector("#root iframe").getBoundingClientRect();
  return [x, y];
}"""
"""JavaScript for the stage: where the recorded page begins."""
RGB = {"red": [200, 40, 40], "green": [40, 160, 60], "none": [255, 255, 255]}
CSS = """body { margin: 0 } canvas { display: block }
  .styled canvas { width: 300px; height: 100px } .styled img { width: 5px; height: 5px }
  .fill { width: 100%; height: 80px } .narrow { max-width: 50%; height: auto }"""


def picture(png: str) -> str:
    return f"data:image/png;base64,{png}"


def drawing(at: float, node: int, png: str) -> Event:
    """What posthog-js records of a canvas: a picture of all of it."""
    blob = {"rr_type": "Blob", "type": "image/png", "data": [{"rr_type": "ArrayBuffer", "base64": png}]}
    bitmap = {"rr_type": "ImageBitmap", "args": [blob]}
    commands = [{"property": "clearRect", "args": [0, 0, 9, 9]}, {"property": "drawImage", "args": [bitmap, 0, 0]}]
    return event(3, at, source=9, type=0, id=node, commands=commands)


def color_at(page: Page, x: float, y: float) -> Any:
    """The color in the stage at a place of the recorded page, which is shown in its full size."""
    return page.evaluate(_COLOR, [base64.b64encode(page.locator("#stage").screenshot()).decode(), x, y])


def shows_color(page: Page, x: float, y: float, color: str) -> None:
    """Wait until the stage has this color at a place."""
    seen = None
    for _ in range(100):
        seen = color_at(page, x, y)
        if seen == RGB[color]:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{seen} at {x}, {y}, and not {color}")


def canvases(make: Builder) -> list[Any]:
    plain = {"width": "600", "height": "200", "rr_dataURL": picture(RED)}
    return [
        make.element("div", {"class": "styled"}, make.element("canvas", plain)),
        make.element("canvas", {**plain, "class": "fill"}),
        make.element("canvas", {**plain, "class": "narrow"}),
        make.element("canvas", {"rr_dataURL": picture(RED)}, "for browsers without canvases"),
        make.element("canvas", {**plain, "style": "width: 40px; height: 20px"}),
        make.element("canvas", {"width": "x", "height": "30px"}),
    ]


def test_a_canvas_has_the_box_of_a_canvas(page: Page, serve: Serve) -> None:
    """The picture has 16 by 16 pixels, which must not matter."""
    make = Builder()
    snapshot = make.snapshot(1, canvases(make), [make.element("style", {"_cssText": CSS})])
    page.set_viewport_size({"width": 1500, "height": 1000})
    page.goto(serve(made(lines([meta(0), snapshot, move(5_000)]))))
    stage = stage_of(page)
    stage.wait_for_function(f"() => ({_BOXES})().length === 6")
    assert stage.evaluate(_BOXES) == [
        [0, 0, 300, 100],
        [0, 100, 1000, 80],
        [0, 180, 500, 167],
        [0, 347, 300, 150],
        [0, 497, 40, 20],
        [0, 517, 300, 30],
    ]


def test_a_canvas_shows_the_latest_drawing(page: Page, serve: Serve) -> None:
    make = Builder()
    canvas = make.element("canvas", {"width": "200", "height": "100", "rr_dataURL": picture(RED), "id": "a"})
    events = [
        meta(0, width=600, height=300),
        make.snapshot(1, [canvas], [make.element("style", {"_cssText": "body { margin: 0 }"})]),
        drawing(1_000, canvas["id"], GREEN),
        mutation(2_000, attributes=[{"id": canvas["id"], "attributes": {"style": "margin-left: 100px"}}]),
        mutation(
            3_000, attributes=[{"id": canvas["id"], "attributes": {"style": {"opacity": "1", "margin-left": False}}}]
        ),
        mutation(4_000, attributes=[{"id": canvas["id"], "attributes": {"width": "400"}}]),
        drawing(5_000, canvas["id"], RED),
        drawing(5_500, 9_999, GREEN),
        mutation(6_000, attributes=[{"id": canvas["id"], "attributes": {"style": None}}]),
        move(10_000),
    ]
    page.goto(serve(made(lines(events))))
    stage = stage_of(page)
    frame = stage.evaluate(_CORNER)
    for part, left, width, color in (
        (0.05, 0, 200, "red"),
        (0.15, 0, 200, "green"),
        (0.25, 100, 200, "green"),
        (0.35, 0, 200, "green"),
        (0.45, 0, 400, "none"),
        (0.58, 0, 400, "red"),
        (0.7, 0, 400, "red"),
        (0.15, 0, 200, "green"),  # and back
    ):
        click_timeline(page, part)
        stage.wait_for_function(f"(box) => String(({_BOXES})()[0]) === box", arg=f"{left},0,{width},100")
        shows_color(page, frame[0] + left + width / 2, frame[1] + 50, color)
