"""deploy/clickhouse on ClickHouse: on records the worker wrote, queried as documented."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from recording_worker.formats.accounts import ACCOUNT_HEADER
from tests.builders import headers, value
from tests.integration.command import run
from tests.sample import SAMPLE
from tests.servers.clickhouse import DEPLOY, QUEUES, ClickHouse
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer

TOPICS = ("clickhouse_session_replay_events", "log_entries", "clickhouse_ingestion_warnings")
Values = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Values:
    """What the worker wrote to each topic, of the sample and of a client that is too old."""
    folder = tmp_path_factory.mktemp("written")
    old = {
        "partition_key": "session-1",
        "timestamp_ms": 1_795_000_000_000,
        "headers": [[key, text.decode()] for key, text in headers(lib_version="1.2.3")],
        "value_b64": base64.b64encode(value()).decode(),
    }
    (folder / "old.jsonl").write_text(json.dumps(old) + "\n")
    assert run("ingest", SAMPLE, folder / "old.jsonl", "--any-token", "--out", folder / "out").code == 0
    files = {name: (folder / "out" / "topics" / f"{name}.jsonl").read_text().splitlines() for name in TOPICS}
    return {name: [json.loads(line)["value"] for line in lines] for name, lines in files.items()}


@pytest.fixture(scope="module")
def clickhouse(written: Values) -> Iterator[ClickHouse]:
    """The tables, filled with all that was written, and in each topic with one record that is not valid."""
    with ClickHouse() as server:
        for queue, name in zip(QUEUES, TOPICS, strict=True):
            rows = [
                record | {"_topic": name, "_partition": 0, "_offset": offset, "_timestamp": "2026-11-24 04:00:00"}
                for offset, record in enumerate(written[name])
            ]
            broken = {"_error": "Cannot parse input", "_raw_message": "no record"}
            server.pass_on(queue, rows)
            server.pass_on(queue, [{"_topic": name, "_offset": len(rows), **broken}])
        yield server


def test_every_record_is_a_row_as_it_was_written(clickhouse: ClickHouse, written: Values) -> None:
    tables = dict(zip(TOPICS, ("session_replay_blocks", "log_entries", "ingestion_warnings"), strict=True))
    for name, table in tables.items():
        expected = [plain(record) for record in written[name]]
        rows = [
            plain({key: row[key] for key in expected[0]}) for row in clickhouse.query(f"SELECT * FROM {table} FINAL")
        ]
        assert sorted(rows, key=json.dumps) == sorted(expected, key=json.dumps)


def test_what_is_no_record_is_noted_and_holds_up_nothing(clickhouse: ClickHouse) -> None:
    rows = clickhouse.query("SELECT topic, raw_message, error != '' AS told FROM recording_kafka_errors FINAL")
    assert sorted(row["topic"] for row in rows) == sorted(TOPICS)
    assert {(row["raw_message"], row["told"]) for row in rows} == {("no record", 1)}


def test_blocks_of_a_session_in_order_each_once_though_read_twice(clickhouse: ClickHouse, written: Values) -> None:
    blocks = written[TOPICS[0]]
    first = blocks[0]
    later = {
        "uuid": "01a20bd5-0000-7000-8000-000000000001",
        "first_timestamp": "2026-11-24 00:00:01.000",
        "last_timestamp": "2026-11-24 00:00:02.000",
        "block_url": "file:///later?range=bytes=0-9",
    }
    insert_block(clickhouse, first | later)
    insert_block(clickhouse, first)
    rows = clickhouse.query_file("blocks_of_session", team_id=first["team_id"], session_id=first["session_id"])
    assert [row["block_url"] for row in rows] == [first["block_url"], later["block_url"]]
    clickhouse.query("OPTIMIZE TABLE session_replay_blocks FINAL")
    assert rows == clickhouse.query_file("blocks_of_session", team_id=first["team_id"], session_id=first["session_id"])
    none = clickhouse.query_file("blocks_of_session", team_id=first["team_id"] + 1, session_id=first["session_id"])
    assert none == []


def test_sessions_of_a_team_newest_first(clickhouse: ClickHouse, written: Values) -> None:
    sample = [block for block in written[TOPICS[0]] if block["event_count"] > 1]
    for number, block in enumerate(sample):
        insert_block(clickhouse, block | {"team_id": 7, "uuid": f"01a20bd5-0000-7000-8000-{number:012}"})
    # of one of them a second block, a day later and with another first url, and of another a mark that it is deleted
    longest, deleted = sample[2], sample[3]
    later = {"first_timestamp": "2026-11-24 00:00:01.000", "last_timestamp": "2026-11-24 00:00:02.000"}
    insert_block(clickhouse, longest | later | {"team_id": 7, "first_url": "https://later.test", "click_count": 5})
    insert_block(clickhouse, deleted | {"team_id": 7, "block_url": "", "is_deleted": 1, "size": 0})
    expected = [
        [block["session_id"], block["first_timestamp"], block["first_url"], block["click_count"], block["event_count"]]
        for block in sorted(sample, key=lambda block: str(block["first_timestamp"]), reverse=True)
        if block is not deleted
    ]
    for row in expected:
        if row[0] == longest["session_id"]:
            row[3:] = [longest["click_count"] + 5, longest["event_count"] * 2]
    for merged in (False, True):
        if merged:
            clickhouse.query("OPTIMIZE TABLE session_replay_events FINAL")
        rows = clickhouse.query_file("sessions_of_team", team_id=7, since="2026-11-20 00:00:00", limit=1000)
        shown = ("session_id", "started", "first_url", "click_count", "event_count")
        assert [[row[name] for name in shown] for row in rows] == [
            [session_id, f"{started}000", *rest] for session_id, started, *rest in expected
        ]
        newest = clickhouse.query_file("sessions_of_team", team_id=7, since=f"{expected[1][1]}", limit=1000)
        assert newest == rows[:2]
        assert clickhouse.query_file("sessions_of_team", team_id=7, since="2026-11-20 00:00:00", limit=1) == rows[:1]


def test_a_session_has_the_source_and_the_mode_of_its_first_block_that_has_one(
    clickhouse: ClickHouse, written: Values
) -> None:
    """By time, in whatever order the blocks come (the internal page mobile-replay-capture-mode.md of PostHog)."""
    at = {number: f"2026-11-24 00:00:0{number}.000" for number in range(4)}
    says: list[tuple[str, int, str | None, str | None]] = [
        ("a", 2, "web", "wireframe"),
        ("a", 1, "mobile", "screenshot"),
        ("a", 0, "mobile", None),
        ("a", 3, "mobile", "wireframe"),
        ("b", 0, "web", None),
        ("c", 1, "mobile", "wireframe"),
        ("c", 2, "mobile", None),
    ]
    for session_id, number, source, mode in says:
        times = {"first_timestamp": at[number], "last_timestamp": at[number], "session_id": session_id, "team_id": 9}
        shown = {"snapshot_source": source, "snapshot_mode": mode}
        insert_block(clickhouse, written[TOPICS[0]][0] | times | shown)
    for merged in (False, True):
        if merged:
            clickhouse.query("OPTIMIZE TABLE session_replay_events FINAL")
        rows = clickhouse.query_file("sessions_of_team", team_id=9, since="2026-11-20 00:00:00", limit=9)
        assert {row["session_id"]: (row["snapshot_source"], row["snapshot_mode"]) for row in rows} == {
            "a": ("mobile", "screenshot"),
            "b": ("web", None),
            "c": ("mobile", "wireframe"),
        }


def test_rows_expire_with_the_retention_period_of_their_session(clickhouse: ClickHouse, written: Values) -> None:
    old = written[TOPICS[0]][0] | {"team_id": 8, "_timestamp": "2020-01-01 00:00:00"}
    insert_block(clickhouse, old | {"session_id": "short"})
    insert_block(clickhouse, old | {"session_id": "long", "retention_period_days": 1825 * 5})
    for table in ("session_replay_blocks", "session_replay_events"):
        clickhouse.query(f"OPTIMIZE TABLE {table} FINAL")
        rows = clickhouse.query(f"SELECT session_id FROM {table} WHERE team_id = 8")
        assert rows == [{"session_id": "long"}]


def test_a_queue_reads_what_was_committed_and_takes_no_notice_of_headers(
    clickhouse: ClickHouse, kafka: KafkaServer, new_topic: NewTopic, written: Values
) -> None:
    topic, [record] = new_topic(), written[TOPICS[2]]
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, json.dumps(record | {"team_id": 666}).encode())
    producer.flush()
    producer.abort_transaction()
    producer.begin_transaction()
    producer.produce(topic, json.dumps(record).encode(), headers=[(ACCOUNT_HEADER, b"{}")])
    producer.produce(topic, b"no record")
    producer.commit_transaction()
    good, bad = clickhouse.read(QUEUES[2], kafka.bootstrap_servers, topic, records=2)
    assert record.items() <= good.items()
    assert (good["_topic"], good["_error"], bad["_raw_message"]) == (topic, "", "no record")
    assert bad["_error"].startswith("Cannot parse input")


def test_the_readme_names_every_file() -> None:
    text = (DEPLOY / "README.md").read_text()
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.name != "README.md"]
    assert len(files) > 5
    assert [path.name for path in files if f"`{path.relative_to(DEPLOY)}`" not in text] == []


def insert_block(clickhouse: ClickHouse, block: dict[str, Any]) -> None:
    """A record as the queue gives it to the view."""
    clickhouse.pass_on(QUEUES[0], [block])


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """The record with what ClickHouse writes otherwise made alike: no text for null, six digits of a second."""
    made = {key: "" if found is None and key == "instance_id" else found for key, found in record.items()}
    if "timestamp" in made:
        made["timestamp"] = str(made["timestamp"])[:23]
    return made
