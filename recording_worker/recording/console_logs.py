"""ConsoleLogRecorder: the console events of one session in one session batch."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class ConsoleEvent(Protocol):
    """A console event as the native core gives it (`_native.ConsoleLog`)."""

    @property
    def level(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def timestamp(self) -> float: ...


class ConsoleLogEntry(NamedTuple):
    """One stored console log."""

    level: str
    message: str
    timestamp: float
    """Milliseconds since 1970."""


class ConsoleLogRecorder:
    """Counts every console event by level. Stores equal (level, message) pairs of one message once."""

    __slots__ = ("counts", "entries")

    def __init__(self) -> None:
        self.counts = {"info": 0, "warn": 0, "error": 0}
        self.entries: list[ConsoleLogEntry] = []

    def record(self, events: Iterable[ConsoleEvent]) -> None:
        """Add the console events of one message."""
        seen: set[tuple[str, str]] = set()
        for event in events:
            self.counts[event.level] += 1
            fingerprint = (event.level, event.message)
            if fingerprint not in seen:
                seen.add(fingerprint)
                self.entries.append(ConsoleLogEntry(event.level, event.message, event.timestamp))
