"""Small messages and events for tests: each is valid unless the test says otherwise."""

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from recording_worker._native import Decoder
from recording_worker.formats.session_keys import SessionKeys
from recording_worker.lookups.restrictions.service import Rule, TokenRules, rules_by_token
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.messages import Headers, Message, MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.pipeline.steps.resolve_team import ResolveTeam

NOW_MS = 1_795_000_000_000
TOPIC = "recordings"


def event(timestamp: float = NOW_MS, type: int = 3, **data: Any) -> dict[str, Any]:  # noqa: A002 rrweb's name
    """An rrweb event; without data a mouse move."""
    return {"type": type, "timestamp": timestamp, "data": data or {"source": 1, "positions": []}}


def value(
    events: Sequence[Any] | None = None,
    *,
    session_id: str = "session-1",
    distinct_id: str = "user-1",
    window_id: str = "window-1",
    properties: Mapping[str, Any] | None = None,
) -> bytes:
    """A plain message value."""
    all_properties = {
        "$session_id": session_id,
        "$window_id": window_id,
        "$snapshot_items": [event()] if events is None else list(events),
        "$snapshot_source": "web",
        "$lib": "web",
        **(properties or {}),
    }
    data = json.dumps({"event": "$snapshot_items", "properties": all_properties})
    return json.dumps({"distinct_id": distinct_id, "data": data, "token": "token-1"}).encode()


def headers(**given: str | None) -> list[tuple[str, bytes]]:
    """The headers capture sends; give one as None to leave it out. Underscores stand for themselves."""
    defaults: dict[str, str | None] = {
        "token": "token-1",
        "distinct_id": "user-1",
        "session_id": "session-1",
        "event": "$snapshot_items",
        "uuid": "uuid-1",
        "lib_version": "1.255.0",
    }
    return [(key, text.encode()) for key, text in {**defaults, **given}.items() if text is not None]


def header_texts(headers: Headers) -> dict[str, str]:
    """The headers that are not null. Of several of a name the last counts."""
    return {key: value.decode(errors="replace") for key, value in headers if value is not None}


def message(
    offset: int = 0,
    partition: int = 0,
    *,
    value: bytes | None = value(),
    headers: Headers | None = None,
    timestamp_ms: int = NOW_MS,
    key: bytes | None = b"session-1",
) -> Message:
    return Message(partition, offset, timestamp_ms, key, value, _DEFAULT_HEADERS if headers is None else headers)


_DEFAULT_HEADERS = headers()


def session_message(offset: int, session_id: str, events: Sequence[Any] | None = None, partition: int = 0) -> Message:
    """A gzipped message of one session, with the headers that go with it."""
    return message(
        offset,
        partition,
        value=gzip.compress(value(events, session_id=session_id)),
        headers=headers(session_id=session_id),
        key=session_id.encode(),
    )


def batch(*messages: Message) -> MessageBatch:
    return MessageBatch(TOPIC, MessageColumns.of(messages))


def counted(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The value of one sample, as `/metrics` serves it; None if nothing was counted under these labels."""
    return metrics.registry.get_sample_value(f"recording_worker_{name}", labels)


def decoded(*messages: Message) -> MessageBatch:
    """The messages after the steps that parse them and find their teams. Every token is a team, with 30 days."""
    rows = batch(*messages)
    parse = ParseSessionRecordingMessage(Decoder(max_session_id_characters=4096), FakeClock(), 7.0, Metrics())
    for step in (ParseHeaders(), parse, ResolveTeam(AnyTokenTeams())):
        step.run(rows)
    return rows


class FixedRestrictions:
    """Rules that stay as they are."""

    def __init__(self, *rules: Rule) -> None:
        self._rules = rules_by_token(rules)

    def current(self) -> Mapping[str, TokenRules]:
        return self._rules


KEYS = SessionKeys("@posthog/replay/")
"""Of sessions in Redis, as they are without settings."""


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000
