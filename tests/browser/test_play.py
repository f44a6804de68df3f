"""Plays recordings in a real browser: it shows what the events say."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from recording_worker.formats.batch_file import BatchFileError, BatchIndex
from recording_worker.playing import player
from recording_worker.playing.page import whole_page
from recording_worker.playing.session import Recording, recording_of
from recording_worker.reading.batch_files import Block, read_blocks
from recording_worker.reading.session_events import session_lines
from recording_worker.storage.local.file import LocalFile, find_files
from tests.batch_files import block, undamaged
from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import SHOWN_TEXTS, START, Builder, Event, event, lines, meta, mutation, shown_texts
from tests.builders import NOW_MS
from tests.integration.command import run, start

TODO = "01a209e4-1327-71c0-9917-96265f43c414"
"""Two windows; pages change under it."""
MEDIA = "01a209dd-00b1-7b9c-b182-2e69791514ba"
CONSOLE = "01a209e4-3f60-701e-bd31-faaac0e41168"
ADMIN = "01a209e2-57e5-7b0d-9fc1-c6b15ecb7a35"

_PICTURE = """(src) => [...document.querySelector("#root iframe").contentDocument.querySelectorAll("canvas")].some(
  (canvas) => getComputedStyle(canvas).content.includes(src) && canvas.offsetWidth > 100)"""
_WATCH = """() => {
  window.passed = [];
  const line = document.querySelector("#timeline");
  const note = () => window.passed.push(Number(line.getAttribute("aria-valuenow")));
  new MutationObserver(note).observe(line, { attributeFilter: ["aria-valuenow"] });
}"""
"""Records each time that is shown from now on."""
_IS = f"(expected) => JSON.stringify(({SHOWN_TEXTS})()) === expected"


def blocks_of(folder: Path, session: str) -> list[Block]:
    found = []
    for file_blocks in read_blocks(find_files([str(folder)])):
        assert not isinstance(file_blocks, BatchFileError)
        found += [block for block in file_blocks if block.entry.session_id == session]
    return found


def recording(folder: Path, session: str) -> Recording:
    blocks = blocks_of(folder, session)
    return recording_of(blocks, session_lines(blocks, undamaged))


def made(of_events: list[bytes]) -> Recording:
    """A recording of these lines."""
    entry, _ = block([(1, of_events)])
    index = BatchIndex(1, "batch", "zstd", "30d", NOW_MS, [entry])
    return recording_of([Block(LocalFile(Path("file")), index, entry)], of_events)


def events(recording: Recording, window: int) -> list[Event]:
    return [json.loads(line)[1] for line in recording.windows[window].lines]


def listed(recording: Recording) -> int:
    """The number of console messages that are shown: the ends of groups are not."""
    return sum(said.method != "groupEnd" for said in recording.console)


def now(page: Page) -> float:
    """The time that is shown, in milliseconds since the session's start."""
    return float(page.get_attribute("#timeline", "aria-valuenow") or "")


def click_timeline(page: Page, part: float) -> None:
    box = page.locator("#lanes").bounding_box()
    assert box
    page.mouse.click(box["x"] + part * box["width"], box["y"] + 5)


def shows(page: Page, expected: list[str]) -> None:
    """Wait until the stage shows these texts."""
    stage_of(page).wait_for_function(_IS, arg=json.dumps(expected, ensure_ascii=False, separators=(",", ":")))


@pytest.mark.parametrize("session", [TODO, CONSOLE, ADMIN])
def test_the_page_shown_is_what_the_events_say(page: Page, serve: Serve, sample: Path, session: str) -> None:
    played = recording(sample, session)
    page.goto(serve(played))
    stage_of(page)
    seen = []
    for part in (0.2, 0.9, 0.6):  # back and forward
        click_timeline(page, part)
        at = played.start + now(page)
        expected = shown_texts(events(played, 0), at)
        assert len(expected) > 5
        shows(page, expected)
        seen.append(expected)
    assert seen[0] != seen[1] or session == ADMIN  # its tables stay


def test_canvases_show_what_was_drawn(page: Page, serve: Serve, sample: Path) -> None:
    played = recording(sample, MEDIA)
    drawings = [item for item in events(played, 0) if item["type"] == 3 and item["data"]["source"] == 9]
    assert len(drawings) > 10
    page.goto(serve(played))
    stage = stage_of(page)
    seen = set()
    for part in (0.3, 0.5):
        click_timeline(page, part)
        last = max((item for item in drawings if item["timestamp"] < played.start + now(page)), key=_time)
        [*_, drawing] = last["data"]["commands"]
        picture = drawing["args"][0]["args"][0]["data"][0]["base64"]
        stage.wait_for_function(_PICTURE, arg=f"data:image/webp;base64,{picture}")
        seen.add(picture)
    assert len(seen) == 2


def _time(item: Event) -> float:
    return float(item["timestamp"])


def test_it_plays_and_ends(page: Page, sample: Path) -> None:
    with start("play", sample, "--session", CONSOLE) as process:
        assert process.stdout is not None
        page.goto(process.stdout.readline().strip())
        stage_of(page)
        played = recording(sample, CONSOLE)
        shows(page, shown_texts(events(played, 0), played.start + now(page) + 1))
        page.select_option("#speed", "8")
        page.click("#begin")
        expect(page.locator("#toggle")).to_have_attribute("aria-label", "Pause")
        expect(page.locator("#toggle")).to_have_attribute("aria-label", "Play")
        expect(page.locator("#now")).to_have_text("0:23")
        shows(page, shown_texts(events(played, 0), played.end + 1))
        process.terminate()
        assert process.wait() == 0


def test_pauses_are_skipped(page: Page, serve: Serve, sample: Path) -> None:
    played = recording(sample, TODO)
    [(_, first_end), (second, _)] = played.windows[0].active
    assert second - first_end > 10_000
    page.goto(serve(played))
    stage_of(page)
    click_timeline(page, (first_end - 300 - played.start) / (played.end - played.start))
    page.evaluate(_WATCH)
    page.click("#toggle")
    page.wait_for_function("(from) => window.passed.at(-1) > from", arg=second - played.start - 600)
    passed = [played.start + at for at in page.evaluate("window.passed")]
    assert [at for at in passed if first_end + 1_000 < at < second - 1_000] == []


def test_a_window_is_chosen(page: Page, serve: Serve, sample: Path) -> None:
    played = recording(sample, ADMIN)
    page.goto(serve(played))
    stage_of(page)
    tabs = page.locator("#windows button")
    expect(tabs).to_have_count(2)
    tabs.nth(1).click()
    expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
    at = played.start + now(page)
    assert at >= (played.windows[1].playable_from or 0)
    shows(page, shown_texts(events(played, 1), at + 1))
    assert played.windows[1].id in (tabs.nth(1).get_attribute("title") or "")
    expect(page.locator("#url")).to_have_text(next(url for _, url, window in played.urls if window == 1))


def test_the_console_leads_to_its_time(page: Page, serve: Serve, sample: Path) -> None:
    played = recording(sample, CONSOLE)
    said = [message for message in played.console if message.level == "error"]
    page.goto(serve(played))
    stage_of(page)
    assert page.inner_text("#messages") == str(listed(played))
    page.select_option("#level", "error")
    rows = page.locator("#log .row")
    expect(rows).to_have_count(len(said))
    rows.nth(5).click()
    assert abs(played.start + now(page) - said[5].at) < 2
    shows(page, shown_texts(events(played, 0), said[5].at))
    expect(page.locator("#log .row.current .said")).to_contain_text("error Error: boom 30")
    page.select_option("#level", "")
    page.fill("#search", "</SCRIPT>")
    expect(rows).to_have_count(sum("</script>" in message.text for message in played.console))
    page.fill("#search", "nobody says this")
    expect(page.locator("#none")).to_have_text("Nothing matches.")


def test_what_can_not_be_played_says_why(page: Page, serve: Serve) -> None:
    make = Builder()
    blind = lines([meta(0), event(3, 1, source=3, id=1, x=0, y=0)], window="blind")
    late = lines(
        [event(3, 2, source=1, positions=[]), make.snapshot(5_000, ["late"]), event(3, 6_000, source=1)], "late"
    )
    page.goto(serve(made(blind + late)))
    shows(page, ["late"])  # the first that can be played
    assert now(page) == 5_000
    click_timeline(page, 0.1)
    page.locator("#windows button").first.click()
    expect(page.locator("#message")).to_contain_text("it has no full snapshot")
    expect(page.locator("#verdict")).to_have_text("1 of 2 windows playable")
    expect(page.locator("#toggle")).to_be_disabled()
    page.goto(serve(made(late)))
    expect(page.locator("#verdict")).to_have_text("Playable from 0:04")
    page.goto(serve(made(blind)))
    expect(page.locator("#verdict")).to_have_text("Not playable")
    page.goto(serve(made([b"no event"])))
    expect(page.locator("#message")).to_have_text("No event of this session can be read.")


def test_an_event_that_can_not_be_played_is_skipped(page: Page, serve: Serve) -> None:
    make = Builder()
    paragraph = make.element("p", {}, "before")
    odd = [
        event(2, 100, node={"type": 2}),
        mutation(200, adds=[{"parentId": 1}]),
        {"type": 3, "timestamp": START + 300},
    ]
    change = mutation(900, texts=[{"id": paragraph["childNodes"][0]["id"], "value": "after"}])
    page.goto(serve(made(lines([meta(0), make.snapshot(1, [paragraph]), *odd, change, event(3, 1_000, source=1)]))))
    shows(page, ["before"])
    page.click("#begin")
    shows(page, ["after"])
    page.click("#tab-details")
    expect(page.locator("#skipped")).to_contain_text("Events that can't be played, and are skipped: ")


def test_details_and_pages(page: Page, serve: Serve, sample: Path) -> None:
    played = recording(sample, TODO)
    page.goto(serve(played))
    stage_of(page)
    expect(page.locator("#session")).to_have_text(TODO)
    expect(page.locator("#verdict")).to_have_text("Playable from the start")
    page.click("#tab-details")
    details = page.inner_text("#details")
    for text in (r"Events\s+332", r"Clicks\s+23", r"Key presses\s+59", r"Window 2: /\S*\s+170 events, 0:12.0:35"):
        assert re.search(text, details), text
    page.click("#tab-steps")
    page.select_option("#step-kind", "page")
    expect(page.locator("#trail .said")).to_have_text([url for _, url, _ in played.urls])


def test_the_keyboard(page: Page, serve: Serve, sample: Path) -> None:
    page.goto(serve(recording(sample, TODO)))
    stage_of(page)
    page.focus("#timeline")
    before = now(page)
    page.keyboard.press("ArrowRight")
    assert now(page) == pytest.approx(before + 5_000, abs=2)
    page.keyboard.press("ArrowLeft")
    assert now(page) == pytest.approx(before, abs=2)
    page.keyboard.press("Space")
    expect(page.locator("#toggle")).to_have_attribute("aria-label", "Pause")


def test_a_file_plays_without_a_server(page: Page, sample: Path, tmp_path: Path) -> None:
    target = tmp_path / "session.html"
    done = run("play", sample, "--session", CONSOLE, "--html", target)
    assert (done.code, done.out, done.err) == (0, f"Written to {target}\n", "")
    played = recording(sample, CONSOLE)
    page.goto(target.as_uri())
    stage_of(page)
    expect(page.locator("#log .row")).to_have_count(listed(played))
    click_timeline(page, 0.5)
    shows(page, shown_texts(events(played, 0), played.start + now(page)))


@pytest.mark.parametrize("width", [390, 820])
def test_small_screens_need_no_scrolling_sideways(page: Page, sample: Path, tmp_path: Path, width: int) -> None:
    target = tmp_path / "session.html"
    target.write_text("".join(whole_page(player.load(), recording(sample, TODO))))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(target.as_uri())
    stage_of(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
