"""Block metadata: the record that leads to a stored block and sums it up. See docs/data/messages.md."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import uuid_utils
from pydantic import TypeAdapter, ValidationError

from recording_worker._native import BlockSummary
from recording_worker.formats.retention import RETENTION_DAYS
from recording_worker.formats.timestamps import utc_text
from recording_worker.messages import Record


def block_metadata_value(
    *,
    session_id: str,
    team_id: int,
    partition: int,
    retention: str,
    batch_id: str,
    codec: str,
    block_url: str,
    console: Mapping[str, int],
    summary: BlockSummary,
) -> bytes:
    """Return the value of the record that leads to a stored block: JSON.

    `console` has the console events by level: info, warn, error. Sizes are bytes, uncompressed; timestamps are UTC
    (see `utc_text`); `is_deleted` is 0, for a UInt8 column.
    """
    playable_from = summary.first_full_snapshot_timestamp
    return orjson.dumps(
        {
            "uuid": str(uuid_utils.uuid7()),
            "session_id": session_id,
            "team_id": team_id,
            "distinct_id": summary.distinct_id,
            "batch_id": batch_id,
            "first_timestamp": utc_text(summary.first_timestamp),
            "last_timestamp": utc_text(summary.last_timestamp),
            "block_url": block_url,
            "first_url": summary.first_url,
            "urls": summary.urls,
            "click_count": summary.click_count,
            "keypress_count": summary.keypress_count,
            "mouse_activity_count": summary.mouse_activity_count,
            "active_milliseconds": summary.active_milliseconds,
            "console_log_count": console["info"],
            "console_warn_count": console["warn"],
            "console_error_count": console["error"],
            "size": summary.size,
            "message_count": summary.message_count,
            "snapshot_source": summary.snapshot_source,
            "snapshot_library": summary.snapshot_library,
            "event_count": summary.event_count,
            "retention_period_days": RETENTION_DAYS[retention],
            "is_deleted": 0,
            "codec": codec,
            "partition": partition,
            "first_offset": summary.first_offset,
            "last_offset": summary.last_offset,
            "has_full_snapshot": summary.has_full_snapshot,
            "first_full_snapshot_position": summary.first_full_snapshot_position,
            "first_full_snapshot_timestamp": None if playable_from is None else utc_text(playable_from),
            "out_of_order_count": summary.out_of_order_count,
            "gap_count": summary.gap_count,
        }
    )


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
