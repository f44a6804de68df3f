"""Times as text, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.cli.times import parse_time
from recording_worker.errors import ConfigError
from recording_worker.formats.timestamps import FIRST_MS, LAST_MS, iso_text, parse_iso


@given(st.integers(FIRST_MS, LAST_MS))
def test_a_time_that_is_written_is_read(ms: int) -> None:
    assert parse_iso(iso_text(ms)) == pytest.approx(ms, abs=0.01)
    assert parse_iso(iso_text(ms, whole_seconds=True)) == ms // 1000 * 1000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_700_000_000_123.9, "2023-11-14T22:13:20.123Z"),
        (1e18, "9999-12-31T23:59:59.999Z"),
        (-1e18, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_iso_text(ms: float, text: str) -> None:
    assert iso_text(ms) == text


@pytest.mark.parametrize(
    ("text", "ms"),
    [("2026-11-24T03:30", 1_795_491_000_000), ("1970-01-01T01:00+01:00", 0), ("1970-01-01T00:00:00.0016Z", 2)],
)
def test_parse_time(text: str, ms: int) -> None:
    assert parse_time(text, "--to") == ms


@pytest.mark.parametrize("text", ["1970-01-01T00:59:59.999+01:00", "1969-12-31", "0001-01-01T00:00+23:00"])
def test_a_time_before_1970_is_refused(text: str) -> None:
    """Kafka takes a time of -1 for the end of a partition."""
    with pytest.raises(ConfigError, match="must not be before 1970"):
        parse_time(text, "--to")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "1:23"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a time such as"):
        parse_time(text, "--to")
