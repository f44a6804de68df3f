"""The counters of a session's events, computed on parsed events."""

from typing import Any

from benchmarks.contenders.serve import Counts

MAX_TIMESTAMP = 8.64e15
_CLICKS = frozenset({2, 3, 4, 9})
_MOUSE = frozenset({1, 2, 6})
_ACTIVE = frozenset({1, 2, 3, 4, 5, 6, 7, 12})
_LEVELS = {"warn": "warn", "countReset": "warn", "error": "error", "assert": "error"}
_ACTIVITY_THRESHOLD_MS = 5_000
_MAX_URLS = 25
_MAX_URL_LENGTH = 4_096
_MAX_CONSOLE_STRING = 2_999


class SessionFeatures:
    """Counts the events of a session in the order received."""

    __slots__ = ("active", "clicks", "has_full_snapshot", "keypresses", "mouse_activity", "timestamps", "urls")

    def __init__(self) -> None:
        self.clicks = 0
        self.keypresses = 0
        self.mouse_activity = 0
        self.has_full_snapshot = False
        self.urls: dict[str, None] = {}
        self.timestamps: list[float] = []
        self.active: list[bool] = []

    def add(self, event: dict[str, Any]) -> None:
        """Count one event."""
        kind, data = event.get("type"), event.get("data")
        active = False
        if kind == 2:
            self.has_full_snapshot = True
        if isinstance(data, dict):
            if kind == 3:
                active = self._add_incremental(data)
            if len(self.urls) < _MAX_URLS and (url := _url(kind, data)):
                self.urls[url] = None
        self.timestamps.append(event["timestamp"])
        self.active.append(active)

    def _add_incremental(self, data: dict[str, Any]) -> bool:
        """Count an incremental snapshot. Returns whether it is a user's activity."""
        source = data.get("source")
        if not _is_number(source):
            return False
        if source == 2 and _is_number(data.get("type")) and data["type"] in _CLICKS:
            self.clicks += 1
        if source == 5:
            self.keypresses += 1
        if source in _MOUSE:
            self.mouse_activity += 1
        return source in _ACTIVE

    def add_to(self, counts: Counts) -> None:
        """Add the session's counters to the counts of a pass."""
        counts.events += len(self.timestamps)
        counts.clicks += self.clicks
        counts.keypresses += self.keypresses
        counts.mouse_activity += self.mouse_activity
        counts.full_snapshots += self.has_full_snapshot
        counts.urls += len(self.urls)
        counts.active_milliseconds += self.active_milliseconds()

    def active_milliseconds(self) -> int:
        """Return the time in which the user did something, by the rule of `SessionBlock.active_milliseconds`."""
        total = start = last = last_active = 0.0
        began = in_active = False
        for timestamp, active in sorted(zip(self.timestamps, self.active, strict=True), key=lambda pair: pair[0]):
            idle = in_active and timestamp - last_active > _ACTIVITY_THRESHOLD_MS
            if not began or (active and not in_active) or idle:
                if in_active:
                    total += max(1.0, last - start)
                began, in_active, start = True, active, timestamp
            last = timestamp
            if active:
                last_active = timestamp
        return int(total + (max(1.0, last - start) if in_active else 0))


def console_log(event: dict[str, Any]) -> tuple[str, str] | None:
    """Return level and text of a plugin event, or None if it is not a console event."""
    data = event.get("data")
    if not isinstance(data, dict) or data.get("plugin") != "rrweb/console@1":
        return None
    payload = data.get("payload")
    if not isinstance(payload, dict):
        return "info", ""
    level, strings = payload.get("level"), payload.get("payload")
    texts = [text for text in strings if isinstance(text, str)] if isinstance(strings, list) else []
    message = " ".join([text[:_MAX_CONSOLE_STRING] for text in texts])
    return _LEVELS.get(level, "info") if isinstance(level, str) else "info", message


def _url(kind: Any, data: dict[str, Any]) -> str | None:
    """Return the URL of an event, cut."""
    if kind == 5 and data.get("tag") == "$json_ld":
        return None
    url = data.get("href")
    if not (url and isinstance(url, str)):
        payload = data.get("payload")
        url = payload.get("href") if isinstance(payload, dict) else None
    return url[:_MAX_URL_LENGTH] if url and isinstance(url, str) else None


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float
