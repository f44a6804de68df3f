"""What a page wrote to its console, as the player gets it."""

import json
from typing import Any

import pytest

from recording_worker.formats.rrweb import MAX_CONSOLE_STRING_LENGTH
from recording_worker.playing import console, session
from recording_worker.playing.console import ConsoleMessage, console_message
from tests.builders import NOW_MS
from tests.unit.test_playing_session import event, line, shown


def said(payload: object) -> ConsoleMessage:
    found = console_message(event(6, 0, plugin="rrweb/console@1", payload=payload), NOW_MS, 2)
    assert found
    return found


def as_json(message: ConsoleMessage) -> dict[str, Any]:
    return dict(json.loads(json.dumps(message.as_json())))


def test_arguments_and_trace() -> None:
    message = said({"level": "warn", "payload": ['"a %s"', '{"b":1}'], "trace": ["f (http://shop.test/a.js:1:2)"]})
    assert as_json(message) == {
        "at": NOW_MS,
        "level": "warn",
        "window": 2,
        "arguments": ['"a %s"', '{"b":1}'],
        "trace": ["f (http://shop.test/a.js:1:2)"],
    }


@pytest.mark.parametrize(
    ("level", "method"),
    [("group", "group"), ("table", "table"), ("log", ""), ("__proto__", ""), (["group"], ""), (None, "")],
)
def test_the_methods_that_the_page_shows_in_their_own_way_are_named(level: object, method: str) -> None:
    message = said({"level": level, "payload": ['"x"']})
    assert message.method == method
    assert as_json(message).get("method", "") == method


@pytest.mark.parametrize(
    "odd", [None, "x", [], 7, {"payload": 7, "trace": {}}, {"payload": [None, {}, 1], "trace": [[]]}]
)
def test_odd_payloads_say_nothing(odd: object) -> None:
    message = said(odd)
    assert (message.level, message.text, message.arguments, message.trace) == ("info", "", [], [])
    assert as_json(message)["text"] == ""


def test_what_is_long_is_cut() -> None:
    message = said({"level": "log", "payload": ["x" * 200_000] * 150, "trace": ["y" * 2_000] * 99})
    assert [len(text) for text in message.arguments] == [console.MAX_ARGUMENT] * 100
    assert [len(text) for text in message.trace] == [1_000] * 50
    assert message.length == 100 * console.MAX_ARGUMENT + 50_000


def test_surrogates_are_replaced() -> None:
    message = said({"level": "log", "payload": ["\ud83d", "\ud83d\ude00"], "trace": ["\udc00"]})
    assert (message.arguments, message.trace) == (["\ufffd", "\U0001f600"], ["\ufffd"])


def test_without_room_the_text_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_CONTENT", 5_000)
    log = event(6, 0, plugin="rrweb/console@1", payload={"level": "log", "payload": ["x" * 4_000], "trace": ["here"]})
    recording = shown(line(log), line(log))
    first, second = (message.as_json() for message in recording.console)
    assert (len(first["arguments"][0]), "text" in first) == (4_000, False)
    assert (second["text"], second["arguments"], second["trace"]) == ("x" * MAX_CONSOLE_STRING_LENGTH, [], [])
    assert recording.notes == ["The contents of 1 console message after the first 4.9KiB of them: left out."]
