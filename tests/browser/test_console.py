"""The console tab shows what a page wrote as developers know it from their browser's console."""

import json
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import Builder, Event, event, lines, meta
from tests.browser.test_page import height, move
from tests.browser.test_play import made, now


def log(at: float, *values: Any, level: str = "log", trace: tuple[str, ...] = ()) -> Event:
    """A console event, with its arguments in JSON as rrweb records them."""
    payload = {"level": level, "trace": list(trace), "payload": [json.dumps(value) for value in values]}
    return event(6, at, plugin="rrweb/console@1", payload=payload)


def show(page: Page, serve: Serve, *events: Event) -> None:
    page.goto(serve(made(lines([meta(0), Builder().snapshot(1, ["page"]), *events, move(60_000)]))))
    stage_of(page)


SAID: list[tuple[list[Any], str]] = [
    (["hello", 12, True, None], "hello 12 true null"),
    (["%s is %d and %i, %f", "x", "12.5", 3.9, 1.5, "more"], "x is 12 and 3, 1.5 more"),
    (["100%% of %s", "it"], "100% of it"),
    (["%s and %s", "one"], "one and %s"),
    (["%d", {}], "NaN"),
    (["%s", {"a": 1}], "{a: 1}"),
    (["50% off %", 1], "50% off % 1"),
    (["%c styled %cplain", "color: red", ""], " styled plain"),
    (["object %o here", {"a": [1], "b": "x"}], 'object {a: […], b: "x"} here'),
    ([{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}, [1, 2]], "{a: 1, b: 2, c: 3, d: 4, e: 5, …} (2) [1, 2]"),
    ([{}, []], "{} []"),
    (["Error: no\n    at f (a.js:1)\nEnd of stack for Error object"], "Error: no\n    at f (a.js:1)"),
    ([5, "%s", "kept"], "5 %s kept"),
]


def test_messages_are_filled_in(page: Page, serve: Serve) -> None:
    show(page, serve, *[log(100 + at, *values) for at, (values, _) in enumerate(SAID)])
    found = page.locator("#log .said").evaluate_all("(rows) => rows.map((row) => row.textContent)")
    assert found == [text for _, text in SAID]


def test_a_message_that_is_no_json_is_shown_as_it_is(page: Page, serve: Serve) -> None:
    payload = {"level": "log", "payload": ['{"cut": "in the mid', "plain"]}
    show(page, serve, event(6, 5, plugin="rrweb/console@1", payload=payload), log(6))
    expect(page.locator("#log .said")).to_have_text(['{"cut": "in the mid plain', "(no text)"])


def test_styles_are_kept_if_they_are_harmless(page: Page, serve: Serve) -> None:
    css = "color: #010203; background: rgb(4,5,6); font-weight: bold; padding: 2px 4px; border-radius: 3px"
    show(page, serve, log(5, "%cstyled", css))
    style = "getComputedStyle(document.querySelector('#log .said span'))"
    names = ("color", "backgroundColor", "fontWeight", "paddingLeft")
    assert [page.evaluate(f"{style}.{name}") for name in names] == ["rgb(1, 2, 3)", "rgb(4, 5, 6)", "700", "4px"]


HARMFUL = [
    "background: url(http://canary.test/)",
    "background-image: url(http://canary.test/); position: fixed; inset: 0; z-index: 9",
    "color: var(--back)",
    "padding: 9999px",
    "color: red !important",
    "font-size: 900px; display: block; width: 9999px",
    "__proto__: red; constructor: red",
    "color: #fff}*{display:none",
]


def test_other_styles_are_not(page: Page, serve: Serve) -> None:
    show(page, serve, *[log(at, "%cstyled", css) for at, css in enumerate(HARMFUL, 5)])
    said = page.locator("#log .said span").evaluate_all("(spans) => spans.map((span) => span.getAttribute('style'))")
    assert said == [None] * len(HARMFUL)


def test_objects_unfold(page: Page, serve: Serve) -> None:
    many = {"list": list(range(1_200)), "deep": {"er": {"est": "bottom"}}, "__proto__": 1, "text": "a\nb"}
    show(page, serve, log(5, "state", many), log(9_000, "later"))
    page.locator("#log .row").nth(1).click()
    before = now(page)
    row = page.locator("#log .row").first
    row.locator("summary").first.click()
    assert now(page) == before, "the viewer reads, and goes nowhere"
    expect(row.locator(".entry")).to_have_count(4)
    expect(row.locator(".entry").nth(2)).to_have_text("__proto__: 1")
    expect(row.locator(".entry").nth(3)).to_have_text('text: "a\\nb"')
    row.locator("summary", has_text="er").last.click()
    row.locator("summary", has_text="est").last.click()
    expect(row.locator(".entry", has_text="bottom").last).to_have_text('est: "bottom"')
    row.locator("summary", has_text="(1200)").last.click()
    expect(row).to_contain_text("… 200 more")
    page.locator("#log summary").first.focus()
    page.keyboard.press("Space")
    expect(row.locator(".entry").first).to_be_hidden()


def test_repeats_are_counted(page: Page, serve: Serve) -> None:
    again = [log(at, "again", {"a": 1}, level="warn") for at in (100, 200, 300)]
    others = [log(400, "again", {"a": 2}, level="warn"), log(500, "again", {"a": 2}), log(600, "end")]
    last = [log(700, "again", {"a": 1}, level="warn", trace=(f"f (a.js:{number})",)) for number in (1, 1, 2)]
    show(page, serve, *again, *others, *last)
    rows = page.locator("#log .row")
    expect(rows).to_have_count(6)
    expect(page.locator("#messages")).to_have_text("9")
    expect(rows.first.locator(".times")).to_contain_text("3")
    assert [rows.nth(at).locator(".times").count() for at in range(1, 6)] == [0, 0, 0, 1, 0]


METHODS: list[tuple[int, str, list[Any], str]] = [
    (1_000, "count", [], "default: 1"),
    (1_100, "count", ["x"], "x: 1"),
    (1_200, "count", ["x"], "x: 2"),
    (1_300, "countReset", ["x"], "x: counted from 0 again"),
    (1_400, "count", ["x"], "x: 1"),
    (2_000, "time", ["load"], "load: timer started"),
    (2_250, "timeLog", ["load", "half", {"a": 1}], "load: 250 ms half {a: 1}"),
    (3_500, "timeEnd", ["load"], "load: 1.50 s"),
    (3_600, "timeEnd", ["load"], "load: no such timer"),
    (4_000, "assert", ["%s is gone", "it"], "Assertion failed: it is gone"),
    (4_100, "assert", [], "Assertion failed"),
    (4_200, "clear", [], "Console was cleared"),
    (4_300, "table", ["no table"], "no table"),
    (4_400, "count", [{"a": 1}], "{a: 1}: 1"),
    (4_500, "__proto__", ["plain"], "plain"),
]


def test_methods_say_what_they_say_in_a_browser(page: Page, serve: Serve) -> None:
    show(page, serve, *[log(at, *values, level=method) for at, method, values, _ in METHODS])
    found = page.locator("#log .said").evaluate_all("(rows) => rows.map((row) => row.textContent)")
    assert found == [text for *_, text in METHODS]
    assert page.locator("#log .row.error").count() == 2, "failed assertions are errors"


def test_groups_are_indented(page: Page, serve: Serve) -> None:
    nested = [log(at, f"level {at}", level="group") for at in range(10, 20)]
    show(
        page,
        serve,
        log(1, "before"),
        log(2, "pay %s", "now", level="group"),
        log(3, "inside"),
        log(4, level="groupCollapsed"),
        log(5, "deeper"),
        log(6, level="groupEnd"),
        log(7, level="groupEnd"),
        log(8, level="groupEnd"),
        log(9, "after"),
        *nested,
        log(30, "deepest"),
    )
    said = page.locator("#log .said")
    indent = "parseInt(row.style.marginLeft || 0) / 14"
    indents = said.evaluate_all(f"(rows) => rows.map((row) => [row.textContent, {indent}])")
    assert indents[:6] == [
        ["before", 0],
        ["▾ pay now", 0],
        ["inside", 1],
        ["▾ console.group", 1],
        ["deeper", 2],
        ["after", 0],
    ]
    assert indents[-1] == ["deepest", 8]


def test_a_table_opens(page: Page, serve: Serve) -> None:
    rows = [{"name": "lamp", "price": 12.5}, {"price": 3, "more": {"a": 1}}, 7]
    many = [{f"column {at}": at for at in range(30)}, *({"column 1": number} for number in range(1_100))]
    show(page, serve, log(5, rows, level="table"), log(6, many, level="table"))
    row = page.locator("#log .row").first
    row.locator(".said").click()
    texts = "(table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
    assert row.locator("table").evaluate(texts) == [
        ["(index)", "name", "price", "more", "value"],
        ["0", '"lamp"', "12.5", "", ""],
        ["1", "", "3", "{a: 1}", ""],
        ["2", "", "", "", "7"],
    ]
    large = page.locator("#log .row").last
    large.locator("button").click()
    assert large.locator("table").evaluate("(table) => [table.rows.length, table.rows[0].cells.length]") == [1_001, 21]


def test_a_trace_says_where_it_was_written(page: Page, serve: Serve) -> None:
    frames = ("pay (http://shop.test/app.js:12:3)", "onclick (http://shop.test/:1:1)")
    show(page, serve, log(5_000, "no pay", level="error", trace=frames))
    row = page.locator("#log .row")
    closed = height(row)
    row.locator(".said").click()
    assert now(page) == 5_000
    expect(row.locator("pre")).to_have_text("\n".join(frames))
    assert height(row) > closed


def test_the_search_finds_what_is_shown(page: Page, serve: Serve) -> None:
    show(page, serve, log(5, 'say "%s"', "hi"), log(6, {"key": "value"}), log(7, "other"))
    rows = page.locator("#log .row")
    for words, count in {'SAY "HI"': 1, 'key: "value': 1, "o": 1, "": 3}.items():
        page.fill("#search", words)
        expect(rows).to_have_count(count)
