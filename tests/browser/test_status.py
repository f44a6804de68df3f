"""The status page in a real browser: live, on a phone, in the dark, by keyboard, and without scripts."""

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from recording_worker.processes.supervisor.ops_server import OpsServer
from recording_worker.processes.supervisor.status import PartitionStatus, Status
from tests.status_page import Host

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

_FAINT = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const back = (element) => {
    for (; element; element = element.parentElement) {
      const color = parse(getComputedStyle(element).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(back(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) faint.push([element.tagName, element.textContent, contrast]);
  }
  return faint;
}"""
"""JavaScript: the texts whose contrast is less than WCAG's AA asks for, which is 4.5."""


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def url(host: Host) -> Iterator[str]:
    server = OpsServer(host.pages, "127.0.0.1", 0)
    yield "http://{}:{}/".format(*server.address)
    server.close()


def test_it_says_within_seconds_how_the_host_is(page: Page, host: Host, url: str) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    host.works()
    page.goto(url)
    state = page.get_by_role("status")
    expect(state).to_have_text("Recording")
    assert state.get_attribute("aria-live") == "polite"
    expect(page.locator("#lag")).to_have_text("2 s")
    expect(page.locator("#bottleneck")).to_have_text("none")
    expect(page.locator("#memory")).to_have_text("500 MiB of 1 GiB")
    expect(page.get_by_role("row", name="Storage")).to_contain_text("answers in 62 ms")
    expect(page.get_by_role("table", name="Workers").get_by_role("rowheader")).to_have_text(["0", "1"])
    expect(page.locator("#flushes")).to_contain_text("(gather 5 %, compress 20 %, store 60 %, deliver 15 %)")
    points = page.locator("svg.line .stroke").evaluate_all("each => each.map((one) => one.points.length)")
    assert points == [180] * 6
    host.fails()  # the page asks again by itself
    expect(page.locator("#state")).to_have_text("Not ready")
    expect(page.locator("#reasons")).to_contain_text("Storage: failing for 124 s")
    expect(page.locator("#bottleneck")).to_have_text("Storage")
    expect(page.get_by_role("row", name="Storage failing")).to_contain_text("Nothing more is read once memory is full.")
    expect(page.get_by_role("table", name="Last errors")).to_contain_text("worker 1 ended")
    expect(page).to_have_title("⚠ Not ready: " + page.evaluate("fetch('status.json').then((a) => a.json())")["host"])
    assert said == [], "nothing is refused, and nothing fails"


def test_what_comes_from_outside_is_text(page: Page, host: Host, url: str) -> None:
    host.works()
    hostile = "<img src=x onerror=alert(1)>"
    stopped = PartitionStatus(0, 0, 0, 0, 0, hostile, False)
    host.status = Status(host.clock.monotonic(), (hostile,), host.status.workers, (stopped,))
    page.goto(url)
    expect(page.locator("#reasons")).to_have_text(hostile)
    page.get_by_text("Partitions", exact=False).first.click()
    expect(page.locator("#partitions")).to_contain_text(hostile)
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(browser: Browser, host: Host, url: str, scheme: str) -> None:
    for size, state in itertools.product((PHONE, DESKTOP), (host.works, host.fails)):
        state()
        context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type] # a literal type
        page = context.new_page()
        page.goto(url)
        expect(page.locator("#live")).to_be_visible()
        for more in page.locator("summary").all():
            more.click()
        expect(page.locator("#settings")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
        assert page.evaluate(_FAINT) == []
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((one) => one < 64)")
        assert dark == (scheme == "dark")
        context.close()


def test_by_keyboard_it_can_be_paused_and_opened(page: Page, host: Host, url: str) -> None:
    host.works()
    page.goto(url)
    pause = page.get_by_role("button", name="Pause")
    expect(pause).to_be_visible()
    page.keyboard.press("Tab")
    expect(pause).to_be_focused()
    page.keyboard.press("Enter")
    assert pause.get_attribute("aria-pressed") == "true"
    expect(page.locator("#pulse")).to_contain_text("Paused at ")
    host.fails()
    with page.expect_response("**/status.json"):
        pass
    expect(page.locator("#state")).to_have_text("Recording")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#partitions")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Not ready")
    expect(page.locator("#partitions")).to_be_visible()


def test_an_old_state_is_marked_as_old(page: Page, host: Host) -> None:
    host.works()
    server = OpsServer(host.pages, "127.0.0.1", 0)
    page.clock.install()
    page.goto("http://{}:{}/".format(*server.address))
    expect(page.locator("#state")).to_have_text("Recording")
    server.close()
    page.clock.run_for(10_000)
    expect(page.locator("#pulse")).to_contain_text("No answer since ")
    expect(page.locator("#live")).to_have_class("late")


def test_without_scripts_it_shows_the_essential(browser: Browser, host: Host, url: str) -> None:
    host.fails()
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)  # type: ignore[arg-type] # a TypedDict
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_role("heading", name="Not ready")).to_be_visible()
    expect(page.get_by_role("row", name="Bottleneck")).to_contain_text("Storage")
    expect(page.get_by_role("table", name="Workers")).to_be_visible()
    expect(page.locator("#live")).to_be_hidden()
    context.close()
