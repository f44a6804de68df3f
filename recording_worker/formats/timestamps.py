"""Timestamps as text: as ClickHouse reads them, and as ISO 8601 has them."""

from datetime import UTC, datetime

FIRST_MS = -62_135_596_800_000
"""0001-01-01 00:00:00.000, the first millisecond that can be written."""
LAST_MS = 253_402_300_799_999
"""9999-12-31 23:59:59.999, the last millisecond with a year of four digits."""
LATEST_MS = 8.64e15
"""The latest timestamp that an event may have: the last one that JavaScript's Date takes."""


def utc_text(ms: float) -> str:
    """Write milliseconds since 1970 as `YYYY-MM-DD HH:MM:SS.mmm` in UTC.

    A fraction of a millisecond is cut off. A timestamp past the year 9999 comes out as that year's last millisecond;
    only a very large max_timestamp_diff_days lets one through. One before the year 1, which a Kafka record may have,
    comes out as that year's first.
    """
    seconds, milliseconds = divmod(max(FIRST_MS, min(int(ms), LAST_MS)), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(' ')[:19]}.{milliseconds:03}"


def iso_text(ms: float, *, whole_seconds: bool = False) -> str:
    """Write milliseconds since 1970 as `YYYY-MM-DDTHH:MM:SS.mmmZ`, or without the milliseconds. See utc_text."""
    day, time = utc_text(ms).split(" ")
    return f"{day}T{time[:8] if whole_seconds else time}Z"


def parse_iso(text: str) -> float:
    """Return a time of ISO 8601 in milliseconds since 1970; it is UTC if it names no zone. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000
