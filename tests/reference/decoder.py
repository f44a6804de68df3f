"""decode_message: decide about one message by the rows of the decoder's contract, in their order.

Where the contract leaves room, this takes it by the letter:
- A Kafka timestamp is missing where it is negative; 0 is a timestamp.
- A content-encoding header that exists and is not exactly "lz4", "zstd" or "gzip" is unknown; also "".
- The cap holds for a plain value as well, and a text of exactly the cap is not too large.
- A `null` is present and not a string. A header that is there but empty is present.
- Strings that leave the decoder (ids, urls, console messages) carry U+FFFD for a lone surrogate, and are compared
  with the headers in that form.
- Items are counted only in messages that get as far as the items. Items too far from now are counted also if one of
  them drops the message.
- A text that nests too deep is `invalid_json`, whether it is the envelope or `data`.
- The first and last timestamp are the smallest and the largest.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from math import floor

from recording_worker.outcome import Disposition, Reason
from tests.reference import jsontext
from tests.reference.decompress import CorruptError, TooLargeError, decompress, encoding_of
from tests.reference.jsontext import JsonObject, JsonValue, Number, replace_surrogates

MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024
MAX_TIMESTAMP_DIFF_MS = 7 * 24 * 60 * 60 * 1000
MAX_TIMESTAMP = 8.64e15
SHIFT_MS = 5 * 60 * 1000
MAX_SESSION_ID_CHARACTERS = 256
"""Also of a window id."""
MAX_DISTINCT_ID_CHARACTERS = 1024
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_UUID = re.compile("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class Event:
    """One event that goes into the block."""

    text: str
    """Its text in `data`, unchanged."""
    value: JsonObject
    timestamp: float


@dataclass(slots=True)
class Decoded:
    """How a message ended, and what was read from it until then."""

    disposition: Disposition = Disposition.OK
    reason: Reason = Reason.NONE
    encoding: str | None = None
    uncompressed_bytes: int = 0
    invalid_utf8: bool = False
    invalid_items: int = 0
    far_items: int = 0
    clock_shift: int = 0
    """How late the clock of the device was, milliseconds, rounded to 5 minutes."""
    distinct_id: str | None = None
    session_id: str | None = None
    window_id: str | None = None
    snapshot_source: str | None = None
    snapshot_library: str | None = None
    events: list[Event] = field(default_factory=list)
    first_timestamp: float | None = None
    last_timestamp: float | None = None
    far_timestamps: tuple[float, float] | None = None
    """If items are too far from now: the first and the last timestamp, theirs included."""


class _EndError(Exception):
    """The message ends here."""

    def __init__(self, disposition: Disposition, reason: Reason) -> None:
        self.disposition = disposition
        self.reason = reason


def decode_message(
    value: bytes | None,
    content_encoding: str | None,
    session_id_header: str | None,
    distinct_id_header: str | None,
    timestamp_ms: int,
    now_ms: int | None,
    *,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
    max_timestamp_diff_ms: int = MAX_TIMESTAMP_DIFF_MS,
    far_item_drops_message: bool = False,
    normalize_session_ids: bool = False,
    correct_clock_skew: bool = False,
) -> Decoded:
    """Decode one message. If `now_ms` is None, the message's own timestamp counts as now.

    `far_item_drops_message` is PostHog's rule: one item too far from now ends the message. So is
    `normalize_session_ids`: of session ids that are UUIDs, letters are small ones. With `correct_clock_skew`, times
    follow the capture service's clock.
    """
    decoded = Decoded()
    try:
        if not value or timestamp_ms < 0:
            raise _dlq(Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY)
        text = _text(decoded, value, content_encoding, max_decompressed_bytes)
        data = _data_of_envelope(decoded, text)
        items, at = _items_of_data(decoded, data)
        for identifier, most in (
            (decoded.session_id, MAX_SESSION_ID_CHARACTERS),
            (decoded.window_id, MAX_SESSION_ID_CHARACTERS),
            (decoded.distinct_id, MAX_DISTINCT_ID_CHARACTERS),
        ):
            if identifier is not None and len(identifier) > most:
                raise _dlq(Reason.ID_TOO_LONG)
        if normalize_session_ids:
            assert decoded.session_id is not None
            decoded.session_id = _normalized(decoded.session_id)
            session_id_header = None if session_id_header is None else _normalized(session_id_header)
        if session_id_header is not None and session_id_header != decoded.session_id:
            raise _dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH)
        if distinct_id_header is not None and distinct_id_header != decoded.distinct_id:
            raise _dlq(Reason.DISTINCT_ID_HEADER_BODY_MISMATCH)
        _take_events(decoded, items, data, at)
        if correct_clock_skew and decoded.clock_shift:
            decoded.events = [shifted(event, decoded.clock_shift) for event in decoded.events]
        _leave_out_far_events(decoded, timestamp_ms if now_ms is None else now_ms, max_timestamp_diff_ms)
        if decoded.far_items and (far_item_drops_message or not decoded.events):
            raise _EndError(Disposition.DROP, Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)
        if not decoded.events:
            raise _EndError(Disposition.DROP, Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS)
        decoded.first_timestamp = min(event.timestamp for event in decoded.events)
        decoded.last_timestamp = max(event.timestamp for event in decoded.events)
    except _EndError as end:
        decoded.disposition, decoded.reason = end.disposition, end.reason
    return decoded


def _normalized(session_id: str) -> str:
    return session_id.lower() if _UUID.fullmatch(session_id) else session_id


def _clock_shift(now: JsonValue, sent_at: JsonValue) -> int:
    if not isinstance(now, str) or not isinstance(sent_at, str):
        return 0
    server, device = time_ms(now), time_ms(sent_at)
    return 0 if server is None or device is None else floor((server - device) / SHIFT_MS + 0.5) * SHIFT_MS


def time_ms(text: str) -> int | None:
    """Return a time as RFC 3339 writes it, milliseconds since 1970; None for other texts and for earlier times."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    day, time, second, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}:00{zone.upper().replace('Z', '+00:00')}")
    except ValueError:
        return None
    whole = round(moment.timestamp()) + int(second)
    return None if int(second) > 60 or whole < 0 else 1000 * whole + int(f"{fraction or ''}000"[:3])


def shifted(event: Event, shift: int) -> Event:
    """Return the event at another time, which is written where the last of its timestamps was."""
    time = min(max(event.timestamp + shift, 1.0), MAX_TIMESTAMP)
    [*_, (begin, end)] = [(b, e) for key, b, e in jsontext.members(event.text, 0) if key == "timestamp"]
    number = str(int(time)) if time.is_integer() else repr(time)
    return Event(event.text[:begin] + number + event.text[end:], event.value, time)


def _dlq(reason: Reason) -> _EndError:
    return _EndError(Disposition.DLQ, reason)


def _text(decoded: Decoded, value: bytes, content_encoding: str | None, cap: int) -> str:
    """Return the text of a value: decompressed, with U+FFFD for each invalid UTF-8 sequence."""
    try:
        encoding = encoding_of(value, content_encoding)
        plain = decompress(value, encoding, cap)
    except CorruptError:
        raise _dlq(Reason.INVALID_COMPRESSED_DATA) from None
    except TooLargeError:
        raise _dlq(Reason.PAYLOAD_TOO_LARGE) from None
    decoded.encoding = encoding
    decoded.uncompressed_bytes = len(plain)
    try:
        return plain.decode()
    except UnicodeDecodeError:
        decoded.invalid_utf8 = True
        return plain.decode(errors="replace")


def _data_of_envelope(decoded: Decoded, text: str) -> str:
    """Return the text of `data`, and set distinct_id."""
    try:
        envelope = jsontext.parse(text.removeprefix("\ufeff"))
    except (jsontext.NotJsonError, jsontext.TooDeepError):
        raise _dlq(Reason.INVALID_JSON) from None
    if not isinstance(envelope, dict):
        raise _dlq(Reason.INVALID_MESSAGE_PAYLOAD)
    distinct_id, data = envelope.get("distinct_id"), envelope.get("data")
    if not isinstance(distinct_id, str) or not isinstance(data, str):
        raise _dlq(Reason.INVALID_MESSAGE_PAYLOAD)
    decoded.distinct_id = replace_surrogates(distinct_id)
    decoded.clock_shift = _clock_shift(envelope.get("now"), envelope.get("sent_at"))
    return replace_surrogates(data).removeprefix("\ufeff")


def _items_of_data(decoded: Decoded, data: str) -> tuple[list[JsonValue], int]:
    """Return the items, and the place of their array in `data`. Set what the properties say."""
    try:
        body = jsontext.parse(data)
    except jsontext.TooDeepError:
        raise _dlq(Reason.INVALID_JSON) from None
    except jsontext.NotJsonError:
        raise _not_a_snapshot() from None
    if not isinstance(body, dict) or body.get("event") != "$snapshot_items":
        raise _not_a_snapshot()
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise _not_a_snapshot()
    items, session_id = properties.get("$snapshot_items"), properties.get("$session_id")
    if not isinstance(items, list) or not isinstance(session_id, str) or not session_id:
        raise _not_a_snapshot()
    decoded.session_id = replace_surrogates(session_id)
    decoded.window_id = _optional_string(properties, "$window_id")
    decoded.snapshot_source = _optional_string(properties, "$snapshot_source")
    decoded.snapshot_library = _optional_string(properties, "$lib")
    at = jsontext.skip_space(data, 0)
    for key in ("properties", "$snapshot_items"):
        at = jsontext.last_member(data, at, key)
    return items, at


def _not_a_snapshot() -> _EndError:
    return _dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


def _optional_string(properties: JsonObject, key: str) -> str | None:
    if key not in properties:
        return None
    value = properties[key]
    if not isinstance(value, str):
        raise _not_a_snapshot()
    return replace_surrogates(value)


def _take_events(decoded: Decoded, items: list[JsonValue], data: str, at: int) -> None:
    """Keep the items that are events, and count the others."""
    slices = list(jsontext.elements(data, at))
    for item, (start, end) in zip(items, slices, strict=True):
        timestamp = _timestamp(item)
        if timestamp is None:
            decoded.invalid_items += 1
        else:
            assert isinstance(item, dict)
            decoded.events.append(Event(data[start:end], item, timestamp))


def _leave_out_far_events(decoded: Decoded, now: int, too_far: int) -> None:
    """Leave out the events too far from now, and count them."""
    timestamps = [event.timestamp for event in decoded.events]
    decoded.events = [event for event in decoded.events if abs(event.timestamp - now) < too_far]
    decoded.far_items = len(timestamps) - len(decoded.events)
    if decoded.far_items:
        decoded.far_timestamps = min(timestamps), max(timestamps)


def _timestamp(item: JsonValue) -> float | None:
    """Return the timestamp of an item, or None if the item is not an event."""
    if not isinstance(item, dict):
        return None
    timestamp = item.get("timestamp")
    if not isinstance(timestamp, Number) or not 0 < timestamp.double <= MAX_TIMESTAMP:
        return None
    return timestamp.double
