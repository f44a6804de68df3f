"""What is shown of a session: its windows and what can be played of each, its console, urls and counts."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from recording_worker._native import unpack_line
from recording_worker.formats.rrweb import (
    ACTIVE_SOURCES,
    ACTIVITY_GAP_MS,
    MOUSE_SOURCES,
    Event,
    EventType,
    Source,
    console_line,
    data_of,
    is_click,
    source_of,
    type_of,
    url_of,
)
from recording_worker.reading.batch_files import Block
from recording_worker.text import counted

_PACKED = "2024-10"
"""The `cv` of an event that the client has packed: in files written with `unpack_client_compression` off."""
_MAX_UNPACKED_BYTES = 256 * 1024 * 1024
"""Of one event."""


@dataclass(slots=True)
class Window:
    """One browser window, or tab, of the session. Times in milliseconds since 1970."""

    id: str
    start: float
    end: float
    events: int = 0
    playable_from: float | None = None
    """When its first full snapshot was taken: there is nothing to show before."""
    wireframes: bool = False
    """Whether its snapshots are those of a mobile client, which rrweb's player has no use for."""
    active: list[tuple[float, float]] = field(default_factory=list)
    """From when to when somebody did something, pauses of up to ACTIVITY_GAP_MS included."""
    lines: list[bytes] = field(default_factory=list)
    """What the player gets, `[window id, event]` each: all from the size of the page before the first full snapshot."""
    url: str | None = None
    """Where the page is as of the last event."""
    _size_line: bytes | None = None

    def add(self, line: bytes, event: Event, at: float) -> None:
        """Add the window's next event."""
        self.end = at
        self.events += 1
        kind, data = type_of(event), data_of(event)
        if kind == EventType.FULL_SNAPSHOT and self.playable_from is None:
            if isinstance(data.get("node"), dict):
                self.playable_from = at
                self.lines = [self._size_line] if self._size_line else []
            self.wireframes = self.wireframes or "wireframes" in data
        if self.playable_from is not None:
            self.lines.append(line)
        elif kind == EventType.META:
            self._size_line = line
        if source_of(event) in ACTIVE_SOURCES:
            if self.active and at - self.active[-1][1] <= ACTIVITY_GAP_MS:
                self.active[-1] = (self.active[-1][0], at)
            else:
                self.active.append((at, at))

    @property
    def unplayable(self) -> str | None:
        """Why nothing of it can be played; None where it can."""
        if self.playable_from is not None:
            return None
        if self.wireframes:
            return "This window can't be played: a mobile app recorded it, as wireframes, which are not rrweb's."
        return "This window can't be played: it has no full snapshot, so only what changed on the page is known."


@dataclass(frozen=True, slots=True)
class ConsoleMessage:
    at: float
    level: str
    """info, warn or error."""
    text: str
    window: int
    """Which of the windows, counted from 0."""


@dataclass(slots=True)
class Recording:
    """A session as it is shown. Times in milliseconds since 1970."""

    session_id: str
    team_id: int
    distinct_id: str
    files: int
    bytes: int = 0
    """Of its lines."""
    windows: list[Window] = field(default_factory=list)
    console: list[ConsoleMessage] = field(default_factory=list)
    urls: list[tuple[float, str, int]] = field(default_factory=list)
    """(when, url, window): where the pages were, in order; one that a window stays at is not repeated."""
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    """What a viewer should know: parts that are missing or can't be read."""

    @property
    def start(self) -> float:
        return min((window.start for window in self.windows), default=0.0)

    @property
    def end(self) -> float:
        return max((window.end for window in self.windows), default=0.0)

    @property
    def events(self) -> int:
        return sum(window.events for window in self.windows)

    def as_json(self) -> str:
        """What the page is told, but for the lines: ASCII, with `<` escaped, so it can stand in HTML."""
        shown = {
            "session": self.session_id,
            "team": self.team_id,
            "user": self.distinct_id,
            "start": self.start,
            "end": self.end,
            "files": self.files,
            "bytes": self.bytes,
            "events": self.events,
            "counts": dict(self.counts),
            "urls": [{"at": at, "url": url, "window": window} for at, url, window in self.urls],
            "console": [
                {"at": said.at, "level": said.level, "text": said.text, "window": said.window} for said in self.console
            ],
            "windows": [
                {
                    "id": window.id,
                    "start": window.start,
                    "end": window.end,
                    "events": window.events,
                    "playableFrom": window.playable_from,
                    "unplayable": window.unplayable,
                    "active": window.active,
                }
                for window in self.windows
            ],
            "notes": self.notes,
        }
        return json.dumps(shown, allow_nan=False).replace("<", "\\u003c")


def recording_of(blocks: Sequence[Block], lines: Iterable[bytes]) -> Recording:
    """A session, of its blocks (at least one) and its lines in time order, without line breaks."""
    first = min((block.entry for block in blocks), key=lambda entry: entry.first_timestamp)
    recording = Recording(
        session_id=first.session_id,
        team_id=first.team_id,
        distinct_id=first.distinct_id,
        files=len({block.file.name for block in blocks}),
    )
    numbers: dict[str, int] = {}
    unread = unpacked_not = 0
    for line in lines:
        recording.bytes += len(line) + 1
        try:
            window_id, event, at = _parsed(line)
        except (ValueError, RecursionError):
            unread += 1
            continue
        if event.get("cv") == _PACKED:
            try:
                unpacked = unpack_line(line, _MAX_UNPACKED_BYTES)
                _, event, _ = _parsed(unpacked)
                line = unpacked
            except (ValueError, RecursionError):
                unpacked_not += 1
        number = numbers.setdefault(window_id, len(numbers))
        if number == len(recording.windows):
            recording.windows.append(Window(window_id, at, at))
        recording.windows[number].add(line, event, at)
        _note(recording, event, at, number)
    if unread:
        recording.notes.append(f"{counted(unread, 'event')} can't be read: left out.")
    if unpacked_not:
        recording.notes.append(f"{counted(unpacked_not, 'event')} the client had compressed can't be unpacked.")
    return recording


def _parsed(line: bytes) -> tuple[str, Event, float]:
    """Window id, event and timestamp of a line. Raises ValueError, or RecursionError for a very deep one."""
    try:
        item = orjson.loads(line)
    except ValueError:  # it is stricter than JSON about lone surrogates, depth and long numbers
        item = json.loads(line)
    if not (isinstance(item, list) and len(item) == 2):
        raise ValueError("no pair of window id and event")
    window_id, event = item
    if not (isinstance(window_id, str) and isinstance(event, dict)):
        raise ValueError("no pair of window id and event")
    at = event.get("timestamp")
    if not (isinstance(at, int | float) and math.isfinite(at)):
        raise ValueError("no timestamp")
    return window_id, event, float(at)


def _note(recording: Recording, event: Event, at: float, window: int) -> None:
    """Count the event, and keep what is listed of it: console messages and urls."""
    source, counts = source_of(event), recording.counts
    counts["clicks"] += is_click(event)
    counts["keypresses"] += source == Source.INPUT
    counts["mouse"] += source in MOUSE_SOURCES
    counts["snapshots"] += type_of(event) == EventType.FULL_SNAPSHOT
    if said := console_line(event):
        counts[said.level] += 1
        recording.console.append(ConsoleMessage(at, said.level, said.message, window))
    url = url_of(event)
    if url and url != recording.windows[window].url:
        recording.windows[window].url = url
        recording.urls.append((at, url, window))
