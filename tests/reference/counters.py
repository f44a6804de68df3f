"""block_counters: what a block's metadata must be, recomputed from the events it holds.

Where the rules leave room, this takes them by the letter:
- A number is compared as a double, so `3.0` and `3e0` are type 3; `true` is no number.
- White space at the ends of a url is what JavaScript's trim() takes off.
- Characters are code points, counted after a lone surrogate became U+FFFD; urls are distinct after the cut.
- Every string of a console payload counts, the empty one too; a payload that is no array has none.
- The last active event of a segment is the last before the event looked at, so an active event after more than
  5,000 ms begins a new segment too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from tests.reference.decoder import Decoded, Event
from tests.reference.jsontext import JsonObject, JsonValue, Number, replace_surrogates

FULL_SNAPSHOT, INCREMENTAL, CUSTOM, PLUGIN = 2, 3, 5, 6
MUTATION = 0
CLICKS = frozenset({2, 3, 4, 9})
MOUSE_SOURCES = frozenset({1, 2, 6})
ACTIVE_SOURCES = frozenset({1, 2, 3, 4, 5, 6, 7, 12})
ACTIVITY_THRESHOLD_MS = 5_000
GAP_MS = 10_000
MAX_URL_LENGTH = 4_096
MAX_URLS = 25
MAX_CONSOLE_STRING_LENGTH = 2_999
MAX_SOURCE_LENGTH = 1_000
SPACES = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
"""What JavaScript's trim() takes off (ECMA-262, 12.2 and 12.3)."""


class ConsoleLog(NamedTuple):
    level: str
    message: str
    timestamp: float


@dataclass(frozen=True, slots=True)
class BlockCounters:
    """A block's metadata, with the names of `BlockSummary`, without the sizes of its lines."""

    distinct_id: str
    event_count: int
    message_count: int
    first_offset: int
    last_offset: int
    first_timestamp: float
    last_timestamp: float
    first_url: str | None
    urls: list[str]
    click_count: int
    keypress_count: int
    mouse_activity_count: int
    has_full_snapshot: bool
    first_full_snapshot_position: int | None
    first_full_snapshot_timestamp: float | None
    snapshot_source: str
    snapshot_library: str | None
    snapshot_mode: str | None
    active_milliseconds: float
    """May have a fraction, from fractional timestamps. The native block rounds it."""
    out_of_order_count: int
    gap_count: int
    messages: list[tuple[int, int]]


def block_counters(messages: Sequence[tuple[int, Decoded]]) -> BlockCounters:
    """Recompute the metadata of the block that holds these messages, given as (offset, message) in their order."""
    events = [event for _, message in messages for event in message.events]
    incremental = [event for event in events if _is(event.value.get("type"), INCREMENTAL)]
    sources = [source_of(event) for event in incremental]
    full_snapshots = [
        (event.timestamp, position)
        for position, event in enumerate(events)
        if _is(event.value.get("type"), FULL_SNAPSHOT)
    ]
    first_full_snapshot = min(full_snapshots, default=(None, None))
    arrived = [event.timestamp for event in events]
    urls: list[str] = []
    for event in events:
        url = url_of(event.value)
        if url is not None and url not in urls:
            urls.append(url)
    return BlockCounters(
        distinct_id=messages[0][1].distinct_id or "",
        event_count=len(events),
        message_count=len(messages),
        first_offset=messages[0][0],
        last_offset=messages[-1][0],
        first_timestamp=min(event.timestamp for event in events),
        last_timestamp=max(event.timestamp for event in events),
        first_url=urls[0] if urls else None,
        urls=urls[:MAX_URLS],
        click_count=sum(_is_click(event) for event in incremental),
        keypress_count=sum(source == 5 for source in sources),
        mouse_activity_count=sum(source in MOUSE_SOURCES for source in sources),
        has_full_snapshot=bool(full_snapshots),
        first_full_snapshot_position=first_full_snapshot[1],
        first_full_snapshot_timestamp=first_full_snapshot[0],
        snapshot_source=_first(message.snapshot_source for _, message in messages)[:MAX_SOURCE_LENGTH] or "web",
        snapshot_library=_first(message.snapshot_library for _, message in messages) or None,
        snapshot_mode=snapshot_mode(messages),
        active_milliseconds=active_milliseconds([(event.timestamp, is_active(event)) for event in events]),
        out_of_order_count=sum(later < before for before, later in pairwise(arrived)),
        gap_count=sum(later - before > GAP_MS for before, later in pairwise(sorted(arrived))),
        messages=[(offset, len(message.events)) for offset, message in messages],
    )


def _first(values: Iterable[str | None]) -> str:
    """Return the first text that is not empty, or an empty string."""
    return next((value for value in values if value), "")


def _is(value: JsonValue, number: int) -> bool:
    return isinstance(value, Number) and value.double == number


def _data(event: JsonObject) -> JsonObject:
    """Return the event's data if it is an object, else an empty object. Packed events have a string."""
    data = event.get("data")
    return data if isinstance(data, dict) else {}


def _payload(event: JsonObject) -> JsonObject:
    payload = _data(event).get("payload")
    return payload if isinstance(payload, dict) else {}


def source_of(event: Event) -> float | None:
    source = _data(event.value).get("source")
    return source.double if isinstance(source, Number) else None


def _is_click(event: Event) -> bool:
    interaction = _data(event.value).get("type")
    return source_of(event) == 2 and isinstance(interaction, Number) and interaction.double in CLICKS


def is_active(event: Event) -> bool:
    return _is(event.value.get("type"), INCREMENTAL) and source_of(event) in ACTIVE_SOURCES


def url_of(event: JsonObject) -> str | None:
    """Return the event's URL, cut, or None if it has no URL."""
    data = _data(event)
    if _is(event.get("type"), CUSTOM) and data.get("tag") == "$json_ld":
        return None
    for url in (data.get("href"), _payload(event).get("href")):
        if isinstance(url, str) and url.strip(SPACES):
            return replace_surrogates(url.strip(SPACES))[:MAX_URL_LENGTH]
    return None


def snapshot_mode(messages: Iterable[tuple[int, Decoded]]) -> str | None:
    """Return how the first valid wireframe of the messages of mobile apps shows a screen; None if there is none."""
    events = (event for _, message in messages if message.snapshot_source == "mobile" for event in message.events)
    wireframes = (wireframe for event in events for wireframe in _wireframes(event.value))
    first = next(filter(_is_wireframe, wireframes), None)
    if not isinstance(first, dict):
        return None
    return "screenshot" if first.get("type") == "screenshot" else "wireframe"


def _wireframes(event: JsonObject) -> list[JsonValue]:
    data = _data(event)
    if _is(event.get("type"), FULL_SNAPSHOT):
        return _list(data.get("wireframes"))
    if _is(event.get("type"), INCREMENTAL) and _is(data.get("source"), MUTATION):
        mutations = _list(data.get("adds")) + _list(data.get("updates"))
        return [mutation.get("wireframe") for mutation in mutations if isinstance(mutation, dict)]
    return []


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _is_wireframe(value: JsonValue) -> bool:
    number = value.get("id") if isinstance(value, dict) else None
    return isinstance(number, Number) and math.isfinite(number.double)


def active_milliseconds(events: Sequence[tuple[float, bool]]) -> float:
    """Return how long the user was active, from pairs (timestamp, active) in any order."""
    total = 0.0
    start = end = last_active = 0.0
    in_segment = segment_active = False
    for timestamp, active in sorted(events, key=lambda event: event[0]):
        idle = segment_active and timestamp - last_active > ACTIVITY_THRESHOLD_MS
        if not in_segment or (active and not segment_active) or idle:
            if segment_active:
                total += max(1.0, end - start)
            in_segment, segment_active, start = True, active, timestamp
        end = timestamp
        if active:
            last_active = timestamp
    if segment_active:
        total += max(1.0, end - start)
    return total


def console_logs(message: Decoded) -> list[ConsoleLog]:
    """Return the console events of a message, in order."""
    logs: list[ConsoleLog] = []
    for event in message.events:
        if _is(event.value.get("type"), PLUGIN) and _data(event.value).get("plugin") == "rrweb/console@1":
            payload = _payload(event.value)
            strings = payload.get("payload")
            text = " ".join(
                replace_surrogates(string)[:MAX_CONSOLE_STRING_LENGTH]
                for string in (strings if isinstance(strings, list) else [])
                if isinstance(string, str)
            )
            logs.append(ConsoleLog(_level(payload.get("level")), text, event.timestamp))
    return logs


def _level(level: JsonValue) -> str:
    if level in ("warn", "countReset"):
        return "warn"
    if level in ("error", "assert"):
        return "error"
    return "info"
