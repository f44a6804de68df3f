"""Strict JSON on top of `json.loads`: numbers keep their text, and values can be cut out of their text.

Beyond what `json` does by itself:
- `NaN` and `Infinity` are no JSON and are refused.
- A number is a `Number`, which keeps the literal, so integers of any length and exponents of any size pass.
- Nesting deeper than `MAX_DEPTH` open arrays and objects is refused with an error of its own.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

MAX_DEPTH = 4_128
"""Arrays and objects that may be open at once, in either text."""


class NotJsonError(ValueError):
    """The text is not JSON."""


class TooDeepError(ValueError):
    """The text nests deeper than `MAX_DEPTH`."""


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it is written. Two are equal only if they are written the same."""

    text: str

    @property
    def double(self) -> float:
        """The nearest double; infinite if the number is too large for one."""
        return float(self.text)


JsonValue: TypeAlias = "bool | str | Number | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"


def _refuse_constant(name: str) -> NoReturn:
    raise NotJsonError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refuse_constant)


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Raise the recursion limit, so that functions that recurse at every level can go as deep as a text may nest."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 4 * MAX_DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def parse(text: str) -> JsonValue:
    """Return the value of a JSON text. If a key is repeated, its last member counts."""
    if nests_too_deep(text):
        raise TooDeepError
    try:
        with deep_recursion():
            return _decoder.decode(text)  # type: ignore[no-any-return]
    except json.JSONDecodeError as error:
        raise NotJsonError(str(error)) from None


_brackets = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{\]}]', re.DOTALL)


def nests_too_deep(text: str) -> bool:
    """Return whether more than `MAX_DEPTH` arrays and objects are open at once anywhere outside of strings."""
    level = 0
    for match in _brackets.finditer(text):
        bracket = match.group()
        if bracket in ("[", "{"):
            level += 1
            if level > MAX_DEPTH:
                return True
        elif bracket in ("]", "}"):
            level -= 1
    return False


_strings_and_space = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\n\r]+', re.DOTALL)


def compact(text: str) -> str:
    """Return a valid text without the white space between its tokens."""
    return _strings_and_space.sub(r"\1", text)


_space = re.compile(r"[ \t\n\r]*")


def skip_space(text: str, start: int) -> int:
    """Return the index of the first character at or after `start` that is not JSON white space."""
    match = _space.match(text, start)
    assert match is not None
    return match.end()


def _value(text: str, start: int) -> tuple[Any, int]:
    with deep_recursion():
        return _decoder.raw_decode(text, start)


def members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """Yield key, start and end of the value of each member of the object that begins at `start` of a valid text."""
    assert text[start] == "{"
    at = skip_space(text, start + 1)
    while text[at] != "}":
        key, at = _value(text, at)
        at = skip_space(text, at)
        assert text[at] == ":"
        begin = skip_space(text, at + 1)
        _, end = _value(text, begin)
        yield key, begin, end
        at = skip_space(text, end)
        if text[at] == ",":
            at = skip_space(text, at + 1)


def elements(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each element of the array that begins at `start` of a valid text."""
    assert text[start] == "["
    at = skip_space(text, start + 1)
    while text[at] != "]":
        _, end = _value(text, at)
        yield at, end
        at = skip_space(text, end)
        if text[at] == ",":
            at = skip_space(text, at + 1)


def last_member(text: str, start: int, key: str) -> int:
    """Return where the value of the last member called `key` begins, in the object that begins at `start`."""
    return [begin for name, begin, _ in members(text, start) if name == key][-1]


def replace_surrogates(string: str) -> str:
    """Return the string with U+FFFD for each lone surrogate, so that it can be written as UTF-8."""
    return re.sub("[\ud800-\udfff]", "\ufffd", string)
