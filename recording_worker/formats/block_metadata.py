"""Block metadata: the record that leads to a stored block and sums it up. See docs/data/messages.md.

The core writes it, from a session that it holds (`_native.FileBlocks.metadata`). Here it is read, and the record that
says that a session is deleted is written.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import uuid_utils
from pydantic import TypeAdapter, ValidationError

from recording_worker.formats.ranges import Count, Offset, Partition, TeamId
from recording_worker.formats.session_keys import Session
from recording_worker.formats.timestamps import utc_text
from recording_worker.messages import Record

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """The fields of a block's metadata that `verify` needs."""

    uuid: str
    session_id: str
    team_id: TeamId
    distinct_id: str
    batch_id: str
    first_timestamp: str
    last_timestamp: str
    block_url: str
    size: Count
    message_count: Count
    event_count: Count
    retention_period_days: Count
    codec: str
    partition: Partition
    first_offset: Offset
    last_offset: Offset
    has_full_snapshot: bool


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """What PostHog lists a session's blocks by. Its own consumer writes these fields too."""

    session_id: str
    team_id: TeamId
    first_timestamp: str
    last_timestamp: str
    block_url: str | None = None
    """None if the record is of no block: it says something else about the session."""
    is_deleted: bool = False
    codec: str | None = None
    """None if another program than this worker wrote the record, and if the record is of no block."""
    distinct_id: str = ""
    retention_period_days: Count | None = None


@cache
def _block() -> TypeAdapter[BlockRecord]:
    return TypeAdapter(BlockRecord)


@cache
def _listed() -> TypeAdapter[ListedRecord]:
    return TypeAdapter(ListedRecord)


def read_block(record: Record) -> BlockRecord:
    """Read a metadata record. Raises ValueError, which says what is wrong, if it is not one."""
    return _read(_block(), record)


def read_listed(record: Record) -> ListedRecord:
    """Read a metadata record, of this worker or of another program. Raises ValueError, which says what is wrong."""
    return _read(_listed(), record)


def is_deletion(record: Record) -> bool:
    """Return whether a metadata record is of no block, and says that a session is deleted."""
    try:
        listed = read_listed(record)
    except ValueError:
        return False
    return listed.is_deleted and not listed.block_url


def deletion_value(session: Session, now_ms: int, retention_days: int) -> bytes:
    """Return the value of the record that says that a session is deleted. Its key is the session id.

    PostHog writes the same (`createDeletionBlockMetadata` in
    nodejs/src/session-replay/shared/metadata/session-block-metadata.ts), but without a retention period. A table that
    expires rows by their period would forget such a record at once.
    """
    team_id, session_id = session
    now = utc_text(now_ms)
    counts = (
        *("click_count", "keypress_count", "mouse_activity_count", "active_milliseconds", "console_log_count"),
        *("console_warn_count", "console_error_count", "size", "message_count", "event_count"),
    )
    value: dict[str, object] = {
        "uuid": str(uuid_utils.uuid7()),
        "session_id": session_id,
        "team_id": team_id,
        "distinct_id": "",
        "batch_id": "",
        "first_timestamp": now,
        "last_timestamp": now,
        "block_url": None,
        "first_url": None,
        "urls": [],
        **dict.fromkeys(counts, 0),
        "snapshot_source": None,
        "snapshot_library": None,
        "retention_period_days": retention_days,
        "is_deleted": 1,
    }
    return json.dumps(value, separators=(",", ":")).encode()  # a session id may hold half a character


def _read(adapter: TypeAdapter[Read], record: Record) -> Read:
    try:
        return adapter.validate_json(record.value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from error
