"""The rules for console logs, each by examples."""

import pytest

from recording_worker.outcome import Disposition
from tests.builders import NOW_MS
from tests.decoders import Decode
from tests.inputs import Input, event_text, plain_value
from tests.reference.counters import ConsoleLog


def console_event(payload: str, timestamp: int = NOW_MS) -> str:
    return event_text(f'{{"plugin":"rrweb/console@1","payload":{payload}}}', type="6", timestamp=str(timestamp))


def console_of(decode: Decode, *events: str) -> list[ConsoleLog]:
    [outcome] = decode([Input(plain_value(events))]).rows
    assert outcome.disposition == Disposition.OK
    return list(outcome.console_logs)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ('"warn"', "warn"),
        ('"countReset"', "warn"),
        ('"error"', "error"),
        ('"assert"', "error"),
        ('"info"', "info"),
        ('"log"', "info"),
        ('"debug"', "info"),
        ('"trace"', "info"),
        ('"WARN"', "info"),
        ('"warn "', "info"),
        ('"\\u0077arn"', "warn"),
        ('""', "info"),
        ("null", "info"),
        ("1", "info"),
        ('["error"]', "info"),
        ('"error","level":"warn"', "warn"),
        ('"error","level":null', "info"),
    ],
)
def test_console_level(decode: Decode, level: str, expected: str) -> None:
    logs = console_of(decode, console_event(f'{{"level":{level},"payload":["text"]}}'))
    assert logs == [ConsoleLog(expected, "text", NOW_MS)]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("[]", ""),
        ('["a"]', "a"),
        ('["a","b"]', "a b"),
        ('["a",1,null,true,{"x":"y"},["z"],"b"]', "a b"),
        ('["\\"quoted\\"","b c"]', '"quoted" b c'),
        ('["","a",""]', " a "),
        ('["\\ud83d","\\ud83d\\ude00","\\u0000"]', "\ufffd 😀 \0"),
        ('"a"', ""),
        ("null", ""),
        ('{"0":"a"}', ""),
        ('[["a"]]', ""),
        ('["a"],"payload":["b"]', "b"),
        ('["a"],"payload":null', ""),
    ],
)
def test_console_message_is_the_strings_of_the_payload(decode: Decode, payload: str, message: str) -> None:
    logs = console_of(decode, console_event(f'{{"level":"log","payload":{payload}}}'))
    assert logs == [ConsoleLog("info", message, NOW_MS)]


@pytest.mark.parametrize("payload", ["{}", "null", '"text"', '["text"]', "1", '{"level":"log"}'])
def test_console_event_without_a_message(decode: Decode, payload: str) -> None:
    assert console_of(decode, console_event(payload)) == [ConsoleLog("info", "", NOW_MS)]


@pytest.mark.parametrize("character", ["a", "é", "漢", "😀"])
def test_console_strings_are_cut_to_2999_characters_each(decode: Decode, character: str) -> None:
    lengths = (2_998, 2_999, 3_000, 9_000)
    strings = ",".join(f'"{character * length}"' for length in lengths)
    [log] = console_of(decode, console_event(f'{{"level":"log","payload":[{strings}]}}'))
    assert log.message == " ".join(character * min(length, 2_999) for length in lengths)


@pytest.mark.parametrize(
    ("event_type", "plugin", "is_console"),
    [
        ("6", '"rrweb/console@1"', True),
        ("6.0", '"rrweb\\/console@1"', True),
        ("6", '"rrweb/console@2"', False),
        ("6", '"rrweb/network@1"', False),
        ("6", '["rrweb/console@1"]', False),
        ("6", "null", False),
        ("5", '"rrweb/console@1"', False),
        ('"6"', '"rrweb/console@1"', False),
        ("6", '"rrweb/network@1","plugin":"rrweb/console@1"', True),
        ("6", '"rrweb/console@1","plugin":"rrweb/network@1"', False),
    ],
)
def test_console_is_type_6_of_the_console_plugin(
    decode: Decode, event_type: str, plugin: str, is_console: bool
) -> None:
    payload = '{"level":"warn","payload":["a"]}'
    for data in (f'{{"plugin":{plugin},"payload":{payload}}}', f'{{"payload":{payload},"plugin":{plugin}}}'):
        logs = console_of(decode, event_text(data, type=event_type))
        assert logs == ([ConsoleLog("warn", "a", NOW_MS)] if is_console else [])


def test_console_events_stay_in_order_and_are_not_merged(decode: Decode) -> None:
    events = [
        console_event(f'{{"level":"{level}","payload":["x"]}}', NOW_MS + at)
        for at, level in ((9, "log"), (3, "warn"), (9, "log"))
    ]
    assert console_of(decode, *events) == [
        ConsoleLog("info", "x", NOW_MS + 9),
        ConsoleLog("warn", "x", NOW_MS + 3),
        ConsoleLog("info", "x", NOW_MS + 9),
    ]


def test_console_events_of_left_out_items_do_not_count(decode: Decode) -> None:
    left_out = event_text('{"plugin":"rrweb/console@1","payload":{"payload":["x"]}}', type="6", timestamp="0")
    assert console_of(decode, left_out, event_text()) == []
