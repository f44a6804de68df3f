"""What is said of a block, written in plain Python: its index entry, its metadata, and its console logs."""

from collections.abc import Mapping
from typing import Any

from recording_worker._native import BlockSummary
from recording_worker.formats.timestamps import utc_text


def index_entry(
    summary: BlockSummary,
    *,
    team_id: int,
    session_id: str,
    partition: int,
    source: str,
    messages: list[tuple[int, int]],
    start: int,
    length: int,
) -> dict[str, Any]:
    return {
        "team_id": team_id,
        "session_id": session_id,
        "distinct_id": summary.distinct_id,
        "source": source,
        "partition": partition,
        "first_offset": summary.first_offset,
        "last_offset": summary.last_offset,
        "messages": [[offset, lines] for offset, lines in messages],
        "events": summary.event_count,
        "first_timestamp": summary.first_timestamp,
        "last_timestamp": summary.last_timestamp,
        "has_full_snapshot": summary.has_full_snapshot,
        "size": summary.size,
        "start": start,
        "length": length,
        "first_full_snapshot_position": summary.first_full_snapshot_position,
        "first_full_snapshot_timestamp": summary.first_full_snapshot_timestamp,
        "out_of_order_count": summary.out_of_order_count,
        "gap_count": summary.gap_count,
        "snapshot_source": summary.snapshot_source,
    }


def block_metadata(
    summary: BlockSummary,
    *,
    team_id: int,
    session_id: str,
    partition: int,
    retention_days: int,
    batch_id: str,
    codec: str,
    block_url: str,
    console: Mapping[str, int],
) -> dict[str, Any]:
    """All fields but the uuid."""
    playable_from = summary.first_full_snapshot_timestamp
    return {
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
        "snapshot_mode": summary.snapshot_mode,
        "event_count": summary.event_count,
        "retention_period_days": retention_days,
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


def console_log(
    *, team_id: int, session_id: str, batch_id: str, level: str, message: str, timestamp: float
) -> dict[str, Any]:
    return {
        "team_id": team_id,
        "message": message,
        "level": level,
        "log_source": "session_replay",
        "log_source_id": session_id,
        "instance_id": None,
        "timestamp": utc_text(timestamp),
        "batch_id": batch_id,
    }
