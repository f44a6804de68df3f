"""The loops over 64 bytes give the same with every instruction set, at every place in the 64 bytes."""

import os
import subprocess
import sys

import pytest

from recording_worker import _native
from tests.decoders import assert_same, decode_native, decode_reference, parse_lines
from tests.inputs import event_text
from tests.native import every_place
from tests.native.every_place import NO_BYTES, PACKED, WRONG_ESCAPES, packed_events, rows_with_wrong_escape, unpack

SETS = ("icelake", "haswell", "westmere", "fallback", "arm64")


def test_like_the_reference_at_every_place_of_a_block() -> None:
    inputs = list(every_place.rows_with_pieces())
    assert_same(decode_native(inputs), decode_reference(inputs))


@pytest.mark.parametrize("wrong", WRONG_ESCAPES)
def test_a_wrong_escape_is_found_at_every_place(wrong: str) -> None:
    inputs = rows_with_wrong_escape(wrong)
    outcome = decode_native(inputs)
    assert_same(outcome, decode_reference(inputs))
    assert all(row.disposition for row in outcome.rows)


def assert_unpacked(written: str, *, whole: bool) -> None:
    """Check that all strings with `written` are unpacked to [1], or that none is."""
    events = packed_events(written)
    expected = [event_text("[1]") for _ in events] if whole else events
    assert [line.event for line in parse_lines(unpack(events).decoded.lines(0))] == expected


@pytest.mark.parametrize("written", PACKED)
def test_a_packed_string_at_every_place(written: str) -> None:
    assert_unpacked(written, whole=True)


@pytest.mark.parametrize("wrong", NO_BYTES)
def test_a_packed_string_with_a_character_that_is_no_byte(wrong: str) -> None:
    assert_unpacked(wrong, whole=False)


@pytest.fixture(scope="module")
def expected_digest() -> str:
    return every_place.digest()


@pytest.mark.parametrize("name", SETS)
def test_the_same_with_each_instruction_set(name: str, expected_digest: str) -> None:
    """Each runs in a new process, because simdjson chooses once. Skipped if this machine does not have the set.

    The tests above hold what this process makes of these messages against the reference.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.native.every_place"],
        env=os.environ | {"SIMDJSON_FORCE_IMPLEMENTATION": name},
        capture_output=True,
        text=True,
        check=False,
    )
    chosen, *digest = done.stdout.split()
    if chosen != name:
        pytest.skip(f"{name} is not among what simdjson can use here")
    assert digest == [expected_digest], done.stderr


def test_the_implementation_has_a_name() -> None:
    assert _native.SIMDJSON_IMPLEMENTATION in SETS
