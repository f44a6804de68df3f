"""The console-log record: one stored console event, for PostHog's `log_entries` topic. See docs/data/messages.md."""

import orjson

from recording_worker.formats.timestamps import utc_text

LOG_SOURCE = "session_replay"


def console_log_value(
    *, team_id: int, session_id: str, batch_id: str, level: str, message: str, timestamp: float
) -> bytes:
    """Return the record's value, JSON. `level` is info, warn or error; `timestamp` is in milliseconds since 1970."""
    return orjson.dumps(
        {
            "team_id": team_id,
            "message": message,
            "level": level,
            "log_source": LOG_SOURCE,
            "log_source_id": session_id,
            "instance_id": None,
            "timestamp": utc_text(timestamp),
            "batch_id": batch_id,
        }
    )
