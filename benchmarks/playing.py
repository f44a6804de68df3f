"""How long a viewer waits for `play`: `python -m benchmarks.playing`, see docs/data/playing.md.

Wall time: from the command to its address, from opening that to the recorded page, and from a click on the time line to
the page of that time. Each run starts the command again, and opens a new page.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import click
from playwright.sync_api import Browser, Frame, Page, sync_playwright

from tests.batch_files import block, write_batch_file
from tests.browser.rrweb import Builder, Event, added, event, lines, meta, mutation
from tests.browser.rrweb import click as click_on

SESSION = "measured"
CLOCK_MS = 1000
"""How often the recorded page says what time it is, so that a seek can be told from where it came from."""
_SEEKS = (0.5, 0.13, 0.97, 0.51, 0.7, 0.3, 0.8)
_SHOWS = """text => document.querySelector("#root iframe").contentDocument.querySelector("h1")?.textContent === text"""
_ROWS = 400
_MOVED = [{"x": 10 * number, "y": 5 * number, "id": 1, "timeOffset": -50 * number} for number in range(9, -1, -1)]


class Shape(NamedTuple):
    """A recording of a page with 1,600 elements and 2,000 rules of style."""

    name: str
    events: int
    minutes: float
    snapshot_minutes: float
    """How often the client takes a full snapshot."""


SHAPES = (
    Shape("10,000 events", 10_000, 10, 5),
    Shape("10,000 events, one snapshot", 10_000, 10, 10),
    Shape("2 hours", 60_000, 120, 5),
)


def recorded(shape: Shape) -> Iterator[Event]:
    """Yield the events: mouse moves, elements that come and go, scrolling of the page, clicks, and a clock."""
    make, random = Builder(), Random(1)
    length, step = shape.minutes * 60_000, shape.minutes * 60_000 / shape.events
    yield meta(0, width=1280, height=720)
    next_snapshot, next_clock, clock, rows, page = 1.0, 0.0, {}, [], 0
    shown: list[tuple[int, int]] = []
    at = 1.0
    while at < length:
        if at >= next_snapshot:
            next_snapshot += shape.snapshot_minutes * 60_000
            css = "".join(f".c{number}{{color:#{number % 1000:03d};margin:{number % 7}px}} " for number in range(2000))
            rows = [_row(make, number) for number in range(_ROWS)]
            clock = make.element("h1", {}, _clock(at))
            snapshot = make.snapshot(at, [clock, *rows], [make.element("style", {"_cssText": css})])
            page = snapshot["data"]["node"]["id"]
            yield snapshot
            shown, next_clock = [], at + CLOCK_MS
        elif at >= next_clock:
            next_clock = at + CLOCK_MS
            yield mutation(at, texts=[{"id": clock["childNodes"][0]["id"], "value": _clock(at)}])
        else:
            yield _happening(make, random, at, page, random.choice(rows), shown)
        at += step


def _row(make: Builder, number: int) -> Event:
    said = make.element("b", {}, f"row {number}"), make.element("span", {}, f"text {number} " * 3)
    return make.element("div", {"class": f"c{number}"}, *said, make.element("i", {}, "…"))


def _clock(at: float) -> str:
    return f"{at:.0f} ms"


def _happening(make: Builder, random: Random, at: float, page: int, row: Event, shown: list[tuple[int, int]]) -> Event:
    chance = random.random()
    if chance < 0.6:
        return event(3, at, source=1, positions=_MOVED)
    if chance < 0.75:
        return event(3, at, source=3, id=page, x=0, y=random.randrange(500))
    if chance < 0.8:
        return click_on(at, row["id"])
    new = make.element("p", {"class": f"c{random.randrange(2000)}"}, "new")
    shown.append((row["id"], new["id"]))
    gone = [shown.pop(0)] if len(shown) > 300 else []
    return mutation(
        at,
        adds=[added(row["id"], {**new, "childNodes": []}), added(new["id"], new["childNodes"][0])],
        removes=[{"parentId": parent, "id": number} for parent, number in gone],
        attributes=[{"id": row["id"], "attributes": {"class": f"c{random.randrange(2000)}"}}],
    )


class Waited(NamedTuple):
    """Seconds of one run."""

    command: float
    page: float
    seeks: list[float]


def measure(browser: Browser, folder: Path, events: list[Event]) -> Waited:
    began = time.perf_counter()
    with _playing(folder) as url:
        command = time.perf_counter() - began
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        began = time.perf_counter()
        page.goto(url)
        page.locator("#screen:not(.blank)").wait_for()
        _painted(page)
        opened = time.perf_counter() - began
        seeks = [_seek(page, part, events) for part in _SEEKS]
        context.close()
    return Waited(command, opened, seeks)


@contextmanager
def _playing(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "recording_worker", "play", str(folder), "--session", SESSION]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _seek(page: Page, part: float, events: list[Event]) -> float:
    """Click there, and wait until the page shows the clock of that time."""
    lanes = page.locator("#lanes").bounding_box()
    assert lanes is not None
    began = time.perf_counter()
    page.mouse.click(lanes["x"] + part * lanes["width"], lanes["y"] + 5)
    at = float(page.get_attribute("#timeline", "aria-valuenow") or "")
    _stage(page).wait_for_function(_SHOWS, arg=_clock_at(events, at))
    _painted(page)
    return time.perf_counter() - began


def _clock_at(events: list[Event], at: float) -> str:
    """Return what the recorded page's clock says at this time."""
    start, said = events[0]["timestamp"], ""
    for one in events:
        if one["timestamp"] - start > at:
            break
        if one["type"] == 2 or one["data"].get("texts"):
            said = _clock(one["timestamp"] - start)
    return said


def _stage(page: Page) -> Frame:
    [stage] = [frame for frame in page.frames if frame.url.startswith("data:")]
    return stage


def _painted(page: Page) -> None:
    _stage(page).evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@click.command()
@click.option("--runs", default=5, show_default=True, help="How often each recording is opened.")
def main(runs: int) -> None:
    """Print how long a viewer waits for recordings of several shapes: medians and the longest."""
    program = shutil.which("chromium")
    if program is None:
        raise click.ClickException("no Chromium: run tools/system-packages python3 browser")
    print("| recording | size | command | page | start, longest | seek | seek, longest |")
    print("|---|---|---|---|---|---|---|")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for number, shape in enumerate(SHAPES):
            events, folder = list(recorded(shape)), Path(scratch, str(number))
            text = lines(events)
            write_batch_file(folder, block([(1, text)], SESSION))
            runs_done = [measure(browser, folder, events) for _ in range(runs)]
            seeks = [seconds for done in runs_done for seconds in done.seeks]
            times = (
                statistics.median(done.command for done in runs_done),
                statistics.median(done.page for done in runs_done),
                max(done.command + done.page for done in runs_done),
                statistics.median(seeks),
                max(seeks),
            )
            size = f"{sum(map(len, text)) / 1e6:.1f} MB"
            print(f"| {shape.name} | {size} | {' | '.join(f'{seconds:.2f} s' for seconds in times)} |", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
