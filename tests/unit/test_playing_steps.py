"""What the user did, by the events."""

import json
from typing import Any

import pytest

from recording_worker.playing import elements, session, steps
from recording_worker.playing.steps import Step
from tests.browser.rrweb import Builder, Event, added, click, event, lines, mutation
from tests.unit.test_playing_session import shown


def steps_of(*events: Event) -> list[Step]:
    return shown(*lines(events)).steps


def typed(at: float, number: int, text: object, checked: object = False) -> Event:
    return event(3, at, source=5, id=number, text=text, isChecked=checked)


def test_clicks_have_the_text_of_what_they_met() -> None:
    make = Builder()
    icon = make.element("i", {"class": "icon"})
    body = [
        make.element("button", {}, icon, " Sign ", make.element("b", {}, "in")),
        make.element("a", {"aria-label": "Home", "href": "/"}, "x"),
        make.element("input", {"placeholder": "Search", "value": "secret"}),
        make.element("input", {"type": "submit", "value": "Send"}),
        make.element("div", {"role": "tab"}, "First"),
        make.element("img", {"alt": "a cat"}),
        make.element("p", {}, "w" * 100),
    ]
    numbers = [icon["id"], *[node["id"] for node in body[1:]], 9_999]
    found = steps_of(make.snapshot(0, body), *[click(at, number) for at, number in enumerate(numbers, 1)])
    assert [step.text for step in found] == [
        "Click on button “Sign in”",
        "Click on link “Home”",
        "Click on field “Search”",
        "Click on button “Send”",
        "Click on tab “First”",
        "Click on img “a cat”",
        f"Click on p “{'w' * 79}…”",
        "Click on an element",
    ]


def test_a_field_has_the_name_of_its_label() -> None:
    make = Builder()
    street, known = make.element("input"), make.element("input", {"aria-label": "Street and number"})
    land = make.element("select", {"name": "land"}, make.element("option", {}, "Malta"))
    news, plain = make.element("input", {"type": "checkbox"}), make.element("input", {"placeholder": "Search"})
    body = [
        make.element("label", {}, "Street", street),
        make.element("label", {}, "Street", known),
        make.element("label", {}, "Country", land),
        make.element("label", {}, "News", news),
        make.element("label", {}, plain),
    ]
    fields = [street, known, land, plain]
    events = [*[typed(at, field["id"], "x") for at, field in enumerate(fields, 1)], typed(9, news["id"], "on", True)]
    found = steps_of(make.snapshot(0, body), *events)
    assert [step.text for step in found] == [
        "Input in field “Street”: x",
        "Input in field “Street and number”: x",
        "Input in list “Country”: x",
        "Input in field “Search”: x",
        "Checked checkbox “News”",
    ]


def test_the_name_is_that_of_the_moment() -> None:
    make = Builder()
    button = make.element("button", {}, "Save")
    later = make.element("a", {}, "Later")
    snapshot = make.snapshot(0, [button])
    [text] = button["childNodes"]
    found = steps_of(
        snapshot,
        click(1, button["id"]),
        mutation(2, texts=[{"id": text["id"], "value": "Saved"}], adds=[added(button["id"], later)]),
        click(3, button["id"]),
        click(4, later["id"]),
        mutation(5, removes=[{"parentId": button["id"], "id": later["id"]}]),
        click(6, later["id"]),
    )
    assert [step.text.removeprefix("Click on ") for step in found] == [
        "button “Save”",
        "button “Saved Later”",
        "link “Later”",
        "an element",
    ]


def test_inputs_in_one_field_are_one_step_and_masked_stays_masked() -> None:
    make = Builder()
    name, box = make.element("input", {"name": "user"}), make.element("input", {"type": "checkbox", "title": "News"})
    found = steps_of(
        make.snapshot(0, [name, box]),
        *[typed(at, name["id"], "*" * at) for at in (1, 2, 3)],
        typed(4, box["id"], "on", True),
        typed(5, name["id"], ""),
        typed(6, name["id"], 7),
    )
    assert [(step.at - found[0].at, step.text) for step in found] == [
        (0, "Input in field “user”: ***"),
        (3, "Checked checkbox “News”"),
        (4, "Emptied field “user”"),
    ]


def clicks_at(*places: tuple[float, float]) -> list[Event]:
    return [event(3, at, source=2, type=2, id=1, x=x, y=10) for at, x in places]


@pytest.mark.parametrize(
    ("places", "rage"),
    [
        ([(0, 0), (500, 20), (1_000, 40)], [True] * 3),
        ([(0, 0), (500, 0), (1_001, 0)], [False] * 3),
        ([(0, 0), (100, 0), (200, 31)], [False] * 3),
        ([(0, 0), (900, 0), (1_200, 0), (1_300, 0)], [False, True, True, True]),
    ],
)
def test_rage_clicks(places: list[tuple[float, float]], rage: list[bool]) -> None:
    assert [step.rage for step in steps_of(*clicks_at(*places))] == rage


@pytest.mark.parametrize(
    ("then", "dead"),
    [
        ([], False),  # the recording ends before it is known
        ([event(3, 3_000, source=1, positions=[])], True),
        ([event(3, 3_000, source=0)], True),
        ([event(3, 2_000, source=0), event(3, 9_000, source=1)], False),
        ([event(3, 2_000, source=1), event(3, 9_000, source=1)], True),
        ([event(4, 100, href="/b"), event(3, 9_000, source=1)], False),
    ],
)
def test_dead_clicks(then: list[Event], dead: bool) -> None:
    make = Builder()
    button, field = make.element("button", {}, "Save"), make.element("input")
    found = steps_of(make.snapshot(-1, [button, field]), click(0, button["id"]), click(0, field["id"]), *then)
    assert [step.dead for step in found] == [dead, False]


def test_custom_events_with_what_they_say() -> None:
    found = steps_of(
        event(5, 1, tag="cart \ud83d", payload={"items": 3}),
        event(5, 2, tag="$posthog_config", payload={"a": 1}),
        event(5, 3, tag="sessionIdle", payload=None),
        event(5, 4, tag=7),
    )
    assert [(step.kind, step.text, step.more) for step in found] == [
        ("event", "cart \ufffd", json.dumps({"items": 3}, indent=2)),
        ("event", "sessionIdle", ""),
    ]


@pytest.mark.parametrize("odd", [None, 7, "text", [], {"id": "x"}, {"id": 1, "childNodes": 7, "attributes": 7}])
def test_odd_pages_have_elements_without_a_name(odd: Any) -> None:
    events = [event(2, 0, node=odd), mutation(1, adds=odd, removes=odd, texts=odd), click(2, 1)]
    events += [mutation(3, adds=[odd, {"node": odd, "parentId": []}], removes=[odd], texts=[odd])]
    first, *_ = steps_of(*events, click(9, 1), typed(9, 1, odd))
    assert first.text in ("Click on an element", "Click on text")


def test_a_page_inside_itself_is_read_to_an_end() -> None:
    make = Builder()
    outer = make.element("div", {}, "text")
    inside = {**make.element("p"), "childNodes": [{**outer, "childNodes": []}]}
    assert len(steps_of(make.snapshot(0, [outer]), mutation(1, adds=[added(outer["id"], inside)]), click(2, 2))) == 1


def test_nodes_and_steps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_LISTED", 2)
    monkeypatch.setattr(steps, "MAX_NODES", 6)
    make = Builder()
    buttons = [make.element("button", {}, f"b{at}") for at in range(5)]
    recording = shown(*lines([make.snapshot(0, buttons), *[click(1, one["id"]) for one in (buttons[0], buttons[4])]]))
    assert [step.text for step in recording.steps] == ["Click on button", "Click on an element"]
    recording = shown(*lines([click(at, 1) for at in range(5)]))
    assert recording.notes == ["3 steps after the first 2: left out."]
    assert elements.MAX_NODES == 200_000
