"""axe-core finds no fault with the page: light and dark, large and small, each of its tabs, closed and unfolded."""

from importlib import resources
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import Builder, click, event, lines, meta
from tests.browser.test_console import log
from tests.browser.test_network import request
from tests.browser.test_page import move
from tests.browser.test_play import made, now

_FOUND = """() => axe.run().then(({ violations }) =>
  violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => [id, html])))"""


def full() -> list[bytes]:
    """A window and another, with something in each tab."""
    make = Builder()
    button = make.element("button", {}, "Buy")
    trace = ("pay (http://shop.test/app.js:1:2)",)
    events = [
        meta(0),
        make.snapshot(1, [button]),
        *[click(at, button["id"]) for at in (1_000, 1_100, 1_200)],
        *[log(at, "state %o", {"a": 1, "list": [True, "x"]}, level="log") for at in (2_000, 2_001)],
        log(3_000, "slow", level="warn"),
        log(3_500, [{"a": 1}, {"b": "x"}], level="table"),
        log(4_000, "no pay", level="error", trace=trace),
        event(5, 5_000, tag="checkout", payload={"items": 3}),
        request(6_000, "http://shop.test/pay", method="POST", status=500, requestBody="{}", requestHeaders={"a": "b"}),
        request(7_000, "http://shop.test/fine", status=200, duration=50, transferSize=2_000),
        move(30_000),
    ]
    second = [meta(50, href="http://shop.test/second"), Builder().snapshot(60, ["second"]), move(2_000)]
    return lines(events, "one") + lines(second, "two")


def faults(page: Page) -> list[list[str]]:
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found: list[list[str]] = page.evaluate(_FOUND)
    return found


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("dark", 390)])
def test_nothing_is_found(browser: Browser, serve: Serve, scheme: Literal["light", "dark"], width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(serve(made(full())))
    stage_of(page)
    assert faults(page) == []
    for tab, box in {"console": "log", "network": "requests", "steps": "trail"}.items():
        page.click(f"#tab-{tab}")
        for row in page.locator(f"#{box} .row").all():
            row.locator(".said").click(position={"x": 3, "y": 3})
        for summary in page.locator(f"#{box} summary").all():
            summary.click()
        assert now(page) > 0
        assert faults(page) == [], tab
    page.click("#tab-details")
    assert faults(page) == []
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    assert faults(page) == []
    context.close()
