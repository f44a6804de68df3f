"""Sizes and durations as people write them: `64MiB`, `10s`."""

import re
from functools import cache
from typing import get_args

from pydantic import BeforeValidator, ByteSize, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_SECONDS)})")


def parse_duration(text: str) -> float:
    """Parse a number with a unit (ms, s, m, h or d) into seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a duration such as 500ms, 10s, 5m, 24h or 7d")
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Parse a number of bytes, with a unit or without. Raises ValueError."""
    try:
        return _parsed_size(text)
    except ValidationError as error:
        raise ValueError("must be a size such as 4096, 512KiB or 64MiB") from error


def _parsed_size(text: str) -> int:
    return int(_byte_size().validate_python(text))


@cache
def _byte_size() -> TypeAdapter[ByteSize]:
    """Made when it is first needed, because workers don't need it."""
    return TypeAdapter(ByteSize)


def duration_text(seconds: float) -> str:
    """Write seconds with the largest unit that leaves a whole number: `90s`, `5m`, `200ms`."""
    milliseconds = round(seconds * 1000)
    unit = next(unit for unit in reversed(_SECONDS) if milliseconds % round(_SECONDS[unit] * 1000) == 0)
    return f"{milliseconds // round(_SECONDS[unit] * 1000)}{unit}"


def size_text(size: int) -> str:
    """Write bytes with a binary unit: `64MiB`."""
    return ByteSize(size).human_readable(separator="").replace(".0", "")


def _seconds(value: object) -> object:
    """Take a text with a unit as a duration; a number without a unit is seconds."""
    if not isinstance(value, str) or _is_number(value):
        return value
    return parse_duration(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _bytes(value: object) -> object:
    return _parsed_size(value) if isinstance(value, str) else value


SIZE = BeforeValidator(_bytes)
"""Marks a setting in bytes, which may be written with a unit."""
DURATION = BeforeValidator(_seconds)
"""Marks a setting in seconds, which may be written with a unit."""


def unit_of(field: FieldInfo) -> BeforeValidator | None:
    """Return SIZE or DURATION for a setting that takes such a unit, else None."""
    of_parts = (mark for part in get_args(field.annotation) for mark in getattr(part, "__metadata__", ()))
    return next((mark for mark in (*field.metadata, *of_parts) if mark in (SIZE, DURATION)), None)


def value_text(field: FieldInfo, value: object) -> str:
    """Write a value of this setting as a user would write it."""
    unit = unit_of(field)
    if unit is SIZE and isinstance(value, int):
        return size_text(value)
    if isinstance(value, float):
        return duration_text(value) if unit is DURATION else f"{value:g}"
    return str(value)
