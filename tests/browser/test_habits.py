"""What viewers are used to from other players: keys, full screen, a time in the address, and a speed that stays."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from recording_worker.playing import player
from recording_worker.playing.page import whole_page
from recording_worker.playing.session import Recording
from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import Builder, Event, event, lines, meta
from tests.browser.test_page import box_of, move
from tests.browser.test_play import click_timeline, made, now, shows

_FOCUSED = "() => document.activeElement.id || document.activeElement.tagName"
PLAYS, RESTS = "Pause", "Play"
"""What the button is called while the player plays, and while it rests."""


def quiet(length: float = 60_000, href: str = "http://shop.test/") -> list[Event]:
    """A window in which the mouse moves from time to time."""
    return [
        meta(0, href),
        Builder().snapshot(1, ["page"]),
        *[move(at) for at in range(1_000, int(length) + 1, 1_000)],
    ]


def shop_and_mail() -> Recording:
    """Two windows: a short one that begins first, and one in which the user did more."""
    mail = [
        meta(1_000, href="http://mail.test/inbox?secret=1"),
        Builder().snapshot(1_001, ["mail"]),
        *[move(at) for at in range(2_000, 30_001, 1_000)],
        meta(30_500, href="http://mail.test/bye"),
    ]
    return made(lines(quiet(5_000, href="http://shop.test/cart"), "one") + lines(mail, "two"))


def test_the_address_holds_the_time(page: Page, serve: Serve) -> None:
    url = serve(made(lines(quiet())))
    page.goto(f"{url}#t=9.5")
    stage_of(page)
    assert now(page) == 9_500
    expect(page.locator("#toggle")).to_have_attribute("aria-label", RESTS)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"{url}#t=14")
    page.reload()
    stage_of(page)
    assert now(page) == 14_000
    page.evaluate("location.hash = '#t=3'")
    expect(page.locator("#now")).to_have_text("0:03")
    page.keyboard.press("Space")
    page.wait_for_url(re.compile(r"#t=[4-9]$"))  # it is kept while playing
    assert page.evaluate("history.length") <= 4, "the way back does not lead through every second"


def test_an_address_counts_though_the_time_is_written_at_that_moment(page: Page, serve: Serve) -> None:
    url = serve(made(lines(quiet())))
    page.goto(f"{url}#t=9")
    stage_of(page)
    page.evaluate("location.hash = '#t=3'; history.replaceState(null, '', '#t=9')")
    expect(page.locator("#now")).to_have_text("0:03")
    page.wait_for_url(f"{url}#t=3")


def test_the_address_names_the_window_if_there_are_several(page: Page, serve: Serve) -> None:
    url = serve(shop_and_mail())
    page.goto(f"{url}#t=4&w=1")
    shows(page, ["page"])
    assert now(page) == 4_000
    page.locator("#windows button").nth(1).click()
    shows(page, ["mail"])
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"{url}#t=9&w=2")
    page.evaluate("location.hash = '#t=2&w=1'")
    shows(page, ["page"])
    assert now(page) == 2_000


@pytest.mark.parametrize(
    "hash_", ["t=<img src=x onerror=alert(1)>", "t=1e999", "t=-5&w=99", "t=NaN&w=0", "t=99999", "%"]
)
def test_an_odd_address_does_no_harm(page: Page, serve: Serve, hash_: str) -> None:
    page.goto(f"{serve(made(lines(quiet(3_000))))}#{hash_}")
    shows(page, ["page"])
    assert now(page) == (3_000 if hash_ == "t=99999" else 1)


def test_a_file_has_the_same_habits(page: Page, tmp_path: Path) -> None:
    target = tmp_path / "session.html"
    target.write_text("".join(whole_page(player.load(), made(lines(quiet())))))
    page.goto(f"{target.as_uri()}#t=7")
    stage_of(page)
    assert now(page) == 7_000
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"{target.as_uri()}#t=12")
    page.keyboard.press(">")
    page.reload()
    stage_of(page)
    assert page.input_value("#speed") == "2"


def test_it_begins_where_the_command_says_unless_the_address_does(page: Page, tmp_path: Path) -> None:
    recording = made(lines(quiet()))
    recording.begin_after = 9_500
    target = tmp_path / "session.html"
    target.write_text("".join(whole_page(player.load(), recording)))
    for address, at in (("", 9_500), ("#t=7", 7_000)):
        page.goto("about:blank")
        page.goto(f"{target.as_uri()}{address}")
        stage_of(page)
        assert now(page) == at


def greedy() -> list[Event]:
    """A window whose page wants the focus: with fields, links, a modal dialog, and events that give them the focus."""
    make = Builder()
    field = make.element("input", {"autofocus": "", "tabindex": "1"})
    rest = [make.element("a", {"href": "#"}, f"link {number}") for number in range(10)]
    dialog = make.element("dialog", {"open": "", "rr_open_mode": "modal"}, make.element("button", {}, "in a dialog"))
    focus = [event(3, at, source=2, type=5, id=field["id"]) for at in (2, 500, 1_000)]
    return [meta(0), make.snapshot(1, [field, *rest, dialog]), *focus, move(30_000)]


def test_keys_live_after_a_click_into_the_page(page: Page, serve: Serve) -> None:
    page.goto(serve(made(lines(greedy()))))
    stage_of(page)
    click_timeline(page, 0.1)
    box = box_of(page.locator("#stage"))
    for part in (0.3, 0.5, 0.7):
        page.mouse.click(box["x"] + part * box["width"], box["y"] + part * box["height"])
    before = now(page)
    page.keyboard.press("ArrowRight")
    assert now(page) == pytest.approx(before + 5_000, abs=2)
    page.keyboard.press("Space")
    expect(page.locator("#toggle")).to_have_attribute("aria-label", PLAYS)


def test_tab_passes_the_recorded_page_by(page: Page, serve: Serve) -> None:
    page.goto(serve(made(lines(greedy()))))
    stage_of(page)
    page.keyboard.press("ArrowRight")
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(_FOCUSED))
    assert "stage" not in seen
    controls = ["timeline", "toggle", "skip", "speed", "full", "keys", "tab-console", "tab-network"]
    at = seen.index("timeline")
    assert seen[at : at + len(controls)] == controls


def test_a_control_used_with_the_mouse_leaves_the_keys_to_the_player(page: Page, serve: Serve) -> None:
    page.goto(serve(made(lines(quiet()))))
    stage_of(page)
    for control in ("#tab-network", "#skip", "#toggle"):
        page.click(control)
        assert page.evaluate(_FOCUSED) == "BODY"
    page.keyboard.press("Space")
    expect(page.locator("#toggle")).to_have_attribute("aria-label", RESTS)
    page.focus("#tab-details")
    page.keyboard.press("Space")  # with the keyboard, a button is still pressed
    expect(page.locator("#details")).to_be_visible()


def test_the_speed_is_remembered(page: Page, serve: Serve) -> None:
    page.goto(serve(made(lines(quiet()))))
    stage_of(page)
    for key, speed in (
        (">", "2"),
        ("+", "4"),
        ("<", "2"),
        ("-", "1"),
        ("<", "0.5"),
        ("<", "0.5"),
        (">", "1"),
        (">", "2"),
    ):
        page.keyboard.press(key)
        assert page.input_value("#speed") == speed
    page.goto(serve(made(lines(quiet(4_000)))))  # another server, with another port
    stage_of(page)
    assert page.input_value("#speed") == "2"
    page.context.add_cookies([{"name": "speed", "value": "alert(1)", "url": page.url}])
    page.reload()
    stage_of(page)
    assert page.input_value("#speed") == "1"


def test_full_screen(page: Page, serve: Serve) -> None:
    page.goto(serve(made(lines(quiet()))))
    stage_of(page)
    shown = "() => document.fullscreenElement && document.fullscreenElement.id"
    page.keyboard.press("f")
    page.wait_for_function(f"({shown})() === 'player'")
    page.keyboard.press("f")
    page.wait_for_function(f"({shown})() === null")
    page.click("#full")
    page.wait_for_function(f"({shown})() === 'player'")
    expect(page.locator("#stage")).to_be_visible()


def test_the_help_names_the_keys(page: Page, serve: Serve) -> None:
    page.goto(serve(made(lines(quiet()))))
    stage_of(page)
    page.keyboard.press("?")
    help_ = page.locator("#help")
    expect(help_).to_be_visible()
    expect(help_.locator("kbd")).to_have_text(["Space", "←", "→", "n", "p", "<", "-", ">", "+", "f", "?"])
    before = now(page)
    page.keyboard.press("ArrowRight")  # the keys rest behind the help
    assert now(page) == before
    page.keyboard.press("?")
    expect(help_).to_be_hidden()
    page.click("#keys")
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()
    page.keyboard.press("ArrowRight")
    assert now(page) == before + 5_000


def test_windows_are_named_by_their_page_and_the_busiest_opens(page: Page, serve: Serve) -> None:
    page.goto(serve(shop_and_mail()))
    shows(page, ["mail"])
    expect(page.locator("#windows button b, #windows button span")).to_have_text(
        ["1", "shop.test/cart", "2", "mail.test/inbox"]
    )
    expect(page.locator("#windows button").nth(1)).to_have_attribute("title", "Window 2: mail.test/inbox (two)")
    page.click("#tab-details")
    expect(page.locator("#all")).to_contain_text("Window 1: shop.test/cart")


def test_windows_of_one_site_are_named_by_their_path(page: Page, serve: Serve) -> None:
    windows = {
        "one": quiet(3_000, href="http://shop.test/a%20b"),
        "two": quiet(2_000, href="http://shop.test/#/cart"),
        "three": quiet(2_000, href="javascript:'<b>'"),
        "four": [move(5), Builder().snapshot(6, ["nameless"]), move(7)],
    }
    page.goto(serve(made([line for name, events in windows.items() for line in lines(events, name)])))
    shows(page, ["page"])
    expect(page.locator("#windows button")).to_have_text(
        [re.compile(text) for text in ("^1/a b0:", "^2/#/cart0:", "^3'<b>'0:", "^Window 40:")]
    )
