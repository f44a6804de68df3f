"""unpack_event: the form in which a packed event must be written if unpacking is wanted.

An event of `"cv": "2024-10"` carries `data`, or any of `data.texts`, `attributes`, `removes` and `adds`, as a
string whose characters U+0000 to U+00FF are the bytes of a gzip of the field's JSON. Unpacked, each such string
is replaced by that JSON, and `cv` is left out; all else stays. If anything about it fails, the event stays
unchanged. Where the rules leave room, this decides:
- An event of that `cv` in which no field is a string only loses its `cv`.
- What was gzipped must be JSON in valid UTF-8, and may not nest deeper in its place than any event may.
- A packed event in which `cv`, `data` or a field comes twice stays unchanged.
- The text of the message and what its events unpack to may have the cap's bytes together.
"""

from dataclasses import dataclass

from tests.reference import jsontext
from tests.reference.decompress import CorruptError, TooLargeError, gunzip
from tests.reference.jsontext import JsonObject

VERSION = "2024-10"
FIELDS = ("texts", "attributes", "removes", "adds")
EVENT_DEPTH = 3
"""Arrays and objects around an event in `data`."""


class _StaysError(ValueError):
    """The event can't be unpacked."""


@dataclass(slots=True)
class Budget:
    """The number of bytes that the events of a message may still unpack to."""

    left: int


def is_packed(event: JsonObject) -> bool:
    return event.get("cv") == VERSION


def unpack_event(text: str, budget: Budget) -> str | None:
    """Return the text of a packed event, unpacked, or None if it must stay unchanged."""
    try:
        return _unpacked(text, budget)
    except (_StaysError, CorruptError, TooLargeError, UnicodeError, jsontext.NotJsonError, jsontext.TooDeepError):
        return None


def _unpacked(text: str, budget: Budget) -> str:
    members = list(jsontext.members(text, 0))
    names = [name for name, _, _ in members]
    if names.count("cv") > 1 or names.count("data") > 1:
        raise _StaysError
    kept = []
    for (name, begin, end), key in zip(members, _keys(text, 0), strict=True):
        if name == "cv":
            continue
        value = text[begin:end]
        if name == "data":
            value = _field(value, EVENT_DEPTH + 1, budget) if value.startswith('"') else _data(value, budget)
        kept.append(f"{key}:{value}")
    return "{" + ",".join(kept) + "}"


def _data(text: str, budget: Budget) -> str:
    if not text.startswith("{"):
        return text
    members = list(jsontext.members(text, 0))
    names = [name for name, _, _ in members]
    if any(names.count(field) > 1 for field in FIELDS):
        raise _StaysError
    parts = []
    for (name, begin, end), key in zip(members, _keys(text, 0), strict=True):
        value = text[begin:end]
        if name in FIELDS and value.startswith('"'):
            value = _field(value, EVENT_DEPTH + 2, budget)
        parts.append(f"{key}:{value}")
    return "{" + ",".join(parts) + "}"


def _keys(text: str, start: int) -> list[str]:
    """Return the keys of an object as they are written."""
    at, keys = jsontext.skip_space(text, start + 1), []
    for _, begin, end in jsontext.members(text, start):
        keys.append(text[at:begin].rstrip(" \t\n\r").removesuffix(":").rstrip(" \t\n\r"))
        at = jsontext.skip_space(text, end) + 1
        at = jsontext.skip_space(text, at)
    return keys


def _field(text: str, depth: int, budget: Budget) -> str:
    """Return the JSON that a packed string holds. It must be valid inside `depth` arrays and objects."""
    string = jsontext.parse(text)
    assert isinstance(string, str)
    plain = gunzip(string.encode("latin-1"), budget.left)
    budget.left -= len(plain)
    unpacked = plain.decode()
    jsontext.parse("[" * depth + unpacked + "]" * depth)
    jsontext.parse(unpacked)
    return unpacked
