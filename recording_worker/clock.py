"""Time, handed in by the constructor so that tests can hold it still."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since 1970 (UTC)."""

    def monotonic(self) -> float:
        """Seconds that never go back, for ages and time-outs."""


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


def utc_text(timestamp_ms: float) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm` in UTC, as ClickHouse reads it; fractions of a millisecond are cut off.

    Past the year 9999, which neither Python's nor ClickHouse's calendar reaches, the last millisecond before it.
    """
    try:
        moment = _EPOCH + timedelta(milliseconds=int(timestamp_ms))
    except OverflowError:
        moment = _LAST
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
