"""Block metadata: the record that leads to a stored block and sums it up. See docs/data/messages.md.

The core writes it, from a session that it holds (`_native.FileBlocks.metadata`). Here it is read.
"""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from recording_worker.formats.ranges import Count, Offset, Partition, TeamId
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
    """None if another program than this worker wrote the record."""


_BLOCK = TypeAdapter(BlockRecord)
_LISTED = TypeAdapter(ListedRecord)


def read_block(record: Record) -> BlockRecord:
    """Read a metadata record. Raises ValueError, which says what is wrong, if it is not one."""
    return _read(_BLOCK, record)


def read_listed(record: Record) -> ListedRecord:
    """Read a metadata record, of this worker or of another program. Raises ValueError, which says what is wrong."""
    return _read(_LISTED, record)


def _read(adapter: TypeAdapter[Read], record: Record) -> Read:
    try:
        return adapter.validate_json(record.value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from error
