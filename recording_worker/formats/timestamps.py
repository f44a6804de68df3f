"""Timestamps as text, as ClickHouse reads them."""

from datetime import UTC, datetime

LAST_MS = 253_402_300_799_999
"""9999-12-31 23:59:59.999, the last millisecond with a year of four digits."""


def utc_text(ms: float) -> str:
    """Write milliseconds since 1970 as `YYYY-MM-DD HH:MM:SS.mmm` in UTC.

    A fraction of a millisecond is cut off. A timestamp past the year 9999 comes out as that
    year's last millisecond; only a very large max_timestamp_diff_days lets one through.
    """
    seconds, milliseconds = divmod(min(int(ms), LAST_MS), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(' ')[:19]}.{milliseconds:03}"
