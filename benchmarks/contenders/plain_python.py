"""The job in plain Python: zlib, json and dicts, written as one would who cares for speed but not to extremes."""

import json
import zlib
from collections.abc import Iterator
from typing import Any, NoReturn

import cramjam

from benchmarks.contenders.features import MAX_TIMESTAMP, SessionFeatures, console_log
from benchmarks.contenders.serve import Counts, serve
from benchmarks.wire import Encoding, WireMessage

MAX_TIMESTAMP_DIFF_MS = 7 * 24 * 60 * 60 * 1000
_GZIP = 31
_BROKEN = (ValueError, RecursionError, zlib.error, cramjam.DecompressionError)


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_parse = json.JSONDecoder(parse_constant=_reject).decode
_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_write_ascii = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Session:
    """The lines and counters of one session."""

    __slots__ = ("console_counts", "console_logs", "features", "lines")

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.features = SessionFeatures()
        self.console_counts = {"info": 0, "warn": 0, "error": 0}
        self.console_logs: list[tuple[str, str, float]] = []


class PlainPass:
    """One pass over all messages."""

    def __init__(self, messages: list[WireMessage]) -> None:
        self.sessions: dict[str, Session] = {}
        self.ok = 0
        self.bytes = 0
        for message in messages:
            try:
                self.ok += self._record(message)
            except _BROKEN:
                continue

    def _record(self, message: WireMessage) -> bool:
        """Decode a message and add its events to its session. Returns False if the message is not recorded."""
        text = _decompress(message)
        self.bytes += len(text)
        envelope = _parse(text.decode(errors="replace"))
        if not isinstance(envelope, dict):
            return False
        distinct_id, data = envelope.get("distinct_id"), envelope.get("data")
        if not isinstance(distinct_id, str) or not isinstance(data, str):
            return False
        if message.distinct_id is not None and message.distinct_id != distinct_id:
            return False
        properties = _properties(_parse(data))
        if properties is None or message.session_id not in (None, properties["$session_id"]):
            return False
        events = [event for event in properties["$snapshot_items"] if _is_event(event)]
        if not events:
            return False
        timestamps = [event["timestamp"] for event in events]
        now = message.timestamp_ms
        if max(abs(min(timestamps) - now), abs(max(timestamps) - now)) >= MAX_TIMESTAMP_DIFF_MS:
            return False
        session = self.sessions.get(properties["$session_id"])
        if session is None:
            session = self.sessions[properties["$session_id"]] = Session()
        session.lines.append(_lines(properties.get("$window_id", ""), events))
        for event in events:
            session.features.add(event)
        _record_console(session, events)
        return True

    def counts(self) -> Counts:
        counts = Counts(ok=self.ok, bytes=self.bytes, sessions=len(self.sessions))
        for session in self.sessions.values():
            session.features.add_to(counts)
            counts.console_events += sum(session.console_counts.values())
            counts.console_logs += len(session.console_logs)
        return counts

    def lines(self) -> Iterator[tuple[str, bytes]]:
        for session_id, session in self.sessions.items():
            yield session_id, b"".join(session.lines)


def _decompress(message: WireMessage) -> bytes:
    match message.encoding:
        case Encoding.GZIP:
            return zlib.decompress(message.value, wbits=_GZIP)
        case Encoding.LZ4:
            return bytes(cramjam.lz4.decompress_block(message.value))
        case _:
            return message.value


def _properties(snapshot: Any) -> dict[str, Any] | None:
    """Return the properties of the event in `data`, or None if the event is not of the recorded kind."""
    if not isinstance(snapshot, dict) or snapshot.get("event") != "$snapshot_items":
        return None
    properties = snapshot.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("$snapshot_items"), list):
        return None
    if not properties.get("$session_id") or not isinstance(properties["$session_id"], str):
        return None
    for key in ("$window_id", "$snapshot_source", "$lib"):
        if not isinstance(properties.get(key, ""), str):
            return None
    return properties


def _is_event(event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    timestamp: Any = event.get("timestamp")
    return type(timestamp) in (int, float) and 0 < timestamp <= MAX_TIMESTAMP


def _lines(window_id: str, events: list[dict[str, Any]]) -> bytes:
    """A line for each event: `["<window_id>",<event>]`."""
    try:
        return "".join([_write((window_id, event)) + "\n" for event in events]).encode()
    except UnicodeEncodeError:  # lone surrogates, which can only be written as escapes
        return "".join([_write_ascii((window_id, event)) + "\n" for event in events]).encode()


def _record_console(session: Session, events: list[dict[str, Any]]) -> None:
    """Count a message's console events, and keep each text once."""
    seen: set[tuple[str, str]] = set()
    for event in events:
        if event.get("type") == 6 and (log := console_log(event)) is not None:
            session.console_counts[log[0]] += 1
            if log not in seen:
                seen.add(log)
                session.console_logs.append((*log, event["timestamp"]))


if __name__ == "__main__":
    serve(PlainPass, prepare=list)
