"""rrweb's events: their numbers and names, and the rules of docs/data/messages.md that say what an event counts as.

The native core applies the same rules (`_native/events.cc`); `tests/property/test_rrweb.py` compares the two.
Event types, sources and interactions: https://github.com/rrweb-io/rrweb/blob/master/packages/types/src/index.ts
"""

import json
from enum import IntEnum
from typing import Any, NamedTuple

import orjson

from recording_worker.formats.timestamps import LATEST_MS

Event = dict[str, Any]

GAP_MS = 10_000
"""A gap is a pause between two events that is longer than this."""
ACTIVITY_GAP_MS = 5_000
"""A session is inactive once this much time has passed since the user last did something."""
CONSOLE_PLUGIN = "rrweb/console@1"
MAX_URL_LENGTH = 4_096
"""Characters; longer urls are cut."""
_MAX_EVENT_MEMORY = 512 * 1024 * 1024
"""What Python may take for the values of one event, while it is looked at."""
MAX_CONSOLE_STRING_LENGTH = 2_999
"""Characters; longer strings of a console event are cut."""
_SPACES = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
"""The white space that JavaScript's trim() takes off."""


class EventType(IntEnum):
    """An event's `type`."""

    FULL_SNAPSHOT = 2
    INCREMENTAL = 3
    META = 4
    CUSTOM = 5
    PLUGIN = 6


class Source(IntEnum):
    """What an incremental event reports: its `data.source`."""

    MUTATION = 0
    MOUSE_MOVE = 1
    MOUSE_INTERACTION = 2
    SCROLL = 3
    VIEWPORT_RESIZE = 4
    INPUT = 5
    TOUCH_MOVE = 6
    MEDIA = 7
    CANVAS = 9
    DRAG = 12


class NodeType(IntEnum):
    """What a node is: its `type`."""

    DOCUMENT = 0
    DOCTYPE = 1
    ELEMENT = 2
    TEXT = 3


class Interaction(IntEnum):
    """What a mouse interaction is: its `data.type`."""

    MOUSE_UP = 0
    MOUSE_DOWN = 1
    CLICK = 2
    CONTEXT_MENU = 3
    DOUBLE_CLICK = 4
    TOUCH_END = 9


ACTIVE_SOURCES = frozenset(Source) - {Source.MUTATION, Source.CANVAS}
"""Incremental events of these sources show that the user did something."""
MOUSE_SOURCES = frozenset({Source.MOUSE_MOVE, Source.MOUSE_INTERACTION, Source.TOUCH_MOVE})
CLICKS = frozenset({Interaction.CLICK, Interaction.CONTEXT_MENU, Interaction.DOUBLE_CLICK, Interaction.TOUCH_END})

_LEVELS = {"warn": "warn", "countReset": "warn", "error": "error", "assert": "error"}


class ConsoleLine(NamedTuple):
    """What a console event says."""

    level: str
    """info, warn or error."""
    message: str


def read_line(line: bytes) -> tuple[str, Event, float]:
    """Return window id, event and timestamp of a line. Raises ValueError, or RecursionError if it nests very deep."""
    if _memory_of(line) > _MAX_EVENT_MEMORY:
        raise ValueError("it takes too much memory")
    try:
        item = orjson.loads(line)
    except ValueError:  # it is stricter than JSON about lone surrogates, depth and long numbers
        item = json.loads(line)
    if not (isinstance(item, list) and len(item) == 2):
        raise ValueError("not a pair of window id and event")
    window_id, event = item
    if not (isinstance(window_id, str) and isinstance(event, dict)):
        raise ValueError("not a pair of window id and event")
    at = event.get("timestamp")
    if not (isinstance(at, int | float) and abs(at) <= LATEST_MS):  # not NaN, and no integer that no float holds
        raise ValueError("no timestamp")
    return window_id, event, float(at)


def _memory_of(line: bytes) -> int:
    """Return about how many bytes Python takes for the values on a line, from above."""
    return len(line) + 200 * line.count(b"{") + 64 * (line.count(b"[") + line.count(b","))


def type_of(event: Event) -> float | None:
    """Return the event's type; compare it with EventType. None if it is not a number."""
    return _number(event.get("type"))


def data_of(event: Event) -> dict[str, Any]:
    """Return the event's data; an empty object if it is not an object."""
    return _object(event.get("data"))


def source_of(event: Event) -> float | None:
    """Return the source of an incremental event; compare it with Source. None for all other events."""
    return _number(data_of(event).get("source")) if type_of(event) == EventType.INCREMENTAL else None


def is_click(event: Event) -> bool:
    """Return whether the event is a click, a double click, a context menu or the end of a touch."""
    return source_of(event) == Source.MOUSE_INTERACTION and _number(data_of(event).get("type")) in CLICKS


def url_of(event: Event) -> str | None:
    """Return the url of the page that the event names; None if it names none.

    It has no white space at its ends, and at most MAX_URL_LENGTH characters.
    """
    data = data_of(event)
    if type_of(event) == EventType.CUSTOM and data.get("tag") == "$json_ld":
        return None
    for url in (data.get("href"), _object(data.get("payload")).get("href")):
        if isinstance(url, str) and (trimmed := url.strip(_SPACES)):
            return _without_surrogates(trimmed)[:MAX_URL_LENGTH]
    return None


def console_line(event: Event) -> ConsoleLine | None:
    """Return level and message of a console event; None for all other events.

    The message is the strings of the event's payload, each cut, joined by spaces. rrweb writes most of them as JSON,
    so a text that the page logged stands in quotes.
    """
    data = data_of(event)
    if type_of(event) != EventType.PLUGIN or data.get("plugin") != CONSOLE_PLUGIN:
        return None
    payload = _object(data.get("payload"))
    level, strings = payload.get("level"), payload.get("payload")
    message = " ".join(
        _without_surrogates(string)[:MAX_CONSOLE_STRING_LENGTH]
        for string in (strings if isinstance(strings, list) else [])
        if isinstance(string, str)
    )
    return ConsoleLine(_LEVELS.get(level, "info") if isinstance(level, str) else "info", message)


def _number(value: object) -> float | None:
    """Return a JSON number; Python's bool is an int, JSON's true is no number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _without_surrogates(text: str) -> str:
    """Return the text with U+FFFD for each unpaired surrogate, as UTF-8 can't carry one."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
