"""What the user did, as a list and as marks on the time line."""

import re

from playwright.sync_api import Page, expect

from recording_worker.playing.session import Recording
from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import Builder, click, console, event, lines, meta, mutation
from tests.browser.test_network import request
from tests.browser.test_page import box_of, move
from tests.browser.test_play import click_timeline, made, now


def shop() -> Recording:
    """A window of 40 s in which much goes wrong."""
    make = Builder()
    buy, name = make.element("button", {}, "Buy"), make.element("input", {"placeholder": "Name"})
    clicks = [click(at, buy["id"]) for at in (2_000, 2_200, 2_400)]
    typed = [
        event(3, at, source=5, id=name["id"], text="*" * count, isChecked=False) for count, at in ((1, 7e3), (2, 8e3))
    ]
    return made(
        lines(
            [
                meta(0),
                make.snapshot(1, [buy, name]),
                *clicks,
                move(5_500),
                *typed,
                event(5, 9_000, tag="checkout", payload={"items": 3}),
                request(10_000, "http://shop.test/pay", method="POST", status=500),
                console(12_000, "error", "no pay"),
                mutation(13_000),
                move(40_000),
                move(41_000),
            ]
        )
    )


def test_what_happened_is_listed_and_leads_to_its_time(page: Page, serve: Serve) -> None:
    page.goto(serve(shop()))
    stage_of(page)
    page.click("#tab-steps")
    rows = page.locator("#trail .row")
    expect(rows.locator(".said")).to_have_text(
        [
            "http://shop.test/",
            *["Click on button “Buy”rage clickdead click"] * 3,
            "Input in field “Name”: **",
            "checkout",
            "POST http://shop.test/pay: 500",
            "no pay",
        ]
    )
    rows.nth(5).locator(".said").click()
    assert now(page) == 9_000
    expect(rows.nth(5)).to_contain_text('"items": 3')
    for kind, count in {"trouble": 5, "click": 3, "input": 1, "page": 1, "event": 1, "": 8}.items():
        page.select_option("#step-kind", kind)
        expect(rows).to_have_count(count)
    page.fill("#step-search", "BUY")
    expect(rows).to_have_count(3)


def test_marks_say_what_they_are_and_keys_lead_from_one_to_the_next(page: Page, serve: Serve) -> None:
    page.goto(serve(shop()))
    stage_of(page)
    marks = page.locator(".mark")
    expect(marks).to_have_count(8)
    expect(page.locator(".mark.rage")).to_have_count(3)
    box = box_of(page.locator(".mark.event"))
    page.mouse.move(box["x"] + 1, box["y"] + 2)
    expect(page.locator("#peek")).to_have_text("0:09 checkout")
    for key, at in (("n", 2_000), ("n", 2_200), ("p", 2_000), ("p", 0)):
        page.keyboard.press(key)
        assert now(page) == max(at, 1)  # the page is there from the first millisecond


def test_a_skipped_pause_says_so(page: Page, serve: Serve) -> None:
    page.goto(serve(shop()))
    stage_of(page)
    click_timeline(page, 13_500 / 41_000)
    page.click("#toggle")
    expect(page.locator("#jump")).to_have_text(re.compile(r"Skipped 0:2\d of inactivity"))
