import json
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.block_metadata import BlockRecord, read_block
from recording_worker.formats.timestamps import utc_text
from recording_worker.messages import Record
from recording_worker.recording.session_batch import SessionBatchRecorder, SessionLimits
from tests.builders import NOW_MS, TOPIC, event, session_message
from tests.session_files import metadata_facts
from tests.unit.test_session_batch import decoded, record_all

URL = "s3://bucket/blocks/30d/file?range=bytes=0-99"


def console_event(timestamp: float, level: str, *words: str) -> dict[str, Any]:
    return event(timestamp, 6, plugin="rrweb/console@1", payload={"level": level, "payload": words})


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (1_795_000_000_123, "2026-11-18 11:06:40.123"),
        (1_795_000_000_123.999, "2026-11-18 11:06:40.123"),
        (1_795_000_000_000.0, "2026-11-18 11:06:40.000"),
        (0.5, "1970-01-01 00:00:00.000"),
        (951_782_400_000, "2000-02-29 00:00:00.000"),
        (253_402_300_799_999.9, "9999-12-31 23:59:59.999"),
        (8.64e15, "9999-12-31 23:59:59.999"),
    ],
)
def test_timestamps_are_cut_to_milliseconds_and_to_the_calendar(ms: float, expected: str) -> None:
    assert utc_text(ms) == expected


@given(st.lists(st.floats(0, 8.64e15), min_size=2, max_size=2))
def test_timestamps_sort_as_text_like_the_numbers(pair: list[float]) -> None:
    first, second = sorted(pair)
    assert utc_text(first) <= utc_text(second)
    assert len(utc_text(first)) == len("YYYY-MM-DD HH:MM:SS.mmm")


def test_block_metadata_has_what_clickhouse_wants() -> None:
    session_batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    logs = [console_event(NOW_MS + 4, level, "text") for level in ("log", "warn", "warn", "error")]
    events = [
        event(NOW_MS, 4, href="https://example.test/"),
        event(NOW_MS + 1, 2, node={}),
        {"type": 3, "timestamp": NOW_MS + 2.75, "data": {"source": 2, "type": 2}},
        event(NOW_MS + 3, 3, source=5, text="x"),
        *logs,
    ]
    record_all(session_batch, decoded(session_message(7, "a", events, 3), session_message(9, "a", None, 3)))
    (file,) = session_batch.sessions.take()
    size = file.raw_bytes
    file.store([100])
    random = bytes(range(246, 256))
    facts = metadata_facts(file, "30d", url="s3://bucket/blocks/30d/file", now_ms=NOW_MS, random=random)
    (packed,) = file.metadata(**facts).values()
    key, value = packed[0]
    assert key == b"a"
    assert read_block(Record("metadata", 0, 0, NOW_MS, [], value)) == BlockRecord(
        **{name: field for name, field in json.loads(value).items() if name in BlockRecord.__dataclass_fields__}
    )
    record = json.loads(value)
    uuid = UUID(record.pop("uuid"))
    assert (uuid.version, uuid.variant, uuid.int >> 80) == (7, RFC_4122, NOW_MS)
    assert uuid.bytes[9:] == random[3:]
    assert record == {
        "session_id": "a",
        "team_id": 1,
        "distinct_id": "user-1",
        "batch_id": "batch-1",
        "first_timestamp": "2026-11-18 11:06:40.000",
        "last_timestamp": "2026-11-18 11:06:40.004",
        "block_url": URL,
        "first_url": "https://example.test/",
        "urls": ["https://example.test/"],
        "click_count": 1,
        "keypress_count": 1,
        "mouse_activity_count": 2,
        "active_milliseconds": 4,
        "console_log_count": 1,
        "console_warn_count": 2,
        "console_error_count": 1,
        "size": size,
        "message_count": 2,
        "snapshot_source": "web",
        "snapshot_library": "web",
        "snapshot_mode": None,
        "event_count": 9,
        "retention_period_days": 30,
        "is_deleted": 0,
        "codec": "zstd",
        "partition": 3,
        "first_offset": 7,
        "last_offset": 9,
        "has_full_snapshot": True,
        "first_full_snapshot_position": 1,
        "first_full_snapshot_timestamp": "2026-11-18 11:06:40.001",
        "out_of_order_count": 1,
        "gap_count": 0,
    }


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "value: Invalid JSON"),
        (b"[]", "value: Input should be an object"),
        (b"{}", "uuid: Field required"),
        (b'{"uuid": 1}', "uuid: Input should be a valid string"),
    ],
)
def test_a_record_that_is_no_block_metadata_says_why(value: bytes | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_block(Record("metadata", 0, 0, NOW_MS, [], value))


def test_a_console_log_is_what_log_entries_takes() -> None:
    session_batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    record_all(session_batch, decoded(session_message(7, "a", [console_event(NOW_MS + 1, "warn", "1", "é")])))
    (file,) = session_batch.sessions.take()
    (packed,) = file.console_logs(0, "batch-1")
    key, value = packed[0]
    assert key == b"a"
    assert json.loads(value) == {
        "team_id": 1,
        "message": "1 é",
        "level": "warn",
        "log_source": "session_replay",
        "log_source_id": "a",
        "instance_id": None,
        "timestamp": "2026-11-18 11:06:40.001",
        "batch_id": "batch-1",
    }
