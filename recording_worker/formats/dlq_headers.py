"""The headers that a message gets on its way to the DLQ: why it went there, and where it came from.

PostHog's consumer spells them with `_` (sendMessageToDLQ in nodejs/src/worker/ingestion/pipeline-helpers.ts). Both
spellings are read.
"""

from typing import NamedTuple

from recording_worker.formats.timestamps import utc_text
from recording_worker.messages import Headers

REASON = "dlq-reason"
STEP = "dlq-step"
ERROR = "dlq-error"
_TOPIC = "dlq-topic"
_PARTITION = "dlq-partition"
_OFFSET = "dlq-offset"
_TIMESTAMP = "dlq-timestamp"
_TOPIC_ID = "dlq-topic-id"

_POSTHOGS = {name.replace("-", "_"): name for name in (REASON, STEP, _TOPIC, _PARTITION, _OFFSET)}
"""PostHog's spelling → ours, of the headers that mean the same."""
_SENT_AT = "dlq_timestamp"
"""When the message was sent to the DLQ, ISO 8601. Only PostHog has it."""


class Source(NamedTuple):
    """Where a message was read from."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int = -1
    """Its Kafka timestamp in ms since 1970, or -1 if it has none."""
    topic_id: str = ""
    """The id of the topic; empty if it is not known."""

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition} at {self.offset}"


def is_dlq_header(name: str) -> bool:
    """Return whether a header is the DLQ's, and not the message's own."""
    return name.startswith("dlq-") or name in _POSTHOGS or name == _SENT_AT


def our_name(name: str) -> str:
    """Return how we spell a header that PostHog spells otherwise; other names unchanged."""
    return _POSTHOGS.get(name, name)


def dlq_headers(source: Source, *, reason: str, step: str, error: str) -> Headers:
    """Return the headers that follow the message's own."""
    texts = {
        REASON: reason,
        STEP: step,
        _TOPIC: source.topic,
        _PARTITION: str(source.partition),
        _OFFSET: str(source.offset),
        _TIMESTAMP: str(source.timestamp_ms),
        ERROR: error,
    }
    if source.topic_id:
        texts[_TOPIC_ID] = source.topic_id
    return [(name, text.encode()) for name, text in texts.items()]


def as_posthog(headers: Headers, now_ms: int) -> Headers:
    """Return the DLQ's headers as PostHog spells them. What PostHog does not know stays.

    `now_ms`: when the message is sent to the DLQ, milliseconds since 1970.
    """
    spelled = {ours: posthogs for posthogs, ours in _POSTHOGS.items()}
    sent_at = f"{utc_text(now_ms).replace(' ', 'T')}Z".encode()
    return [*((spelled.get(name, name), value) for name, value in headers), (_SENT_AT, sent_at)]


def source_of(headers: Headers) -> Source | None:
    """Read where a message on the DLQ came from; None if its headers don't say.

    If a header is there twice, the last one counts: the message may itself come from a DLQ.
    """
    found = {our_name(name): value for name, value in headers if value is not None}
    try:
        topic, partition, offset = found[_TOPIC].decode(), int(found[_PARTITION]), int(found[_OFFSET])
        timestamp_ms = int(found.get(_TIMESTAMP, b"-1"))
        topic_id = found.get(_TOPIC_ID, b"").decode()
    except (KeyError, ValueError):
        return None
    is_place = topic and 0 <= partition < 2**31 and 0 <= offset < 2**63
    return Source(topic, partition, offset, timestamp_ms, topic_id) if is_place and abs(timestamp_ms) < 2**63 else None
