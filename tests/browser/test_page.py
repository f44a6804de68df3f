"""The page around the recorded page: what it offers the viewer, and what it says if there is little to see."""

import re

from playwright.sync_api import FloatRect, Locator, Page, expect

from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import Builder, click, console, event, lines, meta, mutation
from tests.browser.test_play import click_timeline, made, now, shows


def move(at: float) -> dict[str, object]:
    """The mouse moves."""
    return event(3, at, source=1, positions=[{"x": 5, "y": 5, "id": 1, "timeOffset": 0}])


def chatty(messages: int) -> list[bytes]:
    """A window of 10 s whose console messages are spread evenly."""
    said = [console(2 + at * 10_000 / messages, "log", f"message {at}") for at in range(messages)]
    return lines([meta(0), Builder().snapshot(1, ["page"]), *said, move(10_000)])


def box_of(found: Locator) -> FloatRect:
    box = found.bounding_box()
    assert box
    return box


def height(found: Locator) -> float:
    return box_of(found)["height"]


def is_in_view(page: Page, inner: str, outer: str) -> bool:
    """Whether one element is within the other, up and down."""
    inside, around = box_of(page.locator(inner)), box_of(page.locator(outer))
    bottoms = [box["y"] + box["height"] for box in (inside, around)]
    return inside["y"] >= around["y"] - 1 and bottoms[0] <= bottoms[1] + 1


def test_the_large_button_goes_when_it_is_not_needed(page: Page, serve: Serve) -> None:
    page.goto(serve(made(chatty(1))))
    stage_of(page)
    expect(page.locator("#begin")).to_be_visible()
    click_timeline(page, 0.5)
    expect(page.locator("#begin")).to_be_hidden()


def test_the_console_follows_the_time_and_leaves_its_reader_alone(page: Page, serve: Serve) -> None:
    page.goto(serve(made(chatty(200))))
    stage_of(page)
    current = page.locator("#log .row.current .said")
    for part, number in ((0.505, 101), (0.955, 191), (0.105, 21)):
        click_timeline(page, part)
        assert abs(int((current.text_content() or "").strip('"').split()[1]) - number) <= 1
        assert is_in_view(page, "#log .row.current", "#log")
    # once what the last click began is drawn: until then the page may still move rows
    drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(f"document.fonts.ready.then(() => {drawn})")
    page.evaluate("document.querySelector('#log').scrollTop = 3000")
    page.evaluate(drawn)
    before = page.evaluate("document.querySelector('#log').scrollTop")
    assert before > 2_500
    click_timeline(page, 0.105)  # no new message
    assert page.evaluate("document.querySelector('#log').scrollTop") == before


def test_a_long_message_opens_and_can_be_copied(page: Page, serve: Serve) -> None:
    text = "words " * 300
    page.goto(serve(made(lines([meta(0), Builder().snapshot(1, ["page"]), console(5, "error", text), move(9_000)]))))
    stage_of(page)
    row, said = page.locator("#log .row"), page.locator("#log .said")
    closed = height(said)
    row.click(position={"x": 100, "y": 10})
    assert height(said) > 2 * closed
    said.select_text()
    row.click(position={"x": 100, "y": 10}, modifiers=["Shift"])  # extends the selection
    assert height(said) > 2 * closed
    page.evaluate("getSelection().removeAllRanges()")
    page.locator("#log .row button").press("Enter")
    assert height(said) == closed


def test_playing_continues_in_the_window_that_continues(page: Page, serve: Serve) -> None:
    make = Builder()
    first = [meta(0), make.snapshot(1, ["first"]), move(700)]
    blind = [event(3, 10, source=3, id=1, x=0, y=0), move(30_000)]
    short = [meta(20), make.snapshot(21, ["short"]), move(900)]
    second = [meta(500), make.snapshot(501, ["second"]), *[move(at) for at in range(600, 3_000, 100)]]
    windows = {"first": first, "blind": blind, "short": short, "second": second}
    page.goto(serve(made([line for name, events in windows.items() for line in lines(events, name)])))
    page.locator("#windows button").first.click()
    shows(page, ["first"])
    page.click("#begin")
    shows(page, ["second"])
    expect(page.locator("#windows button").nth(3)).to_have_attribute("aria-selected", "true")
    assert now(page) >= 700
    expect(page.locator("#toggle")).to_have_attribute("aria-label", "Play")  # the end
    assert now(page) == 2_900


def test_at_the_end_the_last_event_is_shown(page: Page, serve: Serve) -> None:
    make = Builder()
    text = make.text("before")
    last = mutation(4_000, texts=[{"id": text["id"], "value": "after"}])
    other = lines([meta(0), Builder().snapshot(1, ["other"]), move(9_000)], "other")
    page.goto(serve(made(lines([meta(0), make.snapshot(1, [text]), move(3_000), move(3_500), last]) + other)))
    page.locator("#windows button").first.click()
    shows(page, ["before"])
    page.keyboard.press("ArrowRight")
    shows(page, ["after"])
    assert now(page) == 4_000
    page.wait_for_timeout(200)  # nothing may follow: the viewer only looks
    expect(page.locator("#toggle")).to_have_attribute("aria-label", "Play")
    expect(page.locator("#windows button").first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    shows(page, ["before"])
    page.keyboard.press("Space")
    shows(page, ["after"])
    shows(page, ["other"])  # playing goes on in the window that goes on


def test_a_page_is_there_from_when_its_address_is_known(page: Page, serve: Serve) -> None:
    """A step or a link that leads to a new page shows that page, and not the one before."""
    second = [meta(5_000, href="http://shop.test/second"), Builder().snapshot(5_040, ["second"])]
    events = [meta(0), Builder().snapshot(1, ["first"]), move(4_999), *second, move(10_000)]
    page.goto(serve(made(lines(events))))
    shows(page, ["first"])
    page.click("#tab-steps")
    page.locator("#trail .row", has_text="second").locator("button").click()
    shows(page, ["second"])
    assert now(page) == 5_000
    page.keyboard.press("ArrowLeft")
    shows(page, ["first"])


def test_nothing_before_a_page_is_played(page: Page, serve: Serve) -> None:
    """So a seek takes the same time however long the session is, also if the client named a page's size only once."""
    odd = mutation(2_000, adds=[{"parentId": 1, "nextId": None, "node": {"type": 3, "id": 9_999}}])
    resized = event(3, 3_000, source=4, width=500, height=300)
    later = [Builder().snapshot(5_000, ["second"]), move(6_000), meta(6_500, width=10**9, height=-4), move(8_000)]
    events = [meta(0), Builder().snapshot(1, ["first"]), odd, resized, *later, event(3, 10_000, source=4, width="x")]
    page.goto(serve(made(lines(events))))
    stage = stage_of(page)
    stage.evaluate("""() => {
      const { prototype } = rrwebReplay.Replayer, apply = prototype.applyMutation;
      prototype.applyMutation = function (...given) {
        window.mutations = (window.mutations || 0) + 1;
        return apply.apply(this, given);
      };
    }""")
    frame = "document.querySelector('#root iframe')"
    for part, size in ((0.55, "500,300"), (0.7, "16384,800"), (0.99, "16384,800"), (1, "1280,800")):
        click_timeline(page, part - 0.001)
        if part == 1:
            page.keyboard.press("ArrowRight")
        shows(page, ["second"])
        stage.wait_for_function(f"(size) => `${{{frame}.width}},${{{frame}.height}}` === size", arg=size)
    assert stage.evaluate("window.mutations") is None
    click_timeline(page, 0.35)
    shows(page, ["first"])
    assert stage.evaluate("window.mutations") == 1


def test_the_chosen_one_of_many_windows_is_in_view(page: Page, serve: Serve) -> None:
    make = Builder()
    windows = [
        lines([meta(at), make.snapshot(at + 1, [f"window {at}"]), click(at + 500, 1)], f"window-{at}")
        for at in range(0, 30_000, 1_000)
    ]
    page.goto(serve(made([line for window in windows for line in window])))
    shows(page, ["window 0"])
    page.evaluate("document.querySelector('#windows').lastChild.click()")
    shows(page, ["window 29000"])
    assert is_in_view(page, ".lane.chosen", "#lanes")
    assert height(page.locator(".lane.chosen")) == 14
    tab, tabs = box_of(page.locator("#windows button").last), box_of(page.locator("#windows"))
    assert tab["x"] + tab["width"] <= tabs["x"] + tabs["width"] + 1


def test_the_mouse_is_shown_once_its_position_is_known(page: Page, serve: Serve) -> None:
    page.goto(serve(made(lines([meta(0), Builder().snapshot(1, ["page"]), move(4_000), move(5_000)]))))
    mouse = stage_of(page).locator(".replayer-mouse")
    expect(mouse).to_be_hidden()
    click_timeline(page, 0.9)
    expect(mouse).to_be_visible()


def test_what_styles_select_by_is_rebuilt(page: Page, serve: Serve) -> None:
    make = Builder()
    css = """[data-theme=dark] x-button[variant=primary].large { color: rgb(1, 2, 3) }
        p[aria-current=page][lang=en][_ngcontent-a] { color: rgb(4, 5, 6) }
        circle[r='5'] { fill: rgb(7, 8, 9) }"""
    circle = {**make.element("circle", {"r": "5", "fill-opacity": "0.5"}), "isSVG": True}
    body = [
        make.element("div", {"data-theme": "dark"}, make.element("x-button", {"variant": "primary", "class": "large"})),
        make.element("p", {"aria-current": "page", "lang": "en", "_ngcontent-a": ""}, "shown"),
        {**make.element("svg", {"viewBox": "0 0 10 10"}, circle), "isSVG": True},
        make.element("gone", {"onclick": "x()"}, "in an element that nobody knows"),
    ]
    snapshot = make.snapshot(1, body, [make.element("style", {"_cssText": css})])
    page.goto(serve(made(lines([meta(0), snapshot, move(10_000)]))))
    stage = stage_of(page)
    stage.wait_for_function("() => document.querySelector('#root iframe')?.contentDocument.body?.innerText.length > 20")
    colours = stage.evaluate("""() => {
      const page = document.querySelector("#root iframe").contentDocument;
      const style = (selector) => page.defaultView.getComputedStyle(page.querySelector(selector));
      return [style("x-button").color, style("p").color, style("circle").fill, page.querySelectorAll("gone").length];
    }""")
    assert colours == ["rgb(1, 2, 3)", "rgb(4, 5, 6)", "rgb(7, 8, 9)", 0]
    assert "in an element that nobody knows" in stage.evaluate(
        "() => document.querySelector('#root iframe').contentDocument.body.innerText"
    )


def test_without_readable_events_the_page_shows_what_it_knows(page: Page, serve: Serve) -> None:
    page.goto(serve(made([b"no event"])))
    expect(page.locator("#message")).to_have_text("No event of this session can be read.")
    expect(page.locator("#facts")).to_contain_text("Began unknown".replace(" ", ""))
    expect(page.locator("#verdict")).to_have_text("Not playable, parts are missing")
    expect(page.locator("#toggle")).to_be_disabled()
    expect(page.locator("#none")).to_have_text("The page wrote nothing to the console.")
    page.mouse.click(300, 700)
    page.keyboard.press("ArrowRight")
    page.click("#tab-steps")
    expect(page.locator("#nowhere")).to_have_text("No step was recorded.")
    page.click("#tab-details")
    expect(page.locator("#notes li").first).to_be_hidden()  # nothing was skipped
    expect(page.locator("#notes")).to_contain_text("1 event can't be read: left out.")


def test_a_server_that_has_ended_leaves_nothing_of_another_window_behind(page: Page, serve: Serve) -> None:
    make = Builder()
    first, second = (lines([meta(0), make.snapshot(1, [name]), move(900)], name) for name in ("first", "second"))
    page.goto(serve(made(first + second)))
    shows(page, ["first"])
    page.route("**/windows/1.jsonl", lambda route: route.abort())
    page.locator("#windows button").nth(1).click()
    expect(page.locator("#message")).to_contain_text("Is recording-worker still running?")
    for element in ("#stage", "#begin"):
        expect(page.locator(element)).to_be_hidden()
    expect(page.locator("#toggle")).to_be_disabled()
    page.locator("#windows button").first.click()
    shows(page, ["first"])
    expect(page.locator("#stage")).to_be_visible()


def test_missing_parts_are_named(page: Page, serve: Serve) -> None:
    recording = made(chatty(1))
    recording.notes.append("Left out: some/file: damaged")
    page.goto(serve(recording))
    expect(page.locator("#verdict")).to_have_text("Playable from the start, parts are missing")
    expect(page.locator("#verdict")).to_have_class(re.compile("bad"))


def test_the_id_is_copied(page: Page, serve: Serve) -> None:
    page.goto(serve(made(chatty(1))))
    stage_of(page)
    page.context.grant_permissions(["clipboard-write", "clipboard-read"])
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "session-1"
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')) }")
    page.click("#copy")
    page.wait_for_function("() => String(getSelection()) === 'session-1'")
    expect(page.locator("#message")).to_be_hidden()


def test_a_long_list_makes_and_touches_few_rows(page: Page, serve: Serve) -> None:
    """So a seek takes the same time, however much was recorded."""
    page.goto(serve(made(chatty(10_000))))
    stage_of(page)
    page.evaluate("""() => {
      window.touched = 0;
      const options = { subtree: true, childList: true, attributes: true };
      new MutationObserver((all) => { window.touched += all.length; }).observe(document.querySelector("#log"), options);
    }""")
    for part, number in ((0.9, 9_000), (0.1, 1_000), (0.5, 5_000)):
        click_timeline(page, part)
        current = page.locator("#log .row.current .said")
        expect(current).to_have_text(re.compile(rf"message {number // 100}\d\d|message {number // 100 - 1}\d\d"))
        assert is_in_view(page, "#log .row.current", "#log")
    assert page.evaluate("window.touched") < 400
    assert page.locator("#log .row").count() < 2_000
    ahead = page.locator("#log .row").evaluate_all("""(rows) => rows.map((row) => [
        Number(row.querySelector(".said").textContent.split(" ")[1]),
        Boolean(row.closest(".ahead") || row.closest(".edge ~ li")),
    ])""")
    latest = int((page.locator("#log .row.current .said").text_content() or "").split()[1])
    assert dict(ahead) == {number: number > latest for number, _ in ahead}
    page.evaluate("document.querySelector('#log').scrollTop = 20000")
    expect(page.locator("#log .said", has_text=re.compile("^message 6[0-9][0-9]$")).first).to_be_visible()
