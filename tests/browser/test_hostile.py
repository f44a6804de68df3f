"""A recording is hostile input: nothing in it runs, and nothing is requested from the network.

What tries to run asks a canary for something that says so; what loads asks it too. The canary notes every
connection, to whatever host name, even one that says nothing.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, Page, expect

from recording_worker.formats.batch_file import BatchIndex
from recording_worker.playing import page as pages
from recording_worker.playing import player
from recording_worker.playing.page import whole_page
from recording_worker.playing.session import Recording, recording_of
from recording_worker.reading.batch_files import Block
from recording_worker.storage.local.file import LocalFile
from tests.batch_files import block
from tests.browser.canary import Canary
from tests.browser.conftest import Serve, stage_of
from tests.browser.rrweb import Builder, Event, Node, added, click, console, event, lines, meta, mutation
from tests.builders import NOW_MS

QUIET_MS = 700
"""How long to wait for what must not happen. In `test_the_canary_would_hear_it` it happens in this time."""
_DANGEROUS = """() => {
  const kinds = ["link[rel]:not([rel=stylesheet])", "[src]:not([src^='data:'])", "[http-equiv]"];
  kinds.push("[srcdoc]", "[srcset]", "[data]", "[ping]", "[attributionsrc]", "[imagesrcset]", "[target]", "[action]");
  kinds.push("portal", "fencedframe", "object", "embed", "base", "[attributeName$='href' i]");
  const page = document.querySelector("#root iframe").contentDocument;
  return [...page.querySelectorAll(kinds.join())].map((element) => element.outerHTML);
}"""
"""Elements that open connections. A headless browser opens fewer of them than others."""
_FETCH = "(url) => fetch(url, { mode: 'no-cors' }).then(() => 'answered', () => 'refused')"
BREAKOUT = '</script></textarea></title></style><script>{run}</script><img src=x onerror="{run}">'


def attack(canary: Canary, way: str) -> str:
    """JavaScript that shows that it ran."""
    return (
        f"try {{ fetch('{canary.url('ran-' + way)}') }} catch (e) {{}}"
        f"new Image().src='{canary.url('ran-' + way)}';"
        f"try {{ top.hacked = parent.hacked = window.hacked = '{way}' }} catch (e) {{}} alert('{way}')"
    )


def hostile_nodes(make: Builder, canary: Canary, stage: str) -> list[Node]:
    """Elements that run scripts or load something, each in a different way."""

    def run(way: str) -> str:
        return attack(canary, f"{stage}-{way}")

    def load(way: str) -> str:
        return canary.url(f"loaded-{stage}-{way}")

    el = make.element
    hint = f"<link rel=preconnect href='{load('srcdoc-hint')}'>"
    frame = f"<script>{run('srcdoc')}</script>{hint}<img src='{load('srcdoc')}'>"
    return [
        el("script", {}, run("script")),
        el("SCRIPT", {}, run("upper-case-script")),
        el("script", {"src": load("script-src")}),
        el("svg", {"onload": run("svg-onload")}, el("script", {}, run("svg-script"))),
        {**el("svg", {"onload": run("real-svg-onload")}), "isSVG": True},
        {**el("script", {}, run("real-svg-script")), "isSVG": True},
        {**el("use", {"xlink:href": load("svg-use")}), "isSVG": True},
        {**el("image", {"href": load("svg-image")}), "isSVG": True},
        el("img", {"src": "x:", "onerror": run("onerror")}),
        el("img", {"src": load("img"), "srcset": f"{load('srcset')} 2x", "onload": run("img-onload")}),
        el("body", {"onload": run("body-onload")}),
        el("details", {"open": "", "ontoggle": run("ontoggle")}, "details"),
        el("input", {"autofocus": "", "onfocus": run("onfocus")}),
        el("video", {"src": load("video"), "poster": load("poster"), "autoplay": "", "onerror": run("video-error")}),
        el("audio", {"src": load("audio"), "rr_mediaState": "played"}),
        el(
            "div",
            {"style": f"background: url('{load('style-url')}'); animation: x 1s", "onanimationstart": run("anim")},
            "styled",
        ),
        el(
            "style",
            {
                "_cssText": f"@import '{load('import')}'; @font-face {{ font-family: f; src: url('{load('font')}') }}"
                f" body {{ font-family: f; background: url({load('css-url')}); cursor: url({load('cursor')}), auto }}"
            },
        ),
        el("style", {}, f"@import url({load('import-text')}); h1 {{ content: url({load('content')}) }}"),
        el("link", {"rel": "stylesheet", "href": load("stylesheet")}),
        el("link", {"rel": "preconnect", "href": load("preconnect")}),
        el("link", {"rel": " dns-prefetch Preconnect", "href": load("preconnect-list")}),
        el("link", {"REL": "prefetch", "href": load("prefetch")}),
        el("link", {"rel": "preload", "as": "image", "href": load("preload")}),
        el("link", {"rel": "modulepreload", "href": load("modulepreload")}),
        el("link", {"rel": "icon", "href": load("icon")}),
        el("link", {"rel": "manifest", "href": load("manifest")}),
        el("meta", {"http-equiv": "refresh", "content": f"0;url={load('refresh')}"}),
        el("meta", {"HTTP-EQUIV": "Refresh", "content": f"0;url=data:text/html,<script>{run('refresh')}</script>"}),
        el("meta", {"http-equiv": "Content-Security-Policy", "content": "default-src *"}),
        el("base", {"href": load("base"), "target": "_top"}),
        el("iframe", {"src": load("iframe")}),
        el("iframe", {"src": f"javascript:{run('iframe-javascript')}"}),
        el("iframe", {"src": f"data:text/html,<script>{run('iframe-data')}</script>"}),
        el("iframe", {"srcdoc": frame}),
        el("iframe", {"SRCDOC": frame, "sandbox": "allow-scripts allow-same-origin allow-top-navigation"}),
        el("object", {"data": load("object")}),
        el("object", {"data": f"data:text/html,<script>{run('object-data')}</script>"}),
        el("embed", {"src": f"javascript:{run('embed')}"}),
        el("a", {"href": f"javascript:{run('link')}", "ping": load("ping")}, "a link"),
        el("a", {"href": load("link"), "target": "_top"}, "a link that leads away"),
        el("form", {"action": load("form")}, el("button", {"type": "submit"}, "a form")),
        el("button", {"formaction": f"javascript:{run('formaction')}", "onclick": run("onclick")}, "a button"),
        el("x-custom", {"onclick": run("custom")}, "custom"),
        el("textarea", {"value": BREAKOUT.format(run=run("textarea"))}),
        el("p", {}, BREAKOUT.format(run=run("text"))),
        el("noscript", {}, f"<img src={load('noscript')}>"),
        el("img", {"src": "data:,", "attributionsrc": load("attribution")}),
        el("a", {"href": "#", "AttributionSrc": load("attribution-link")}, "a link that reports clicks"),
        el("link", {"rel": "stylesheet", "imagesrcset": f"{load('imagesrcset')} 1x"}),
        el("x-frame", {"src": load("custom-src"), "later": load("custom-later"), "onplain": "run"}),
        el("portal", {"src": load("portal")}),
        el("fencedframe", {"src": load("fencedframe")}),
        {**el("animate", {"attributeName": "xlink:href", "to": load("animate")}), "isSVG": True},
        {**el("set", {"attributename": "HREF", "to": f"javascript:{run('set')}"}), "isSVG": True},
        el("canvas", {"rr_dataURL": load("canvas")}),
        el("img", {"rr_dataURL": load("data-url")}),
    ]


def hostile_events(canary: Canary) -> list[Event]:
    """A recording that tries all of this in its first snapshot, and again later by mutations."""
    make = Builder()
    target = make.element("div", {}, "nothing yet")
    links = [
        make.element("link", {}),
        make.element("iframe", {}),
        make.element("img", {}),
        make.element("a", {}, "later"),
    ]
    snapshot = make.snapshot(1, ["hostile page", target, *links, *hostile_nodes(make, canary, "snapshot")])
    every = _ids(snapshot["data"]["node"])
    changes: list[dict[str, Any]] = [
        {"rel": "preconnect", "href": canary.url("loaded-changed-hint")},
        {"srcdoc": f"<script>{attack(canary, 'changed-srcdoc')}</script>", "onload": attack(canary, "changed-onload")},
        {"src": canary.url("loaded-changed-img"), "onerror": attack(canary, "changed-onerror")},
        {
            "href": f"javascript:{attack(canary, 'changed-link')}",
            "onclick": attack(canary, "changed-onclick"),
            "style": {"background": f"url({canary.url('loaded-changed-style')})"},
        },
    ]
    return [
        meta(0, href=f"javascript:{attack(canary, 'page-url')}"),
        snapshot,
        console(50, "error", BREAKOUT.format(run=attack(canary, "console"))),
        *[click(100 + number, node) for number, node in enumerate(every)],
        *[
            event(3, 300 + number, source=2, type=kind, id=node, x=1, y=1)
            for number, (node, kind) in enumerate((node, kind) for node in every for kind in (0, 1, 5))
        ],
        mutation(700, adds=[added(target["id"], node) for node in hostile_nodes(make, canary, "mutation")]),
        mutation(
            720,
            attributes=[{"id": node["id"], "attributes": change} for node, change in zip(links, changes, strict=True)],
        ),
        event(
            3, 740, source=8, id=target["id"], adds=[{"rule": f"@import url({canary.url('loaded-rule')})", "index": 0}]
        ),
        event(
            3,
            760,
            source=10,
            id=target["id"],
            family="f",
            buffer=False,
            fontSource=f"url({canary.url('loaded-font-face')})",
        ),
        event(3, 770, source=7, id=target["id"], type=0),
        event(
            3,
            780,
            source=9,
            id=target["id"],
            type=0,
            property="drawImage",
            args=[{"rr_type": "HTMLImageElement", "src": canary.url("loaded-canvas")}],
        ),
        hostile_requests(canary),
        *hostile_console(canary),
        *hostile_steps(canary, make),
        event(5, 800, tag="$pageview", payload={"href": BREAKOUT.format(run=attack(canary, "visit"))}),
        mutation(1000, texts=[{"id": target["childNodes"][0]["id"], "value": "all was tried"}]),
    ]


def hostile_requests(canary: Canary) -> Event:
    """A network event whose requests try scripts and addresses in each of their fields."""

    def text(way: str) -> str:
        return BREAKOUT.format(run=attack(canary, f"network-{way}"))

    names = ("method", "initiatorType", "requestBody", "responseBody")
    fields: dict[str, Any] = {name: text(name) for name in names}
    fields |= {name: {text(f"{name}-name"): text(name)} for name in ("requestHeaders", "responseHeaders")}
    fields |= {"status": text("status"), "duration": text("duration"), "transferSize": text("size")}
    urls = (text("url"), canary.url("loaded-request"), f"javascript:{attack(canary, 'request-url')}", "data:text/html,")
    requests = [{**fields, "name": url} for url in urls]
    return event(6, 790, plugin="rrweb/network@1", payload={"requests": requests})


def hostile_console(canary: Canary) -> list[Event]:
    """Console messages whose objects, styles and traces try scripts and addresses."""

    def text(way: str) -> str:
        return BREAKOUT.format(run=attack(canary, f"console-{way}"))

    def said(at: float, *values: object, trace: str = "", level: str = "warn") -> Event:
        payload = {"level": level, "payload": [json.dumps(value) for value in values], "trace": [trace]}
        return event(6, at, plugin="rrweb/console@1", payload=payload)

    url = f"url({canary.url('loaded-console-style')})"
    styles = [f"{name}: {url}" for name in ("background", "background-image", "content", "cursor", "color", "--x")]
    deep: Any = text("deep")
    for way in ("a", "b", "c"):
        deep = {text(way): [deep], "__proto__": {"hacked": text("proto")}, "toString": text("to-string")}
    return [
        said(51, text("format") + "%c %s %o", "; ".join(styles), text("string"), deep, trace=text("trace")),
        said(52, deep, [deep], {"constructor": {"prototype": text("constructor")}}),
        *[said(53 + at, "%cstyled", style) for at, style in enumerate([*styles, text("style"), "color:red}</style>"])],
        event(6, 61, plugin="rrweb/console@1", payload={"level": "warn", "payload": [text("no-json"), "%c"]}),
        *[
            said(62 + at, text(method), deep, trace=text("trace"), level=method)
            for at, method in enumerate(("group", "count", "countReset", "time", "timeLog", "assert", "clear", "table"))
        ],
        said(70, [deep, {text("column"): text("cell"), "__proto__": {"a": 1}}, text("row")], level="table"),
        said(71, {text("index"): deep, "constructor": 1}, level="table"),
    ]


def hostile_steps(canary: Canary, make: Builder) -> list[Event]:
    """Clicks on elements, inputs and custom events whose texts try scripts."""

    def text(way: str) -> str:
        return BREAKOUT.format(run=attack(canary, f"step-{way}"))

    names = ("aria-label", "placeholder", "alt", "title", "name", "role", "type")
    named = [make.element("button", {name: text(name)}, text("button")) for name in names]
    return [
        mutation(791, adds=[added(1, node) for node in named]),
        *[click(792, node["id"]) for node in named],
        event(3, 793, source=5, id=named[0]["id"], text=text("input"), isChecked=False),
        event(5, 794, tag=text("tag"), payload={text("payload-name"): text("payload")}),
    ]


def hostile_app_events(canary: Canary) -> list[Event]:
    """A recording of a mobile app that tries scripts and addresses in each field of its wireframes."""

    def run(way: str) -> str:
        return BREAKOUT.format(run=attack(canary, f"app-{way}"))

    def load(way: str) -> str:
        return canary.url(f"loaded-app-{way}")

    def style(way: str) -> dict[str, str]:
        names = ("color", "backgroundColor", "borderColor", "borderWidth", "fontFamily", "fontSize", "verticalAlign")
        looks = {name: f"red;background:url({load(f'{way}-{name}')})" for name in names}
        return {**looks, "backgroundImage": f'AAAA"),url({load(way)}', "backgroundSize": f"url({load(way)})"}

    def wireframes(way: str) -> list[Node]:
        xmlns = "http://www.w3.org/2000/svg"
        svg = f"<svg xmlns='{xmlns}' onload=\"{attack(canary, way)}\"><image href='{load(way)}'/></svg>"
        pictures = [load(way), f"//{load(way)[5:]}", f"javascript:{attack(canary, way)}", f"data:image/svg+xml,{svg}"]
        kinds = ["text", "image", "screenshot", "placeholder", "web_view", "script", "iframe", run(way)]
        inputs = ["text", "button", "select", "checkbox", "toggle", "progress", "image", "submit", run(way)]
        field = {"x": 1, "y": 2, "width": run(way), "height": load(way), "style": style(way), "options": [run(way)]}
        said = {name: run(f"{way}-{name}") for name in ("text", "label", "value", "url", "max")}
        return [
            *[{**field, **said, "id": load(way), "type": kind, "base64": load(way)} for kind in kinds],
            *[{**field, **said, "type": "input", "inputType": kind} for kind in inputs],
            *[{**field, "type": "image", "base64": picture} for picture in pictures],
        ]

    keyboard = {"open": True, "height": load("keyboard"), "styles": style("keyboard"), "label": run("keyboard")}
    end = {"type": "text", "x": 0, "y": 0, "width": 200, "height": 40, "text": "all was tried"}
    return [
        meta(0, href=f"javascript:{attack(canary, 'app-url')}"),
        event(2, 1, wireframes=wireframes("snapshot"), initialOffset=run("offset")),
        console(50, "error", run("console")),
        event(3, 100, source=2, type=7, id=run("finger"), x=1, y=1, pointerType=2),
        event(3, 200, source=0, adds=[{"wireframe": one, "parentId": run("parent")} for one in wireframes("adds")]),
        event(3, 300, source=0, updates=[{"wireframe": one} for one in wireframes("updates")]),
        event(5, 400, tag="keyboard", payload=keyboard),
        event(3, 1000, source=0, adds=[{"wireframe": end}]),
    ]


def _ids(node: Node) -> list[int]:
    return [node["id"], *[number for child in node.get("childNodes", []) for number in _ids(child)]]


def hostile_recording(canary: Canary, events: list[Event] | None = None) -> Recording:
    name = BREAKOUT.format(run=attack(canary, "name"))
    of_events = lines(events or hostile_events(canary), window=name)
    entry, _ = block([(1, of_events)], session_id=name)
    entry.distinct_id = name
    index = BatchIndex(1, "batch", "zstd", "30d", NOW_MS, [entry])
    recording = recording_of([Block(LocalFile(Path(name)), index, entry)], of_events)
    recording.notes.append(name)
    return recording


@pytest.fixture
def page(bare_page: Page) -> Page:
    """A page in which promises may fail, as they do for media that can't be loaded."""
    return bare_page


@pytest.fixture
def alarms(page: Page) -> list[str]:
    """What a page did that it must not do."""
    heard: list[str] = []

    def dialog(shown: Dialog) -> None:
        heard.append(f"dialog {shown.message}")
        shown.dismiss()

    page.on("dialog", dialog)
    page.on("popup", lambda popup: heard.append(f"window {popup.url}"))
    page.on("download", lambda download: heard.append(f"download {download.url}"))
    return heard


def play_it(page: Page, url: str, alarms: list[str], canary: Canary, tables: int = 0) -> None:
    """Play a hostile recording to its end, and check that nothing happened. `tables`: how many its console has."""
    page.goto(url)
    stage = stage_of(page)
    page.click("#begin")
    stage.wait_for_function(
        "() => document.querySelector('#root iframe').contentDocument.body.innerText.includes('all was tried')"
    )
    expect(page.locator("#toggle")).to_have_attribute("aria-label", "Play")
    for tab in ("#tab-network", "#tab-steps", "#tab-details", "#tab-console"):
        page.click(tab)
        rows = page.locator("[role=tabpanel]:visible .row .said").all()
        for said in rows[:5] + rows[max(5, len(rows) - 2) :]:
            said.click(position={"x": 2, "y": 2})
        for folded in page.locator("[role=tabpanel]:visible .row summary").all()[:5]:
            folded.click()
        if tab == "#tab-console" and tables:
            expect(page.locator("#log table")).to_have_count(tables)
    page.keyboard.press("?")
    page.keyboard.press("?")
    page.evaluate("hash => { location.hash = hash }", BREAKOUT.format(run=attack(canary, "hash")))
    page.wait_for_timeout(QUIET_MS)
    page.locator("#log .row").first.click()  # back to before the attempts
    page.click("#toggle")
    page.wait_for_timeout(QUIET_MS)
    assert alarms == []
    assert canary.heard == []
    assert page.url.partition("#")[0] == url
    assert stage.evaluate(_DANGEROUS) == []
    assert {frame.evaluate("window.hacked") for frame in page.frames} == {None}
    assert page.locator("header img, aside img").count() == 0


def test_a_hostile_recording_runs_nothing(page: Page, serve: Serve, canary: Canary, alarms: list[str]) -> None:
    play_it(page, serve(hostile_recording(canary)), alarms, canary, tables=2)


def test_a_hostile_recording_of_a_mobile_app_runs_nothing(
    page: Page, serve: Serve, canary: Canary, alarms: list[str]
) -> None:
    play_it(page, serve(hostile_recording(canary, hostile_app_events(canary))), alarms, canary)
    expect(page.locator("#notes")).to_contain_text("images of the app can't be shown")


def test_a_hostile_recording_in_a_file_runs_nothing(
    page: Page, canary: Canary, alarms: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "hostile.html"
    target.write_text("".join(whole_page(player.load(), hostile_recording(canary))))
    play_it(page, target.as_uri(), alarms, canary)


def test_the_sandbox_alone_lets_no_script_run(
    page: Page, canary: Canary, alarms: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a policy the page loads things, but the frame of the recorded page still runs nothing."""
    fill: Callable[..., str] = pages._fill
    monkeypatch.setattr(
        pages,
        "_fill",
        lambda template, **parts: fill(template, **{**parts, "policy": "default-src * data: 'unsafe-inline'"}),
    )
    recording = hostile_recording(canary)
    html = "".join(whole_page(player.load(), recording))
    page.route("http://local.test/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("http://local.test/")
    page.click("#begin")
    assert canary.spoke.wait(10)
    page.wait_for_timeout(QUIET_MS)
    assert alarms == []
    assert [said for said in canary.heard if "ran-" in said] == []


def test_the_stage_shares_no_origin_with_the_page(page: Page, serve: Serve, canary: Canary) -> None:
    page.goto(serve(hostile_recording(canary)))
    stage = stage_of(page)
    assert stage.evaluate("origin") == "null"
    for reached in ("parent.document", "localStorage", "document.cookie", "open('about:blank').document"):
        assert (
            stage.evaluate(f"() => {{ try {{ return String({reached}) }} catch {{ return 'refused' }} }}") == "refused"
        )
    for asked in (page.url + "recording.json", canary.url()):
        assert stage.evaluate(_FETCH, asked) == "refused"
    assert canary.heard == []


@pytest.mark.parametrize("way", ["frame", "img", "script"])
def test_the_canary_would_hear_it(page: Page, canary: Canary, way: str) -> None:
    """On a page without protection. And the silent connection of a frame that a policy refuses."""
    ways = {
        "frame": f"<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><iframe src={canary.url()}>",
        "img": f"<img src='{canary.url('loaded')}'>",
        "script": f"<script>{attack(canary, 'script')}</script>",
    }
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.route("http://local.test/", lambda route: route.fulfill(body=ways[way], content_type="text/html"))
    page.goto("http://local.test/")
    assert canary.spoke.wait(5)
