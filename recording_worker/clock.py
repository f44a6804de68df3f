"""Time. It comes in by the constructor, so that a test can hold it still."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since 1970 (UTC)."""

    def monotonic(self) -> float:
        """Seconds that never go back, for ages and timeouts."""


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
