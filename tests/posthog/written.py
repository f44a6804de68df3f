"""What a worker with `compatibility = posthog` wrote of the sample, gathered so that tests can look at it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from recording_worker.messages import Message
from tests.builders import event, headers, value
from tests.integration.committed import METADATA, committed_records
from tests.reference.decompress import decompress, encoding_of
from tests.sample import sample_messages

DLQ = "session_recording_snapshot_item_dlq"
BLOCKED_SESSION = "01a209ff-0000-7000-8000-000000000000"
"""A session that begins when its team has begun as many as it may."""
Line = list[Any]
"""[window id, event]"""


@dataclass(frozen=True)
class OutputRecord:
    """A record of an output topic."""

    key: bytes | None
    value: bytes
    headers: dict[str, bytes]


@dataclass(frozen=True)
class Written:
    """All that is left when the worker has ended."""

    root: str
    """URL of the storage."""
    endpoint: str
    """Where the S3 server answers; empty if the storage is a folder."""
    metadata: list[OutputRecord]
    dlq: list[OutputRecord]
    redis: dict[str, tuple[str, int]]
    """Key → its value, and how many seconds it is still kept."""
    verified: dict[str, Any]
    """What `verify --posthog` found."""

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The metadata records, read."""
        return [json.loads(record.value) for record in self.metadata]


def records_of(bootstrap_servers: str, topic: str) -> list[OutputRecord]:
    """All records of a topic of one partition."""
    return [
        OutputRecord(record.key(), record.value(), dict(record.headers() or []))
        for record in committed_records(bootstrap_servers, topic)
    ]


def metadata_of(bootstrap_servers: str) -> list[OutputRecord]:
    return records_of(bootstrap_servers, METADATA)


def messages() -> Iterator[Message]:
    """The sample, and a message without the header that PostHog's consumer wants."""
    yield from sample_messages()
    first = sample_messages()[0]
    yield first._replace(headers=[(name, text) for name, text in first.headers if name != "session_id"], key=None)


@cache
def _busiest_team() -> tuple[bytes, set[bytes]]:
    """The token of the team with most sessions, and these."""
    sessions: dict[bytes, set[bytes]] = {}
    for message in sample_messages():
        found = dict(message.headers)
        sessions.setdefault(found["token"] or b"", set()).add(found["session_id"] or b"")
    return max(sessions.items(), key=lambda team: len(team[1]))


def most_sessions() -> int:
    """How many sessions the team with most of them has."""
    return len(_busiest_team()[1])


def blocked_message() -> Message:
    """A message of BLOCKED_SESSION."""
    first, (token, _) = sample_messages()[0], _busiest_team()
    text = value([event(first.timestamp_ms)], session_id=BLOCKED_SESSION)
    return first._replace(
        key=BLOCKED_SESSION.encode(), value=text, headers=headers(token=token.decode(), session_id=BLOCKED_SESSION)
    )


@cache
def sent() -> dict[str, list[Line]]:
    """Session → its lines, in the order in which its messages were sent. Read without anything of the worker's."""
    lines: dict[str, list[Line]] = {}
    for message in sample_messages():
        stored = message.value or b""
        encoding = dict(message.headers).get("content-encoding")
        text = decompress(stored, encoding_of(stored, encoding.decode() if encoding else None), 1 << 30)
        properties = json.loads(json.loads(text)["data"])["properties"]
        own = lines.setdefault(properties["$session_id"], [])
        own += [[properties["$window_id"], item] for item in properties["$snapshot_items"]]
    return lines
