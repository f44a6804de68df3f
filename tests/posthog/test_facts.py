"""What PostHog's code expects of a consumer, compared with what the worker wrote.

Each test names the file of the repository PostHog/posthog that its fact is from.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlparse

import pytest

from tests.posthog.written import BLOCKED_SESSION, Written, sent
from tests.servers.clickhouse import ClickHouse

REMEMBERED_SECONDS = 172_800
"""Twice MAX_SESSION_LENGTH_SECONDS: nodejs/src/session-replay/recording-ingestion/constants.ts"""
KEY = re.compile(r"^session_recordings/(30d|90d|1y|5y)/\d+-[0-9a-f]{16}$")
"""validateS3Key, with the default of SESSION_RECORDING_V2_S3_PREFIX:
nodejs/src/session-replay/recording-api/recording-service.ts; the periods:
nodejs/src/session-replay/shared/constants.ts"""
COLUMNS = {
    "session_id": "String",
    "team_id": "Int64",
    "distinct_id": "String",
    "first_timestamp": "DateTime64(6, 'UTC')",
    "last_timestamp": "DateTime64(6, 'UTC')",
    "block_url": "Nullable(String)",
    "first_url": "Nullable(String)",
    "urls": "Array(String)",
    "click_count": "Int64",
    "keypress_count": "Int64",
    "mouse_activity_count": "Int64",
    "active_milliseconds": "Int64",
    "console_log_count": "Int64",
    "console_warn_count": "Int64",
    "console_error_count": "Int64",
    "size": "Int64",
    "event_count": "Int64",
    "message_count": "Int64",
    "snapshot_source": "LowCardinality(Nullable(String))",
    "snapshot_library": "Nullable(String)",
    "snapshot_mode": "Nullable(String)",
    "retention_period_days": "Nullable(Int64)",
    "is_deleted": "UInt8",
}
"""kafka_session_replay_events: posthog/session_recordings/sql/session_replay_event_sql.py. Columns that PostHog fills
from elsewhere are left out (ai_tags_fixed and others)."""


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[ClickHouse]:
    with ClickHouse() as server:
        yield server


def key_of(written: Written, url: str) -> str:
    """A file's key: what follows the storage in its URL."""
    file, _, _ = url.partition("?")
    assert file.startswith(f"{written.root}/")
    return file.removeprefix(f"{written.root}/")


def test_the_recording_api_takes_every_key(written: Written) -> None:
    keys = {key_of(written, block["block_url"]) for block in written.blocks}
    assert keys
    assert [key for key in keys if not KEY.search(key)] == []


def test_the_reader_takes_every_url_apart(written: Written) -> None:
    """_parse_block_url: posthog/storage/recordings/block_storage.py. It unescapes nothing."""
    for block in written.blocks:
        url = urlparse(block["block_url"])
        found = re.match(r"^range=bytes=(\d+)-(\d+)$", url.query)
        assert found is not None
        assert int(found[1]) <= int(found[2])
        if written.endpoint:
            assert f"{url.scheme}://{url.netloc}" == written.root
            assert KEY.search(url.path.lstrip("/"))


def test_a_block_is_of_one_period(written: Written) -> None:
    """RetentionPeriodToDaysMap: nodejs/src/session-replay/shared/constants.ts"""
    days = {"30d": 30, "90d": 90, "1y": 365, "5y": 1825}
    for block in written.blocks:
        assert block["retention_period_days"] == days[key_of(written, block["block_url"]).split("/")[1]]


def test_records_have_their_session_as_key(written: Written) -> None:
    """storeSessionBlocks: nodejs/src/session-replay/shared/metadata/session-metadata-store.ts"""
    keys = [(record.key or b"").decode() for record in written.metadata]
    assert keys == [block["session_id"] for block in written.blocks]
    assert all({"uuid", "batch_id", *COLUMNS} <= block.keys() for block in written.blocks)


def test_every_session_is_listed(clickhouse: ClickHouse, written: Written) -> None:
    """The arrays: the view session_replay_events_mv of posthog/session_recordings/sql/session_replay_event_sql.py.
    The rule: list_blocks of posthog/session_recordings/session_recording_v2_service.py, and buildBlockList, see
    nodejs/src/session-replay/recording-api/recording-service.test.ts."""
    rows = through_clickhouse(clickhouse, written.blocks)
    assert {row["session_id"] for row in rows} == sent().keys()
    assert [row["session_id"] for row in rows if not is_listed(row)] == []
    assert sum(len(row["urls"]) for row in rows) == len(written.blocks)


def test_a_block_url_is_null_rather_than_empty(clickhouse: ClickHouse, written: Written) -> None:
    """The same rule the other way round: what the worker must never write hides a session."""
    first = written.blocks[0]
    without = first | {"block_url": None}
    assert [is_listed(row) for row in through_clickhouse(clickhouse, [first, without])] == [True]
    for hidden in (first | {"block_url": ""}, without | {"first_timestamp": "2026-01-01 00:00:00.000"}):
        assert [is_listed(row) for row in through_clickhouse(clickhouse, [first, hidden])] == [False]


def through_clickhouse(clickhouse: ClickHouse, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What PostHog asks ClickHouse for to list the blocks of each session."""
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    clickhouse.query("DROP TABLE IF EXISTS posthog_queue")
    clickhouse.query(f"CREATE TABLE posthog_queue ({columns}) ENGINE = Memory")
    lines = "\n".join(json.dumps(record) for record in records)
    clickhouse.query(f"INSERT INTO posthog_queue FORMAT JSONEachRow {lines}")
    return clickhouse.query(
        """
        SELECT session_id,
               min(first_timestamp) AS start,
               groupArray(if(block_url != '', first_timestamp, NULL)) AS firsts,
               groupArray(if(block_url != '', last_timestamp, NULL)) AS lasts,
               groupArray(block_url) AS urls
        FROM posthog_queue GROUP BY team_id, session_id
        """
    )


def is_listed(row: dict[str, Any]) -> bool:
    if not len(row["firsts"]) == len(row["lasts"]) == len(row["urls"]) > 0:
        return False
    return bool(min(row["firsts"]) == row["start"])


def test_redis_knows_the_sessions_as_posthog_does(written: Written) -> None:
    """nodejs/src/session-replay/recording-ingestion/sessions/session-tracker.ts and session-filter.ts"""
    seen = {f"@posthog/replay/session-seen:{block['team_id']}:{block['session_id']}" for block in written.blocks}
    assert {key for key in written.redis if key.startswith("@posthog/replay/session-seen:")} == seen
    [blocked] = [key for key in written.redis if key.startswith("@posthog/replay/session-blocked:")]
    assert re.fullmatch(rf"@posthog/replay/session-blocked:\d+:{BLOCKED_SESSION}", blocked)
    for key in (*seen, blocked):
        text, seconds = written.redis[key]
        assert text == "1"
        assert REMEMBERED_SECONDS - 600 < seconds <= REMEMBERED_SECONDS


def test_redis_knows_the_period_of_a_session_without_its_team(written: Written) -> None:
    """nodejs/src/session-replay/shared/retention/retention-service.ts"""
    for session in sent():
        text, seconds = written.redis[f"@posthog/replay/session-retention-{session}"]
        assert text == "30d"
        assert 86_400 - 600 < seconds <= 86_400


def test_a_dead_letter_says_why_it_is_there(written: Written) -> None:
    """sendMessageToDLQ: nodejs/src/worker/ingestion/pipeline-helpers.ts; the reason:
    nodejs/src/ingestion/pipelines/sessionreplay/validate-headers-step.ts"""
    [letter] = written.dlq
    why = {name: text.decode() for name, text in letter.headers.items() if name.startswith("dlq")}
    assert {"dlq_reason", "dlq_step", "dlq_timestamp", "dlq_topic", "dlq_partition", "dlq_offset"} <= why.keys()
    assert why["dlq_reason"] == "no_session_id_in_header"
    assert why["dlq_topic"] == "recordings"
    assert why["dlq_partition"].isdecimal()
    assert why["dlq_offset"].isdecimal()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", why["dlq_timestamp"])
    assert datetime.fromisoformat(why["dlq_timestamp"]).tzinfo is not None


def test_verify_finds_what_posthog_can_not_show(written: Written) -> None:
    """In a folder: everything, as PostHog's reader fetches from S3 only. In S3: nothing."""
    report = written.verified
    assert report["blocks"] == len(written.blocks)
    expected = [] if written.endpoint else ["posthog_url"] * len(written.blocks)
    assert [damage["kind"] for damage in report["damages"]] == expected
    urls = {block["block_url"] for block in written.blocks}
    assert {damage["file"] for damage in report["damages"]} == (set() if written.endpoint else urls)
