"""Messages with each special character at every place of 64 bytes, which the core's loops take at a time.

`python -m tests.native.every_place` decodes them in a process of its own, and prints which instruction
set it used and what came of them.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence

from recording_worker import _native
from tests.decoders import NativeCall, call_native
from tests.inputs import Input, envelope_text, event_text, gzip_member, gzip_value, plain_value

PIECES = (
    '"',
    "\\",
    '\\"',
    "\\\\" * 3,
    "\\u0000\\u001f",
    "\\uD83D\\uDE00 \\uD83D",
    "/ \\/",
    "\\b\\f\\n\\r\\t",
    "é日😀",
    "\x00",
    "\n",
)
"""Texts of inner strings. Some are valid only because json.dumps of the envelope escapes them again."""

WRONG_ESCAPES = ("\\", "\\x", "\\u", "\\u12", "\\u123", "\\u12G4", "\\U0041", '\\u00"', "\\\\\\")
PACKED = ("\\u0000\\u001F", "\\u00e9\\u00Ff", "\\b\\f\\n\\r\\t", '\\"\\\\\\/', "aé\x7f\x80ÿ", "\\\\" * 3)
"""What a packed string may hold, as it is written in JSON."""
NO_BYTES = ("\u0100", "日", "😀", "\\u0100", "\\u1000", "\\uD83D", "\\ud83d\\ude00")
"""Characters that a packed string can't hold."""


def rows_with_pieces() -> Iterator[Input]:
    for offset in range(140):
        for piece in PIECES:
            filler = "x" * offset
            yield Input(plain_value([event_text(f'"{filler}{piece}{filler}"')]))
            yield Input(gzip_value(plain_value([event_text(f'["{filler}{piece * 9}"]', y=f'"{piece}"')])))
            yield Input(envelope_text(f"{filler}{piece}", {"y": f'"{filler}{piece}"'}).encode())


def rows_with_wrong_escape(wrong: str) -> list[Input]:
    return [Input(plain_value([event_text(f'"{"x" * offset}{wrong} tail"')])) for offset in range(200)]


def packed_events(written: str) -> list[str]:
    """Return events whose packed string of [1] holds `written` in its gzip header, which has a CRC."""
    return [event_text(_packed_string(offset, written), cv='"2024-10"') for offset in range(140)]


def _packed_string(offset: int, written: str) -> str:
    filler = bytes(range(offset))
    extra = filler + json.loads(f'"{written}"').encode("latin-1", "replace") + filler
    packed = gzip_member(b"[1]", extra=extra, header_crc=True)
    before = len(b"gzip header.") + offset
    after = len(packed) - len(extra) - len(b"gzip header.") + offset
    parts = (
        json.dumps(part.decode("latin-1"), ensure_ascii=False)[1:-1] for part in (packed[:before], packed[-after:])
    )
    return f'"{written.join(parts)}"'


def unpack(events: Sequence[str]) -> NativeCall:
    """Decode one message of these events, and unpack what is packed."""
    return call_native(_native.Decoder(unpack_client_compression=True), [Input(plain_value(events))])


def digest() -> str:
    """Return the SHA-256 of all that the core makes of these messages, in hexadecimal digits."""
    calls = [call_native(_native.Decoder(), list(rows_with_pieces()))]
    calls += [call_native(_native.Decoder(), rows_with_wrong_escape(wrong)) for wrong in WRONG_ESCAPES]
    calls += [unpack(packed_events(written)) for written in PACKED + NO_BYTES]
    found = hashlib.sha256()
    for decoded, dispositions, reasons in calls:
        found.update(dispositions + reasons)
        block = _native.SessionBlock()
        for row in range(decoded.rows):
            if not dispositions[row]:
                found.update(decoded.lines(row))
                block.record(decoded, row, row)
        found.update(repr((block.summary(), block.messages())).encode())
    return found.hexdigest()


if __name__ == "__main__":
    print(_native.SIMDJSON_IMPLEMENTATION, flush=True)
    print(digest())
