"""Block metadata: the record that leads to a stored block and sums it up. See docs/data/messages.md.

The core writes it, from a session that it holds (`_native.FileBlocks.metadata`). Here it is read.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from recording_worker.formats.ranges import Count, Offset, Partition, TeamId
from recording_worker.messages import Record


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


_BLOCK = TypeAdapter(BlockRecord)


def read_block(record: Record) -> BlockRecord:
    """Read a metadata record. Raises ValueError, which says what is wrong, if it is not one."""
    try:
        return _BLOCK.validate_json(record.value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from error
