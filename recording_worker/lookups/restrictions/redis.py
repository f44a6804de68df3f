"""RedisRestrictions: rules as PostHog's event ingestion keeps them in Redis, a JSON array per restriction."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import orjson
import redis
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from recording_worker.errors import StoreError
from recording_worker.lookups.redis import redis_client
from recording_worker.lookups.refreshed import Reading
from recording_worker.lookups.restrictions.service import Restriction, Rule

KEYS = {
    Restriction.DROP_EVENT: "event_ingestion_restriction_dynamic_config:drop_event_from_ingestion",
    Restriction.REDIRECT_TO_DLQ: "event_ingestion_restriction_dynamic_config:redirect_to_dlq",
    Restriction.FORCE_OVERFLOW: "event_ingestion_restriction_dynamic_config:force_overflow_from_ingestion",
}
PIPELINE = "session_recordings"
_TIMEOUT = 10.0
"""Seconds to connect, and to get an answer."""
_PROBE_TIMEOUT = 3.0
"""The same, when it is only asked whether Redis answers."""
_MANY = ("distinct_ids", "session_ids", "event_names", "event_uuids")
_ONE = ("distinct_id", "session_id", "event_name", "event_uuid")

Values = list[str] | None


class _Entry(BaseModel):
    """An entry of version 2. A filter that is null or empty matches all messages."""

    model_config = ConfigDict(strict=True)

    token: Annotated[str, Field(min_length=1)]
    distinct_ids: Values = None
    session_ids: Values = None
    event_names: Values = None
    event_uuids: Values = None


class _SingleEntry(BaseModel):
    """An entry without a version, or of version 0. A filter that is null matches all messages."""

    model_config = ConfigDict(strict=True)

    token: Annotated[str, Field(min_length=1)]
    distinct_id: str | None = None
    session_id: str | None = None
    event_name: str | None = None
    event_uuid: str | None = None


class RedisRestrictions:
    """Reads the rules for session recordings. A key that holds no JSON array keeps the rules it had."""

    def __init__(self, url: SecretStr) -> None:
        """Connects later. Raises ConfigError if the URL can't be parsed."""
        self._client = redis_client("restrictions_redis", url, _TIMEOUT)
        self._probed = redis_client("restrictions_redis", url, _PROBE_TIMEOUT)
        self._read: list[object] | None = None
        self._rules: dict[Restriction, list[Rule]] = {}

    def load(self) -> Reading[Sequence[Rule]] | None:
        """Return all rules and the rejected entries; None if the keys hold what they held before. Raises StoreError."""
        pipeline = self._client.pipeline(transaction=False)
        for key in KEYS.values():
            pipeline.get(key)
        try:
            replies: list[object] = pipeline.execute(raise_on_error=False)
        except (redis.RedisError, OSError) as error:
            raise StoreError(str(error)) from error
        for reply in replies:
            # WRONGTYPE is about one key; with any other error Redis refuses the whole reading
            if isinstance(reply, redis.ResponseError) and not str(reply).startswith("WRONGTYPE"):
                raise StoreError(str(reply))
        if replies == self._read:
            return None
        rejected: list[str] = []
        for restriction, reply in zip(KEYS, replies, strict=True):
            try:
                entries = _entries(reply)
            except ValueError as problem:
                rejected.append(f"{restriction}: {problem}; its rules stay as they were")
            else:
                self._rules[restriction] = list(_rules(restriction, entries, rejected))
        self._read = replies
        rules = [rule for group in self._rules.values() for rule in group]
        return Reading(rules, len(rules), rejected)

    def probe(self) -> None:
        """Find out whether Redis answers. Raises StoreError."""
        try:
            self._probed.ping()
        except (redis.RedisError, OSError) as error:
            raise StoreError(str(error)) from error


def _entries(reply: object) -> list[object]:
    """Return the entries of a key; none if there is no such key. Raises ValueError."""
    if reply is None:
        return []
    if not isinstance(reply, bytes):
        raise ValueError(str(reply))
    try:
        entries = orjson.loads(reply)
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"not JSON: {problem}") from None
    if not isinstance(entries, list):
        raise ValueError("not a JSON array")
    return entries


def _rules(restriction: Restriction, entries: list[object], rejected: list[str]) -> Iterator[Rule]:
    for number, entry in enumerate(entries):
        try:
            rule = _rule(restriction, entry)
        except ValidationError as error:
            problems = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
            rejected.append(f"{restriction}[{number}], token {_token(entry)}: {problems}")
        except ValueError as problem:
            rejected.append(f"{restriction}[{number}], token {_token(entry)}: {problem}")
        else:
            if rule is not None:
                yield rule


def _token(entry: object) -> str:
    """Return the token of an entry, for the log."""
    return repr(entry.get("token"))[:60] if isinstance(entry, dict) else "unknown"


def _rule(restriction: Restriction, entry: Any) -> Rule | None:
    """Return the rule of an entry, or None if it is for other pipelines. Raises ValueError and ValidationError.

    An entry with a filter that is not understood can't be used: without the filter it would match too much.
    """
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    pipelines = entry.get("pipelines") or []
    if not isinstance(pipelines, list):
        raise ValueError("pipelines is not an array")
    if PIPELINE not in pipelines:
        return None
    version = entry.get("version", 0)
    if version not in (0, 2):
        raise ValueError(f"version {version!r} is unknown")
    if strange := [name for name in (_ONE if version == 2 else _MANY) if entry.get(name)]:
        raise ValueError(f"{strange[0]} is not of version {version}")
    if version == 2:
        many = _Entry.model_validate(entry)
        return Rule(
            restriction,
            many.token,
            frozenset(many.distinct_ids or ()),
            frozenset(many.session_ids or ()),
            frozenset(many.event_names or ()),
            frozenset(many.event_uuids or ()),
        )
    one = _SingleEntry.model_validate(entry)
    return Rule(
        restriction,
        one.token,
        _set_of(one.distinct_id),
        _set_of(one.session_id),
        _set_of(one.event_name),
        _set_of(one.event_uuid),
    )


def _set_of(value: str | None) -> frozenset[str]:
    return frozenset() if value is None else frozenset((value,))
