"""Works out what to show of a session: windows and what can be played of each, console, urls and counts."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from recording_worker._native import unpack_line
from recording_worker.formats.rrweb import (
    ACTIVE_SOURCES,
    ACTIVITY_GAP_MS,
    MOUSE_SOURCES,
    Event,
    EventType,
    Source,
    data_of,
    is_click,
    read_line,
    source_of,
    type_of,
    url_of,
)
from recording_worker.playing.boxes import Gap, missing_notes
from recording_worker.playing.console import ConsoleMessage, console_message
from recording_worker.playing.network import Request, requests_of
from recording_worker.playing.steps import Step, WindowSteps, shared_room
from recording_worker.playing.wireframes import Screen, has_wireframes
from recording_worker.reading.batch_files import Block
from recording_worker.reading.session_events import MAX_RECORDING_BYTES
from recording_worker.settings.units import size_text
from recording_worker.text import counted

_PACKED = "2024-10"
"""The `cv` of an event that the client has packed: in files written with `unpack_client_compression` off."""
_MAX_UNPACKED_BYTES = 64 * 1024 * 1024
"""The limit for one event."""
_MAX_GZIP_RATIO = 1032
"""The most bytes that gzip makes of one."""
_EVENT_BYTES = 100
"""What an event takes in addition to its line."""
_PART_BYTES = 500
"""What a wireframe on a mobile app's screen takes."""
_NO_SNAPSHOT = "it has no full snapshot, so only the page's changes are known."
MAX_WINDOWS = 1_000
MAX_LISTED = 10_000
"""The most console messages, addresses, requests and steps that the page lists."""
MAX_CONTENT = 64 * 1024 * 1024
"""The most characters that the page holds of what requests and console messages contain."""


@dataclass(slots=True)
class Window:
    """One browser window or tab of the session. Times are in milliseconds since 1970."""

    id: str
    start: float
    end: float
    events: int = 0
    playable_from: float | None = None
    """When its first full snapshot was taken. There is nothing to show before."""
    active: list[tuple[float, float]] = field(default_factory=list)
    """Spans in which the user did something. They include pauses of up to ACTIVITY_GAP_MS."""
    lines: list[bytes] = field(default_factory=list)
    """The lines for the player, `[window id, event]` each: the page's size, and all from the first full snapshot on."""
    url: str | None = None
    """The page's address after the last event."""
    size_line: bytes | None = None
    """The last line before its first full snapshot that gives the page's size."""

    def add(self, line: bytes, event: Event, at: float) -> None:
        """Add the window's next event."""
        self.end = at
        self.events += 1
        kind, data = type_of(event), data_of(event)
        is_page = kind == EventType.FULL_SNAPSHOT and isinstance(data.get("node"), dict)
        if is_page and self.playable_from is None:
            self.playable_from = at
            self.lines = [self.size_line] if self.size_line else []
        if self.playable_from is not None:
            self.lines.append(line)
        elif kind == EventType.META:
            self.size_line = line
        if source_of(event) in ACTIVE_SOURCES:
            if self.active and at - self.active[-1][1] <= ACTIVITY_GAP_MS:
                self.active[-1] = (self.active[-1][0], at)
            else:
                self.active.append((at, at))

    @property
    def unplayable(self) -> str | None:
        """Why nothing of the window can be played; None if it can be played."""
        if self.playable_from is not None:
            return None
        return f"This window can't be played: {_NO_SNAPSHOT}"


@dataclass(slots=True)
class Recording:
    """What the page shows of a session. Times are in milliseconds since 1970."""

    session_id: str
    team_id: int
    distinct_id: str
    files: int
    bytes: int = 0
    """The size of its lines."""
    windows: list[Window] = field(default_factory=list)
    console: list[ConsoleMessage] = field(default_factory=list)
    urls: list[tuple[float, str, int]] = field(default_factory=list)
    """(time, url, window) of each page, in order. A window's url is not repeated while it stays the same."""
    requests: list[Request] = field(default_factory=list)
    """In the order in which they began."""
    steps: list[Step] = field(default_factory=list)
    """What the user did, in order."""
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    """Notes for the viewer: parts that are missing or can't be read."""
    begin_after: float | None = None
    """Where playing begins, in milliseconds after the start, unless the address says it; None for where it can."""

    @property
    def start(self) -> float:
        return min((window.start for window in self.windows), default=0.0)

    @property
    def end(self) -> float:
        return max((window.end for window in self.windows), default=0.0)

    @property
    def events(self) -> int:
        return sum(window.events for window in self.windows)

    @property
    def missing(self) -> list[str]:
        """What can't be shown, and why."""
        windows = enumerate(self.windows, 1)
        return [
            f"Window {number} can't be played: {_NO_SNAPSHOT}" for number, one in windows if one.unplayable
        ] + self.notes

    def as_json(self) -> str:
        """Return everything for the page except the lines: ASCII, with `<` escaped, so that it can stand in HTML."""
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
            "console": [said.as_json() for said in self.console],
            "steps": [step.as_json() for step in self.steps],
            "requests": [request.as_json() for request in self.requests],
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
            "beginAfter": self.begin_after,
        }
        return json.dumps(shown, allow_nan=False).replace("<", "\\u003c")


def recording_of(blocks: Sequence[Block], lines: Iterable[bytes], max_bytes: int = MAX_RECORDING_BYTES) -> Recording:
    """Make a recording from a session's blocks (at least one) and its lines, in time order, without line breaks.

    It holds lines of at most `max_bytes`, and at most as many bytes are unpacked. What exceeds that is left out, and a
    note says so.
    """
    first = min((block.entry for block in blocks), key=lambda entry: entry.first_timestamp)
    recording = Recording(
        session_id=first.session_id,
        team_id=first.team_id,
        distinct_id=first.distinct_id,
        files=len({block.file.name for block in blocks}),
    )
    reading = _Reading(recording, max_bytes)
    for line in lines:
        reading.add(line)
    reading.finish()
    return recording


class _Reading:
    """Fills a recording, within its bounds."""

    def __init__(self, recording: Recording, max_bytes: int) -> None:
        self._recording = recording
        self._numbers: dict[str, int] = {}
        """Id of a window → its number."""
        self._max_bytes = max_bytes
        self._room = max_bytes
        self._unpacking_room = max_bytes
        self._unread = self._not_unpacked = self._too_many = self._too_late = 0
        self._screens: dict[int, Screen] = {}
        """The screens of mobile apps, by the number of the window."""
        self._missing: Counter[Gap] = Counter()
        self._content_room = MAX_CONTENT
        self._without_content: Counter[str] = Counter()
        """How many requests and console messages had no room for what they contain."""
        self._requests = self._steps_left_out = 0
        self._steps: list[WindowSteps] = []
        """By the number of the window."""
        self._nodes_room = shared_room()

    def add(self, line: bytes) -> None:
        """Add the next event."""
        recording = self._recording
        recording.bytes += len(line) + 1
        try:
            window_id, event, at = read_line(line)
        except (ValueError, RecursionError):
            self._unread += 1
            return
        if event.get("cv") == _PACKED:
            try:
                unpacked = self._unpacked(line)
                _, event, _ = read_line(unpacked)
                line = unpacked
            except (ValueError, RecursionError):
                self._not_unpacked += 1
        if window_id not in self._numbers and len(self._numbers) == MAX_WINDOWS:
            self._too_many += 1
            return
        number = self._numbers.get(window_id, len(self._numbers))
        if not self._has_room(len(line) + _EVENT_BYTES):
            return
        screen = self._screen(number, event)
        shown = screen.as_rrweb(event) if screen else event
        if screen and shown is not event:
            recorded, line = line, _line(window_id, shown)
            if not self._has_room(len(line) - len(recorded) + screen.changed * _PART_BYTES):
                return
        if number == len(recording.windows):
            self._numbers[window_id] = number
            recording.windows.append(Window(window_id, at, at))
            self._steps.append(WindowSteps(number, self._nodes_room))
        window = recording.windows[number]
        if screen and window.size_line is None and all(screen.size):
            window.size_line = _line(window_id, _size_event(event, *screen.size))
        window.add(line, shown, at)
        _note(recording, event, at, number)
        self._add_console(event, at, number)
        self._add_requests(event, at, number)
        if step := self._steps[number].add(shown, at):
            if len(recording.steps) < MAX_LISTED:
                recording.steps.append(step)
            else:
                self._steps_left_out += 1

    def _add_requests(self, event: Event, at: float, window: int) -> None:
        for request in requests_of(event, at):
            self._requests += 1
            if len(self._recording.requests) == MAX_LISTED:
                continue
            request.window = window
            self._hold(request, "request")
            self._recording.requests.append(request)

    def _add_console(self, event: Event, at: float, window: int) -> None:
        if said := console_message(event, at, window):
            self._recording.counts[said.level] += 1
            if len(self._recording.console) < MAX_LISTED:
                self._hold(said, "console message")
                self._recording.console.append(said)

    def _hold(self, item: Request | ConsoleMessage, noun: str) -> None:
        """Take room for what an item contains. If it is too little, the content is left out."""
        if item.length > self._content_room:
            item.without_content()
            self._without_content[noun] += 1
        self._content_room -= item.length

    def _has_room(self, size: int) -> bool:
        """Take room from what is left. If it is too little, the event and all later ones are left out.

        So no change of a page is missing between two others.
        """
        self._room -= size
        self._too_late += self._room < 0
        return self._room >= 0

    def _screen(self, number: int, event: Event) -> Screen | None:
        """Return the screen of a mobile app that the window shows; None if it shows a page, or nothing yet."""
        if has_wireframes(event):
            return self._screens.setdefault(number, Screen(self._missing))
        if type_of(event) == EventType.FULL_SNAPSHOT:
            self._screens.pop(number, None)
        return self._screens.get(number)

    def _unpacked(self, line: bytes) -> bytes:
        """Return the line unpacked. Raises ValueError if it can't be unpacked, or not in the room that is left."""
        most = min(_MAX_UNPACKED_BYTES, self._unpacking_room)
        taken = min(most, len(line) * _MAX_GZIP_RATIO)
        try:
            unpacked = unpack_line(line, most)
            taken = len(unpacked)
        finally:
            self._unpacking_room -= min(taken, self._unpacking_room)
        return unpacked

    def finish(self) -> None:
        """Put the requests in order, and say in the recording what is left out."""
        recording, notes = self._recording, self._recording.notes
        recording.requests.sort(key=lambda request: request.at)
        if self._unread:
            notes.append(f"{counted(self._unread, 'event')} can't be read: left out.")
        if self._not_unpacked:
            notes.append(f"{counted(self._not_unpacked, 'event')} that the client packed can't be unpacked.")
        notes += missing_notes(self._missing)
        if self._too_late:
            size = size_text(self._max_bytes)
            notes.append(f"{counted(self._too_late, 'event')} after the first {size} of the recording: left out.")
        if self._too_many:
            notes.append(f"{counted(self._too_many, 'event')} of windows after the first {MAX_WINDOWS:,}: left out.")
        said = sum(recording.counts[level] for level in ("info", "warn", "error"))
        if said > len(recording.console):
            notes.append(f"The console lists the first {len(recording.console):,} of {said:,} messages.")
        if self._requests > len(recording.requests):
            notes.append(f"The network lists the first {len(recording.requests):,} of {self._requests:,} requests.")
        if self._steps_left_out:
            notes.append(f"{counted(self._steps_left_out, 'step')} after the first {MAX_LISTED:,}: left out.")
        for noun, left_out in self._without_content.items():
            content = size_text(MAX_CONTENT)
            notes.append(f"The contents of {counted(left_out, noun)} after the first {content} of them: left out.")
        if len(recording.urls) == MAX_LISTED:
            notes.append(f"Only the first {MAX_LISTED:,} addresses are listed.")


def _line(window_id: str, event: Event) -> bytes:
    return json.dumps([window_id, event], separators=(",", ":")).encode()


def _size_event(event: Event, width: float, height: float) -> Event:
    """Return the event that tells the player the size of a mobile app's screen, if the app has not told it."""
    data = {"href": "", "width": width, "height": height}
    return {"type": EventType.META, "timestamp": event["timestamp"], "data": data}


def _note(recording: Recording, event: Event, at: float, window: int) -> None:
    """Count the event, and keep its url."""
    source, counts = source_of(event), recording.counts
    counts["clicks"] += is_click(event)
    counts["keypresses"] += source == Source.INPUT
    counts["mouse"] += source in MOUSE_SOURCES
    counts["snapshots"] += type_of(event) == EventType.FULL_SNAPSHOT
    url = url_of(event)
    if url and url != recording.windows[window].url:
        recording.windows[window].url = url
        if len(recording.urls) < MAX_LISTED:
            recording.urls.append((at, url, window))
