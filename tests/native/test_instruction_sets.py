"""The loops over 64 bytes give the same with every instruction set, at every place in the 64 bytes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from recording_worker import _native
from tests.decoders import assert_same, call_native, decode_native, decode_reference, parse_lines
from tests.inputs import Input, envelope_text, event_text, gzip_member, gzip_value, plain_value

SETS = ("icelake", "haswell", "westmere", "fallback", "arm64")

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


def rows() -> Iterator[Input]:
    for offset in range(140):
        for piece in PIECES:
            filler = "x" * offset
            yield Input(plain_value([event_text(f'"{filler}{piece}{filler}"')]))
            yield Input(gzip_value(plain_value([event_text(f'["{filler}{piece * 9}"]', y=f'"{piece}"')])))
            yield Input(envelope_text(f"{filler}{piece}", {"y": f'"{filler}{piece}"'}).encode())


def test_like_the_reference_at_every_place_of_a_block() -> None:
    inputs = list(rows())
    assert_same(decode_native(inputs), decode_reference(inputs))


@pytest.mark.parametrize("wrong", ["\\", "\\x", "\\u", "\\u12", "\\u123", "\\u12G4", "\\U0041", '\\u00"', "\\\\\\"])
def test_a_wrong_escape_is_found_at_every_place(wrong: str) -> None:
    inputs = [Input(plain_value([event_text(f'"{"x" * offset}{wrong} tail"')])) for offset in range(200)]
    outcome = decode_native(inputs)
    assert_same(outcome, decode_reference(inputs))
    assert all(row.disposition for row in outcome.rows)


def assert_unpacked(strings: list[str], *, whole: bool) -> None:
    """Check that all packed strings are unpacked to [1], or that none is."""
    events = [event_text(string, cv='"2024-10"') for string in strings]
    decoded = call_native(_native.Decoder(unpack_client_compression=True), [Input(plain_value(events))]).decoded
    expected = [event_text("[1]") for _ in events] if whole else events
    assert [line.event for line in parse_lines(decoded.lines(0))] == expected


def packed_string(offset: int, written: str) -> str:
    """Return a packed string of [1] that holds `written` in its gzip header, which has a CRC."""
    filler = bytes(range(offset))
    extra = filler + json.loads(f'"{written}"').encode("latin-1", "replace") + filler
    packed = gzip_member(b"[1]", extra=extra, header_crc=True)
    before = len(b"gzip header.") + offset
    after = len(packed) - len(extra) - len(b"gzip header.") + offset
    parts = (
        json.dumps(part.decode("latin-1"), ensure_ascii=False)[1:-1] for part in (packed[:before], packed[-after:])
    )
    return f'"{written.join(parts)}"'


@pytest.mark.parametrize(
    "written", ["\\u0000\\u001F", "\\u00e9\\u00Ff", "\\b\\f\\n\\r\\t", '\\"\\\\\\/', "aé\x7f\x80ÿ", "\\\\" * 3]
)
def test_a_packed_string_at_every_place(written: str) -> None:
    assert_unpacked([packed_string(offset, written) for offset in range(140)], whole=True)


@pytest.mark.parametrize("wrong", ["\u0100", "日", "😀", "\\u0100", "\\u1000", "\\uD83D", "\\ud83d\\ude00"])
def test_a_packed_string_with_a_character_that_is_no_byte(wrong: str) -> None:
    assert_unpacked([packed_string(offset, wrong) for offset in range(140)], whole=False)


AT_EVERY_PLACE = (
    "test_like_the_reference_at_every_place_of_a_block",
    "test_a_wrong_escape_is_found_at_every_place",
    "test_a_packed_string_at_every_place",
    "test_a_packed_string_with_a_character_that_is_no_byte",
)


@pytest.mark.parametrize("name", SETS)
def test_like_the_reference_with_each_instruction_set(name: str) -> None:
    """Each runs in a new process, because simdjson chooses once. Skipped if this machine does not have the set."""
    again = [f"{__file__}::{test}" for test in AT_EVERY_PLACE]
    environment = os.environ | {"SIMDJSON_FORCE_IMPLEMENTATION": name}
    chosen = subprocess.run(
        [sys.executable, "-c", "from recording_worker import _native; print(_native.SIMDJSON_IMPLEMENTATION)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if chosen != name:
        pytest.skip(f"{name} is not among what simdjson can use here")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *again],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_implementation_has_a_name() -> None:
    assert _native.SIMDJSON_IMPLEMENTATION in SETS
