"""The list of sessions in a real browser: it finds, sorts and opens sessions, and nothing in it runs."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from recording_worker.playing import player
from recording_worker.playing.page import served_page
from recording_worker.playing.server import PlayServer
from recording_worker.playing.session import recording_of
from recording_worker.playing.session_pages import SessionPages
from recording_worker.reading.catalogue import Catalogue
from recording_worker.reading.session_events import session_lines
from recording_worker.reading.session_list import SessionList, Wanted
from recording_worker.storage.local.file import find_files
from tests.batch_files import block, line, undamaged, write_batch_file
from tests.browser.canary import Canary
from tests.browser.conftest import stage_of
from tests.browser.test_axe import faults
from tests.browser.test_play import CONSOLE, TODO
from tests.builders import NOW_MS

Listing = Callable[[Path], str]


@pytest.fixture
def listing(tmp_path: Path) -> Iterator[Listing]:
    """Serves the list of the sessions in a folder, whose blocks are read already, and returns its address."""
    with ExitStack() as running:

        def start(folder: Path) -> str:
            sessions = SessionList(Catalogue(tmp_path / "list.sqlite"))
            assert sessions.update(find_files([str(folder)])) == []
            sessions.read_contents()

            def list_files() -> list[str]:
                return [str(problem) for problem in sessions.update(find_files([str(folder)]))]

            pages = SessionPages(sessions, served_page(player.load(), in_list=True), None, [], list_files)
            server = PlayServer(pages, 0)
            threading.Thread(target=server.run, daemon=True).start()
            running.callback(server.close)
            return server.url

        yield start


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_no_fault_with_the_list(
    browser: Browser, listing: Listing, sample: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(listing(sample))
    expect(page.locator("#sessions a")).to_have_count(12)
    assert faults(page) == []
    page.fill("#text", "found nowhere")
    expect(page.locator("#none")).to_be_visible()
    assert faults(page) == []
    context.close()


def ids(page: Page) -> list[str]:
    return page.locator("#sessions a").all_inner_texts()


def test_sessions_are_searched_sorted_filtered_and_opened(page: Page, listing: Listing, sample: Path) -> None:
    page.goto(listing(sample))
    total = page.locator("#total")
    expect(total).to_have_text("12 sessions")
    assert ids(page)[1] == CONSOLE, "the latest comes first"
    page.fill("#text", "NORTHWIND.test/customers")
    expect(total).to_have_text("1 of 12 sessions")
    page.select_option("#place", "user")
    expect(page.locator("#none")).to_be_visible()
    page.fill("#text", "ADA@")
    expect(total).to_have_text("1 of 12 sessions")
    expect(page.locator("#sessions tr")).to_contain_text("ada@example.test")
    page.click("#clear")
    expect(total).to_have_text("12 sessions")

    page.click("[data-sort=errors]")
    expect(page.locator("#sessions .bad").first).to_have_text("20")
    assert ids(page)[0] == CONSOLE
    page.click("[data-sort=duration]")
    expect(page.locator("#sessions a").first).to_have_text(TODO)
    page.click("[data-sort=duration]")
    expect(page.locator("[aria-sort=ascending]")).to_have_text("Length")
    expect(page.locator("#sessions a").last).to_have_text(TODO)

    page.fill("#errors", "1")
    expect(total).to_have_text("2 of 12 sessions")
    page.fill("#since", "2026-11-23T19:30")
    expect(total).to_have_text("1 of 12 sessions")
    page.locator("#sessions tr").click()
    stage_of(page)
    assert page.inner_text("#session") == CONSOLE
    page.click("#back")
    expect(total).to_have_text("1 of 12 sessions")
    assert (page.input_value("#errors"), page.input_value("#since")) == ("1", "2026-11-23T19:30")
    page.fill("#since", "")
    page.select_option("#playable", "false")
    expect(page.locator("#none")).to_be_visible()


def test_the_list_counts_what_the_player_counts(sample: Path, tmp_path: Path) -> None:
    sessions = SessionList(Catalogue(tmp_path / "list.sqlite"))
    sessions.update(find_files([str(sample)]))
    sessions.read_contents()
    listed = sessions.search(Wanted()).sessions
    assert len(listed) == 12
    for session in listed:
        blocks = sessions.blocks((session.team_id, session.session_id))
        played = recording_of(blocks, session_lines(blocks, undamaged))
        counts = Counter(clicks=session.clicks, error=session.errors, warn=session.warnings)
        assert counts == Counter({name: played.counts[name] for name in ("clicks", "error", "warn")})
        assert session.url == played.urls[0][1]
        for _, url, _ in played.urls:
            assert session.session_id in [one.session_id for one in sessions.search(Wanted(url=url)).sessions]


HOSTILE = [
    "<img src={url}img onerror=alert(1)>",
    "..",
    ".",
    "a/../../b?c#d",
    "%2e%2e%2f",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "'\"><script>fetch('{url}')</script>",
    "x" * 3000,
    "\n\0",
    "",
]


def test_hostile_ids_users_and_addresses_are_only_text(
    page: Page, listing: Listing, canary: Canary, tmp_path: Path
) -> None:
    folder = tmp_path / "storage"
    hostile = [text.replace("{url}", canary.url()) for text in HOSTILE]
    for number, text in enumerate(hostile):
        events: list[dict[str, Any]] = [
            {"type": 4, "data": {"href": f"javascript:alert(1)//{text}", "width": 10, "height": 10}},
            {"type": 6, "data": {"plugin": "rrweb/console@1", "payload": {"level": "error", "payload": [text]}}},
        ]
        lines = [json.dumps([text, {"timestamp": NOW_MS + number, **event}]).encode() for event in events]
        entry, content = block([(number, lines)], text, 2**63 - 1 - number)
        write_batch_file(folder, (replace(entry, distinct_id=text), content))
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    url = listing(folder)
    page.goto(f"{url}#%7B%22team%22%3A%22%3Cimg%3E%22%2C%22sort%22%3A%22constructor%22%2C%22text%22%3A%22%22%7D")
    expect(page.locator("#sessions tr")).to_have_count(len(hostile))
    assert page.locator("#sessions img, #sessions script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a long text makes nothing wider"
    links = [link.get_attribute("href") or "" for link in page.locator("#sessions a").all()]
    for link, text in zip(links, reversed(hostile), strict=True):
        page.goto(f"{url}{link}")
        expect(page.locator("#messages")).to_have_text("1")
        assert page.evaluate("document.querySelector('#session').textContent") == text
        assert page.url.startswith(url)
    page.click("#back")
    expect(page.locator("#sessions tr")).to_have_count(len(hostile))
    page.fill("#text", hostile[0])
    expect(page.locator("#sessions tr")).to_have_count(1)
    page.select_option("#team", str(2**63 - 1))
    expect(page.locator("#sessions tr")).to_have_count(1)
    assert canary.heard == []


def test_a_phone_shows_all_of_it_without_scrolling_aside(page: Page, listing: Listing, sample: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(listing(sample))
    expect(page.locator("#sessions tr")).to_have_count(12)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.click("[data-sort=clicks]")
    expect(page.locator("#sessions a").first).to_have_text(TODO)
    first = page.locator("#sessions tr").first
    assert [first.locator(f".{kind}").first.is_visible() for kind in ("id", "user", "page", "date")] == [True] * 4


def test_more_sessions_than_a_page_holds_come_on_demand(page: Page, listing: Listing, tmp_path: Path) -> None:
    lines = [b'["w",{"type":3,"timestamp":%d,"data":{}}]' % (NOW_MS + number) for number in range(130)]
    blocks = [block([(number, [text])], f"s{number}") for number, text in enumerate(lines)]
    write_batch_file(tmp_path / "storage", *blocks)
    page.goto(listing(tmp_path / "storage"))
    expect(page.locator("#sessions tr")).to_have_count(100)
    page.click("#more")
    expect(page.locator("#sessions tr")).to_have_count(130)
    expect(page.locator("#more")).to_be_hidden()
    assert ids(page) == [f"s{number}" for number in reversed(range(130))]


def test_a_reload_shows_new_files(page: Page, listing: Listing, tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    write_batch_file(folder, block([(1, [line(NOW_MS)])], "old"))
    page.goto(listing(folder))
    expect(page.locator("#sessions a")).to_have_text(["old"])
    write_batch_file(folder, block([(2, [line(NOW_MS + 1)])], "new"))
    page.reload()
    expect(page.locator("#sessions a")).to_have_text(["new", "old"])


def test_it_says_so_when_its_server_is_gone(bare_page: Page, listing: Listing, sample: Path) -> None:
    bare_page.goto(listing(sample))
    expect(bare_page.locator("#sessions tr")).to_have_count(12)
    bare_page.route("**/found/**", lambda route: route.abort())
    bare_page.fill("#text", "x")
    expect(bare_page.locator("#failed")).to_contain_text("Is recording-worker still running?")
