"""The timestamp of a block line, whatever the event on it looks like."""

import json
import re

_SPACE = rb"[ \t\r]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_LINE_START = re.compile(rb"\[" + _STRING + rb"," + _SPACE + rb"\{" + _SPACE)
_KEY = re.compile(rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE)
_SCALAR = re.compile(_STRING + rb"|[^,\]}\[{ \t\r\"]++")
_NEXT_MEMBER = re.compile(_SPACE + rb"," + _SPACE)
_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+([\[\]{}])')
"""Up to and including the next bracket or brace that is not inside a string."""


def event_timestamp(line: bytes) -> float:
    """The event's own `timestamp` on the line `["<window id>",<event>]`, milliseconds since 1970.

    Of several members of that name the last counts, however the name is written. No parser is used, as
    events nest deeper and hold longer numbers than Python's takes. Raises ValueError for what is no such line.
    """
    found = None
    position = _end(_LINE_START, line, 0)
    while key := _KEY.match(line, position):
        value_end = _value_end(line, key.end())
        if _is_timestamp(key[1]):
            found = line[key.end() : value_end]
        comma = _NEXT_MEMBER.match(line, value_end)
        if comma is None:
            break
        position = comma.end()
    if found is None:
        raise ValueError("no timestamp")
    return float(found)


def _is_timestamp(name: bytes) -> bool:
    return name == b'"timestamp"' or (b"\\" in name and json.loads(name) == "timestamp")


def _value_end(line: bytes, start: int) -> int:
    if line[start : start + 1] not in (b"{", b"["):
        return _end(_SCALAR, line, start)
    position, depth = start, 0
    while True:
        bracket = _BRACKET.match(line, position)
        if bracket is None:
            raise ValueError("not an event")
        position = bracket.end()
        depth += 1 if bracket[1] in b"{[" else -1
        if depth == 0:
            return position


def _end(pattern: re.Pattern[bytes], line: bytes, start: int) -> int:
    found = pattern.match(line, start)
    if found is None:
        raise ValueError("not an event")
    return found.end()
