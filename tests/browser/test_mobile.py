"""Plays recordings of mobile apps in a real browser: the screen shows what the app recorded, where it recorded it."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from recording_worker.playing import player
from recording_worker.playing.page import whole_page
from tests import mobile
from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import lines, shown_texts
from tests.browser.test_play import click_timeline, events, made, now, shows
from tests.mobile import BLUE, GREEN, HEIGHT, RED, WIDTH, Event

_BOXES = """() => {
  const shown = document.querySelector("#root iframe").contentDocument;
  const boxes = {};
  for (const element of shown.querySelectorAll("body div")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("");
    const box = element.getBoundingClientRect();
    if (text) boxes[text] = [box.left, box.top, box.width, box.height];
  }
  return boxes;
}"""
"""JavaScript for the stage: text → left, top, width and height of its box."""
_PICTURES = """() => [...document.querySelector("#root iframe").contentDocument.images].map(
  (image) => [image.src, image.complete && image.naturalWidth, image.clientWidth, image.clientHeight])"""
"""JavaScript for the stage: address, width of the picture, and size on the screen."""
_SIZE = """() => {
  const shown = document.querySelector("#root iframe");
  return [shown.offsetWidth, shown.offsetHeight];
}"""


def test_a_screen_of_wireframes(page: Page, serve: Serve) -> None:
    played = made(lines(mobile.android()))
    page.goto(serve(played))
    stage = stage_of(page)
    expect(page.locator("#verdict")).to_have_text("Playable from the start")
    expect(page.locator("#url")).to_have_text("MainActivity")
    assert stage.evaluate(_SIZE) == [WIDTH, HEIGHT]
    for part in (0.2, 0.7, 0.3):  # with the keyboard, with a message, and back
        click_timeline(page, part)
        expected = shown_texts(events(played, 0), played.start + now(page))
        assert ("keyboard" in expected, "Wrong password" in expected) == (part < 0.35, part == 0.7)
        shows(page, expected)
    boxes = stage.evaluate(_BOXES)
    assert boxes["Sign in to the shop"] == [24, 40, 363, 32]
    assert boxes["SIGN IN"] == [24, 724, 363, 48]
    assert boxes["Private"] == [24, 304, 363, 36]
    assert boxes["keyboard"] == [0, HEIGHT - 290, WIDTH, 290]
    assert stage.evaluate(_PICTURES) == [[f"data:image/png;base64,{GREEN}", 16, 363, 100]]


@pytest.mark.parametrize(
    ("recorded", "at"),
    [
        (mobile.android_screenshots(), {0.1: RED, 0.7: GREEN, 0.2: RED}),
        (mobile.ios_screenshots(), {0.1: RED, 0.7: GREEN, 0.2: RED}),
        (mobile.flutter(), {0.5: RED}),
    ],
    ids=["android", "ios", "flutter"],
)
def test_screenshots(page: Page, serve: Serve, recorded: list[Event], at: dict[float, str]) -> None:
    page.goto(serve(made(lines(recorded))))
    stage = stage_of(page)
    width, height = (recorded[0]["data"][side] for side in ("width", "height"))
    assert stage.evaluate(_SIZE) == [width, height]
    for part, picture in at.items():
        click_timeline(page, part)
        expected = [f"data:image/png;base64,{picture}", 16, WIDTH, HEIGHT]
        stage.wait_for_function(
            f"(expected) => JSON.stringify(({_PICTURES})()) === JSON.stringify([expected])", arg=expected
        )


def test_it_plays_to_the_end(page: Page, serve: Serve) -> None:
    recorded = mobile.android_screenshots()
    page.goto(serve(made(lines([*recorded, mobile.touch(2_500, 1, 1, 9)]))))
    stage = stage_of(page)
    page.click("#begin")
    expect(page.locator("#toggle")).to_have_attribute("aria-label", "Pause")
    expect(page.locator("#toggle")).to_have_attribute("aria-label", "Play")
    [[address, *_]] = stage.evaluate(_PICTURES)
    assert address == f"data:image/png;base64,{BLUE}"
    page.click("#tab-details")
    expect(page.locator("#skipped")).to_be_hidden()


def test_in_a_file(page: Page, tmp_path: Path) -> None:
    target = tmp_path / "app.html"
    played = made(lines(mobile.android()))
    target.write_text("".join(whole_page(player.load(), played)))
    page.goto(target.as_uri())
    shows(page, shown_texts(events(played, 0), played.start + 1))


def test_what_can_not_be_shown_is_said(page: Page, serve: Serve) -> None:
    page.goto(
        serve(made(lines([mobile.snapshot(0, mobile.view(1, 0, 0, 99, 99, "hologram")), mobile.touch(9, 1, 1, 7)])))
    )
    shows(page, ["hologram"])
    assert stage_of(page).evaluate(_SIZE) == [99, 99]
    expect(page.locator("#verdict")).to_have_text("Playable from the start, parts are missing")
    page.click("#tab-details")
    expect(page.locator("#notes")).to_contain_text("1 part of the app's screens can't be shown: their place is known")
