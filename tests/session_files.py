"""What a session batch holds, read out of the files that it gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from recording_worker._native import UUID_RANDOM_BYTES, FileBlocks, PackedRecords, SessionBatch
from recording_worker.formats.retention import RETENTION_DAYS, RETENTIONS

NO_URL = "test:file"

PartitionRecord = tuple[int, bytes, bytes]
"""Partition, key and value."""


@dataclass(frozen=True)
class HeldSession:
    """One session of one partition."""

    retention: str
    entry: dict[str, Any]
    """Its entry in the index."""
    metadata: dict[str, Any]
    console_logs: list[dict[str, Any]]
    lines: bytes

    @property
    def key(self) -> tuple[int, int, str]:
        """Partition, team id, session id."""
        return self.entry["partition"], self.entry["team_id"], self.entry["session_id"]

    @property
    def messages(self) -> list[tuple[int, int]]:
        return [(offset, lines) for offset, lines in self.entry["messages"]]


def take_sessions(batch: SessionBatch) -> list[HeldSession]:
    """Empty the batch."""
    return [session for file in batch.take() for session in sessions_of(file)]


def sessions_of(file: FileBlocks, **facts: Any) -> list[HeldSession]:
    """All sessions of a file, whose blocks are each one byte long."""
    lines = [block.lines() for block in file.session_blocks()]
    file.store([1] * len(file))
    retention = RETENTIONS[file.retention]
    entries = orjson.loads(file.index_entries({partition: f"source {partition}" for partition in file.offsets()}))
    metadata = by_key(values_of(file.metadata(**metadata_facts(file, retention, **facts))))
    logs = by_key(console_logs_of(file), session_key="log_source_id")
    sessions = []
    for entry, text in zip(entries, lines, strict=True):
        (of_block,) = metadata.pop(key := (entry["partition"], entry["team_id"], entry["session_id"]))
        sessions.append(HeldSession(retention, entry, of_block, logs.pop(key, []), text))
    assert (metadata, logs) == ({}, {})
    return sessions


def metadata_facts(file: FileBlocks, retention: str, **facts: Any) -> dict[str, Any]:
    return {
        "batch_id": "batch-1",
        "codec": "zstd",
        "url": NO_URL,
        "retention_days": RETENTION_DAYS[retention],
        "now_ms": 0,
        "random": bytes(len(file) * UUID_RANDOM_BYTES),
        **facts,
    }


def console_logs_of(file: FileBlocks) -> list[PartitionRecord]:
    """The stored console events of all partitions."""
    return [
        (partition, *record)
        for partition in file.offsets()
        for packed in file.console_logs(partition, "batch-1")
        for record in records_of(packed)
    ]


def values_of(partitions: dict[int, PackedRecords]) -> list[PartitionRecord]:
    return [(partition, *record) for partition, packed in partitions.items() for record in records_of(packed)]


def by_key(
    records: list[PartitionRecord], session_key: str = "session_id"
) -> dict[tuple[int, int, str], list[dict[str, Any]]]:
    """(partition, team id, session id) → values of its records. Each record has the session id as its key."""
    found: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    for partition, key, text in records:
        value = orjson.loads(text)
        assert key == value[session_key].encode()
        found.setdefault((partition, value["team_id"], value[session_key]), []).append(value)
    return found


def records_of(packed: PackedRecords) -> Iterator[tuple[bytes, bytes]]:
    return (packed[number] for number in range(len(packed)))
