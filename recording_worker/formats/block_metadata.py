"""Block metadata: the record that leads to a stored block and sums it up. See docs/data/messages.md.

The core writes it, from a session that it holds (`_native.FileBlocks.metadata`). Here it is read.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from recording_worker.messages import Record


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """The fields of a block's metadata that `verify` needs."""

    uuid: str
    session_id: str
    team_id: int
    distinct_id: str
    batch_id: str
    first_timestamp: str
    last_timestamp: str
    block_url: str
    size: int
    message_count: int
    event_count: int
    retention_period_days: int
    codec: str
    partition: int
    first_offset: int
    last_offset: int
    has_full_snapshot: bool


_BLOCK = TypeAdapter(BlockRecord)


def read_block(record: Record) -> BlockRecord:
    """Read a metadata record. Raises ValueError, which says what is wrong, if it is not one."""
    try:
        return _BLOCK.validate_json(record.value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from error
