"""What Kafka is told about a stored session: its block's metadata and its console logs."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import uuid_utils
from pydantic import TypeAdapter, ValidationError

from recording_worker._native import Timeline
from recording_worker.formats.retention import RETENTION_DAYS
from recording_worker.formats.timestamps import utc_text
from recording_worker.messages import Record
from recording_worker.recording.session_batch import SessionRecorder
from recording_worker.settings.model import Codec

LOG_SOURCE = "session_replay"


def block_metadata(session: SessionRecorder, timeline: Timeline, batch_id: str, codec: Codec) -> dict[str, object]:
    """The metadata record of a session's block, of which `timeline` is; `block_url` is None until the file is stored.

    Sizes are bytes, uncompressed; timestamps are UTC (see `utc_text`); `is_deleted` is 0, for a UInt8 column.
    """
    block = session.block
    console = session.console_logs.counts
    playable_from = block.first_full_snapshot_timestamp
    return {
        "uuid": str(uuid_utils.uuid7()),
        "session_id": session.session_id,
        "team_id": session.team_id,
        "distinct_id": block.distinct_id,
        "batch_id": batch_id,
        "first_timestamp": utc_text(block.first_timestamp),
        "last_timestamp": utc_text(block.last_timestamp),
        "block_url": None,
        "first_url": block.first_url,
        "urls": block.urls,
        "click_count": block.click_count,
        "keypress_count": block.keypress_count,
        "mouse_activity_count": block.mouse_activity_count,
        "active_milliseconds": timeline.active_milliseconds,
        "console_log_count": console["info"],
        "console_warn_count": console["warn"],
        "console_error_count": console["error"],
        "size": block.size,
        "message_count": block.message_count,
        "snapshot_source": block.snapshot_source,
        "snapshot_library": block.snapshot_library,
        "event_count": block.event_count,
        "retention_period_days": RETENTION_DAYS[session.retention],
        "is_deleted": 0,
        "codec": codec,
        "partition": session.partition,
        "first_offset": block.first_offset,
        "last_offset": block.last_offset,
        "has_full_snapshot": block.has_full_snapshot,
        "first_full_snapshot_position": block.first_full_snapshot_position,
        "first_full_snapshot_timestamp": None if playable_from is None else utc_text(playable_from),
        "out_of_order_count": timeline.out_of_order_count,
        "gap_count": timeline.gap_count,
    }


def console_log_values(session: SessionRecorder, batch_id: str) -> Iterator[bytes]:
    """The console-log records of a session, as JSON, in the order they were stored."""
    for entry in session.console_logs.entries:
        yield orjson.dumps(
            {
                "team_id": session.team_id,
                "message": entry.message,
                "level": entry.level,
                "log_source": LOG_SOURCE,
                "log_source_id": session.session_id,
                "instance_id": None,
                "timestamp": utc_text(entry.timestamp),
                "batch_id": batch_id,
            }
        )


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """What `verify` needs of a block's metadata (see `recording.metadata`)."""

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
    """What a metadata record says. Raises ValueError where it is none."""
    try:
        return _BLOCK.validate_json(record.value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from error
