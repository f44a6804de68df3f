"""Debian's Chromium, driven by Playwright. If it is missing, the tests fail; nothing is skipped."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame, Page, expect, sync_playwright

from recording_worker.playing import player
from recording_worker.playing.page import served_page
from recording_worker.playing.server import PlayServer, recording_pages
from recording_worker.playing.session import Recording
from tests.browser.canary import ADDRESS, Canary
from tests.integration.command import run
from tests.sample import SAMPLE

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP *.test {ADDRESS}",
)

expect.set_options(timeout=30_000)

Serve = Callable[[Recording], str]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "no Chromium: run tools/system-packages python3 browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def bare_page(browser: Browser) -> Iterator[Page]:
    """A page of 1280 by 800."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


@pytest.fixture
def page(bare_page: Page) -> Iterator[Page]:
    """The same page; the test fails if a script throws in it."""
    errors: list[str] = []
    bare_page.on("pageerror", lambda error: errors.append(str(error)))
    yield bare_page
    assert errors == []


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a recording, and returns its address."""
    with ExitStack() as running:

        def start(recording: Recording) -> str:
            server = PlayServer(recording_pages(served_page(player.load()), recording), port=0)
            threading.Thread(target=server.run, daemon=True).start()
            running.callback(server.close)
            return server.url

        yield start


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as canary:
        yield canary


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample of real recordings as batch files."""
    out = tmp_path_factory.mktemp("sample") / "out"
    assert run("ingest", SAMPLE, "--out", out, "--any-token").code == 0
    return out / "blocks"


def stage_of(page: Page) -> Frame:
    """The stage's frame, once it has something to play."""
    page.locator("#message").wait_for(state="hidden")
    [stage] = [frame for frame in page.frames if frame.url.startswith("data:")]
    stage.wait_for_selector("#root iframe", state="attached")
    return stage
