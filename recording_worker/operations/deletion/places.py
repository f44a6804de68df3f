"""The places where bytes of a deleted session may still be, until when, and the commands that clear them."""

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from recording_worker.formats.session_keys import Session, cached_key_name
from recording_worker.kafka.admin import Admin
from recording_worker.settings.choices import KeyStoreKind
from recording_worker.settings.model import Settings

_DAY_MS = 86_400_000
_TOPICS = {
    "topic": "messages of the session, as the clients sent them",
    "overflow_topic": "messages of the session that were redirected, as the clients sent them",
    "backfill_topic": "messages of the session that waited too long, as the clients sent them",
    "dlq_topic": "messages of the session that could not be read, as the clients sent them",
    "console_logs_topic": "what the pages of the session wrote to the console",
    "metadata_topic": "the distinct id and the URLs of the session",
}
"""Setting of a topic → what of a session may be in it."""
_CLEARS_ALL = "removes all that is in the topic now, of all sessions: first see that its readers have read it"
_CLEARS_READ = "removes what the group has committed, of all sessions"


class Place(NamedTuple):
    """A place where bytes of the sessions may still be."""

    name: str
    holds: str
    until_ms: int | None
    """Milliseconds since 1970; None if nobody here knows it."""
    why: str
    """What the time depends on."""
    clear: str
    """The command that clears it, or what to do if there is none."""


def places(settings: Settings, admin: Admin, sessions: Collection[Session], now_ms: int) -> Iterator[Place]:
    """Yield each place. Raises BootError if the brokers can't be asked."""
    yield _workers(settings, now_ms)
    for setting, holds in _TOPICS.items():
        topic: str = getattr(settings, setting)
        if partitions := admin.partitions(topic):
            yield _topic(settings, admin, setting, topic, partitions, holds, now_ms)
    yield from _clickhouse(sessions)
    if settings.key_store is KeyStoreKind.NONE:
        yield Place(
            "files that are still to come",
            "messages of the sessions that arrive from now on, in the clear",
            None,
            "without a key store nobody remembers that a session is deleted",
            "delete the sessions again, once no more messages of them come",
        )
    else:
        yield from _keys(settings, sessions, now_ms)
    yield _file_backups(settings)
    yield Place(
        "files of flushes that were aborted",
        "blocks of the sessions that no metadata leads to, if the files were not scanned",
        None,
        "they stay until they are removed",
        "recording-worker sweep --older-than 1h --delete",
    )
    yield Place(
        "lists of sessions that users of `play` and `sessions` keep",
        "of sessions in the clear: the distinct id, addresses of pages, messages of the console",
        None,
        "a list is kept until nobody has opened it for 30 days, or until it is opened with the key store, which says"
        " that the sessions are deleted",
        "rm -r ~/.cache/recording-worker/sessions  # as each of these users",
    )
    yield Place(
        "copies that people made",
        "events of the sessions in the clear: exports, screenshots, folders of `ingest`, dumps of topics",
        None,
        "nobody here knows of them",
        "ask those who had access",
    )


def _workers(settings: Settings, now_ms: int) -> Place:
    seconds = settings.key_check_interval + settings.max_batch_age
    return Place(
        "memory of the workers",
        "messages of the sessions that were read before the deletion, and the keys",
        now_ms + round(seconds * 1000),
        "key_check_interval and max_batch_age; encrypted blocks that are written until then can't be read by anybody",
        "restart the service",
    )


def _topic(
    settings: Settings, admin: Admin, setting: str, topic: str, partitions: list[int], holds: str, now_ms: int
) -> Place:
    until_ms, why = _retention(admin.topic_config(topic), now_ms)
    ends = {number: bounds.stable_end for number, bounds in admin.log_bounds(topic, partitions).items()}
    effect = _CLEARS_ALL
    if setting == "topic":
        committed = admin.committed(settings.group_id).get(topic, {})
        ends = {number: committed[number].offset for number in ends if number in committed}
        effect = _CLEARS_READ
    offsets = {
        "version": 1,
        "partitions": [{"topic": topic, "partition": number, "offset": end} for number, end in sorted(ends.items())],
    }
    text = shlex.quote(json.dumps(offsets, separators=(",", ":")))
    servers = shlex.quote(settings.bootstrap_servers)
    command = f"kafka-delete-records --bootstrap-server {servers} --offset-json-file <(echo {text})"
    return Place(f"topic {topic} ({setting})", holds, until_ms, why, f"{command}  # {effect}")


def _retention(config: Mapping[str, str], now_ms: int) -> tuple[int | None, str]:
    """Return until when a topic may hold what it holds now, and why. A broker removes whole segments."""
    if "delete" not in config.get("cleanup.policy", "delete"):
        return None, f"cleanup.policy of the topic is {config['cleanup.policy']}"
    retention_ms, segment_ms = int(config.get("retention.ms", -1)), int(config.get("segment.ms", 7 * _DAY_MS))
    if retention_ms < 0:
        return None, "retention.ms of the topic is -1: it keeps all"
    return now_ms + retention_ms + segment_ms, f"retention.ms {retention_ms} and segment.ms {segment_ms} of the topic"


def _clickhouse(sessions: Collection[Session]) -> Iterator[Place]:
    tables = {
        "session_replay_blocks": ("session_id", "the distinct id and the URLs of the sessions"),
        "session_replay_events": ("session_id", "the distinct id and the URLs of the sessions"),
        "log_entries": ("log_source_id", "what the pages of the sessions wrote to the console"),
    }
    listed = ", ".join(f"({team_id}, {_sql_text(session_id)})" for team_id, session_id in sorted(sessions))
    for table, (column, holds) in tables.items():
        yield Place(
            f"table {table} of ClickHouse, if there is one",
            holds,
            None,
            "the TTL of the table",
            f"ALTER TABLE {table} DELETE WHERE (team_id, {column}) IN ({listed});",
        )


def _keys(settings: Settings, sessions: Collection[Session], now_ms: int) -> Iterator[Place]:
    if settings.keys_redis is None:
        yield Place(
            "Redis of PostHog's reader, if there is one",
            "the keys of the sessions",
            now_ms + _DAY_MS,
            "its reader keeps a key for a day, and keys_redis is not set",
            shlex.join(["redis-cli", "DEL", *map(cached_key_name, sorted(sessions))]),
        )
    yield Place(
        "processes of PostHog's recording API, if there are any",
        "the keys of the sessions",
        now_ms + _DAY_MS,
        "they keep a key in memory for a day",
        "restart them",
    )
    yield _key_backups(settings)


def _file_backups(settings: Settings) -> Place:
    how = "remove the backups of the files that have blocks in the clear"
    if settings.storage is not None:
        how = "if the bucket keeps versions: aws s3api list-object-versions, then delete-object with each --version-id"
    return Place(
        "backups and earlier versions of the batch files",
        "blocks of the sessions as they were; who has no key can't read those that were encrypted",
        None,
        "how long they are kept",
        how,
    )


def _key_backups(settings: Settings) -> Place:
    if settings.key_store is KeyStoreKind.POSTGRES:
        return Place(
            "backups of the table of keys, its write-ahead log, and its rows before a VACUUM",
            "the keys of the sessions, encrypted with the master key",
            None,
            "how long PostgreSQL's backups are kept",
            "recording-worker keys rotate, then destroy the old master key: no backup from before opens anything",
        )
    return Place(
        f"backups of the table {settings.keys_table}, its point-in-time recovery and its stream",
        "the keys of the sessions, encrypted by KMS",
        None,
        "35 days at most for point-in-time recovery, and as long as you keep backups",
        f"aws dynamodb list-backups --table-name {shlex.quote(settings.keys_table)}, then aws dynamodb delete-backup",
    )


def _sql_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
