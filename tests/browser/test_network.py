"""The network tab: which requests a page made, and what was sent and answered."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import START, Builder, Event, event, lines, meta
from tests.browser.test_page import move
from tests.browser.test_play import made, now, recording

SAVES = "01a209e3-53d9-7599-8a28-49c84aa7a9ef"
"""It sends a list to its server, and the client recorded headers and bodies."""


def request(at: float, name: str, **more: Any) -> Event:
    one = {"name": name, "entryType": "resource", "timestamp": START + at, "duration": 100, **more}
    return event(6, at, plugin="rrweb/network@1", payload={"requests": [one]})


def test_the_requests_of_a_real_session(page: Page, serve: Serve, sample: Path) -> None:
    played = recording(sample, SAVES)
    assert len(played.requests) > 5
    page.goto(serve(played))
    stage_of(page)
    page.click("#tab-network")
    rows = page.locator("#requests .row")
    expect(rows).to_have_count(len(played.requests))
    expect(page.locator("#requested")).to_have_text(str(len(played.requests)))
    page.fill("#request-search", "post http://app.todolist.test/api/save")
    saved = [one for one in played.requests if one.method == "POST" and one.url.endswith("/api/save")]
    expect(rows).to_have_count(len(saved))
    rows.first.locator(".said").click()
    assert abs(played.start + now(page) - saved[0].at) < 2
    more = page.locator("#requests .more")
    expect(more).to_be_visible()
    for text in ("content-type", "Call the plumber", saved[0].response_body or "", "POST", str(saved[0].status)):
        expect(more).to_contain_text(text)
    more.locator("pre").first.click()  # to read it, so the row stays open
    expect(more).to_be_visible()


def test_failures_are_red_and_can_be_chosen(page: Page, serve: Serve) -> None:
    events = [
        request(1_000, "http://shop.test/fine", initiatorType="img", responseStatus=200),
        request(1_050, "http://shop.test/broken?x=1", initiatorType="fetch", method="PUT", status=503),
        request(9_000, "http://shop.test/lost", initiatorType="xmlhttprequest", method="GET", status=0),
    ]
    page.goto(serve(made(lines([meta(0), Builder().snapshot(1, ["page"]), *events, move(10_000)]))))
    stage_of(page)
    page.click("#tab-network")
    rows = page.locator("#requests .row")
    expect(rows.nth(1)).to_contain_text(re.compile(r"PUT /broken\?x=1\s*503\s*shop.test\s*100 ms"))
    red = page.evaluate("getComputedStyle(document.querySelector('#requests .row.error .said')).color")
    assert red == "rgb(196, 39, 27)"
    page.select_option("#request-kind", "failed")
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text("failed")
    page.select_option("#request-kind", "data")
    expect(rows).to_have_count(2)
    page.fill("#request-search", "nothing like it")
    expect(page.locator("#no-requests")).to_have_text("Nothing matches.")


def test_requests_that_begin_close_to_each_other_share_a_waterfall(page: Page, serve: Serve) -> None:
    events = [request(at, f"/{at}") for at in (1_000, 1_100, 8_000)]
    page.goto(serve(made(lines([meta(0), Builder().snapshot(1, ["page"]), *events, move(10_000)]))))
    stage_of(page)
    page.click("#tab-network")
    places = page.evaluate(
        "[...document.querySelectorAll('.waterfall > span')].map(({ style }) => [style.left, style.width])"
    )
    assert places == [["0%", "50%"], ["50%", "50%"], ["0%", "100%"]]
