"""Events as JSON, and as posthog-js packs them, for files that hold them so (`unpack_client_compression` off)."""

import json
import zlib
from typing import Any

import orjson

PACKED = "2024-10"
"""The `cv` of a packed event."""
_FIELDS = ("texts", "attributes", "removes", "adds")
_MAX_BYTES = 256 * 1024 * 1024
_GZIP = 31
"""zlib's window size for gzip."""


def parse(text: bytes) -> Any:
    """A JSON text as Python's values. Raises ValueError, or RecursionError for what nests very deep."""
    try:
        return orjson.loads(text)
    except ValueError:  # it is stricter than JSON about lone surrogates, depth and long numbers
        return json.loads(text)


def is_packed(event: dict[str, Any]) -> bool:
    """Whether the client packed it."""
    return event.get("cv") == PACKED


def unpack(event: dict[str, Any]) -> dict[str, Any]:
    """The event as it was before it was packed.

    `data`, or some of its fields, is a string whose characters U+0000 to U+00FF are the bytes of a gzip of
    the field's JSON. Raises ValueError where that is not so, or where it holds more than 256 MiB;
    RecursionError as `parse` does.
    """
    unpacked = {name: value for name, value in event.items() if name != "cv"}
    data = event.get("data")
    if isinstance(data, str):
        unpacked["data"] = _field(data)
    elif isinstance(data, dict):
        unpacked["data"] = {
            name: _field(value) if name in _FIELDS and isinstance(value, str) else value for name, value in data.items()
        }
    return unpacked


def _field(text: str) -> Any:
    inflate = zlib.decompressobj(_GZIP)
    try:
        plain = inflate.decompress(text.encode("latin-1"), _MAX_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not inflate.eof:
        raise ValueError("cut off, or too large")
    return parse(plain)
