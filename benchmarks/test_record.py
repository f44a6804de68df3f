"""Recording: decoded rows into the blocks of their sessions, with all counters."""

import pytest

from benchmarks.conftest import Measure
from benchmarks.inputs import SIZES, columns, made_up, real, record
from recording_worker._native import DecodedBatch, Decoder, SessionBlock


def check_recorded(blocks: list[SessionBlock], decoded: DecodedBatch) -> None:
    """Raise AssertionError unless the blocks hold all events."""
    events = sum(decoded.event_count(row) for row in range(decoded.rows))
    assert sum(block.event_count for block in blocks) == events


@pytest.mark.parametrize("size", SIZES)
def test_record(measure: Measure, size: str) -> None:
    """Generated messages by size: what a row costs, whatever its number of events."""
    given = columns(made_up(1, SIZES[size], "plain"))
    decoded = given.decode(Decoder())
    measure(lambda: record(decoded), given.bytes, lambda blocks: check_recorded(blocks, decoded))


def test_record_real(measure: Measure) -> None:
    """The sample of real recordings."""
    given = columns(real())
    decoded = given.decode(Decoder())
    measure(lambda: record(decoded), given.bytes, lambda blocks: check_recorded(blocks, decoded))


def test_decode_and_record_real(measure: Measure) -> None:
    """Decode and record the sample of real recordings: the job that `benchmarks.compare` compares."""
    decoder, given = Decoder(), columns(real())
    expected = given.decode(decoder)
    measure(lambda: record(given.decode(decoder)), given.bytes, lambda blocks: check_recorded(blocks, expected))
