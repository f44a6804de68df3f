"""`delete --distinct-id` with ClickHouse, which remembers sessions that the metadata topic has forgotten."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.deletion_stage import Stage
from tests.integration.test_encryption import MARKER, SESSIONS
from tests.servers.clickhouse import ClickHouse
from tests.servers.clickhouse_http import PASSWORD, USER, ClickHouseHttp
from tests.unit.command import Done

TOLD = "2026-11-24 04:00:00"


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[ClickHouse]:
    """The tables of deploy/clickhouse, and PostHog's alone in a database of its own."""
    with ClickHouse() as server:
        server.query("CREATE DATABASE posthog")
        server.query("CREATE TABLE posthog.session_replay_events AS tables.session_replay_events")
        yield server


class People:
    """A metadata topic that has forgotten all sessions, and ClickHouse that knows them."""

    def __init__(self, stage: Stage, clickhouse: ClickHouse, http: ClickHouseHttp, folder: Path) -> None:
        self.stage = stage
        self.http = http
        self.password = folder / "password"
        self.password.write_text(PASSWORD)
        for table in ("tables.session_replay_blocks", "tables.session_replay_events", "posthog.session_replay_events"):
            clickhouse.query(f"TRUNCATE TABLE {table}")
        rows = "\n".join(json.dumps({**value, "_timestamp": TOLD}) for value in stage.values)
        clickhouse.query(
            "INSERT INTO tables.session_replay_blocks SETTINGS input_format_skip_unknown_fields = 1"
            f" FORMAT JSONEachRow {rows}"
        )
        clickhouse.query("INSERT INTO posthog.session_replay_events SELECT * FROM tables.session_replay_events")
        self.clickhouse = clickhouse
        admin = AdminClient({"bootstrap.servers": stage.kafka.bootstrap_servers})
        [cut] = admin.delete_records([TopicPartition(stage.metadata, 0, len(stage.values))]).values()
        cut.result(30)

    def delete(self, person: str, *arguments: str, table: str = "tables.session_replay_events") -> Done:
        named = ["--team", str(self.stage.team_id), "--distinct-id", person, "--yes", "--json", "--scan-storage"]
        server = ["--clickhouse", self.http.url, "--clickhouse-table", table, "--clickhouse-user", USER]
        return self.stage.delete(*named, *server, "--clickhouse-password-file", self.password, *arguments)


@pytest.fixture
def people(deletion_stage: Stage, clickhouse: ClickHouse, http: ClickHouseHttp, tmp_path: Path) -> People:
    return People(deletion_stage, clickhouse, http, tmp_path)


def test_sessions_of_a_person_are_deleted_that_only_clickhouse_remembers(people: People) -> None:
    done = people.delete(MARKER)
    assert done.code == 0, done.err + done.out
    certificate = json.loads(done.out)
    assert [each["session_id"] for each in certificate["sessions"]] == sorted(SESSIONS)
    assert [len(each["blocks"]) for each in certificate["sessions"]] == [1, 1, 1]
    assert not any(people.stage.has_key(session_id) for session_id in SESSIONS)


def test_without_clickhouse_they_are_not_known(people: People) -> None:
    done = people.stage.delete("--team", str(people.stage.team_id), "--distinct-id", MARKER, "--yes")
    assert done.code == 1
    assert "nothing to delete: no session of these people is known" in done.err
    assert all(people.stage.has_key(session_id) for session_id in SESSIONS)


def test_a_person_of_a_single_block_is_found_in_the_table_of_blocks(people: People) -> None:
    later = {**people.stage.values[0], "uuid": "01a20bd5-0000-7000-8000-000000000001", "_timestamp": TOLD}
    row = json.dumps({**later, "session_id": "one", "distinct_id": "another' person\\\t"})
    people.clickhouse.query(
        "INSERT INTO tables.session_replay_blocks SETTINGS input_format_skip_unknown_fields = 1"
        f" FORMAT JSONEachRow {row}"
    )
    people.clickhouse.query("OPTIMIZE TABLE tables.session_replay_events FINAL")
    done = people.delete("another' person\\\t")
    assert [each["session_id"] for each in json.loads(done.out)["sessions"]] == ["one"]
    assert people.stage.has_key("two")


def test_with_posthogs_table_alone_the_deletion_is_incomplete(people: People) -> None:
    done = people.delete(MARKER, table="posthog.session_replay_events")
    assert done.code == 1
    certificate = json.loads(done.out)
    assert len(certificate["sessions"]) == 3
    [why] = certificate["incomplete"]
    assert "has one person for each session and day: others of the session are not known" in why


def test_nothing_is_deleted_if_clickhouse_can_not_be_asked(people: People) -> None:
    for arguments, why in (
        (("--clickhouse-user", "stranger"), "answers 403"),
        (("--clickhouse-table", "tables.nothing"), "answers 500"),
        (("--clickhouse", "http://127.0.0.1:1"), "can't be asked"),
    ):
        done = people.delete(MARKER, *arguments)
        assert (done.code, done.out) == (1, "")
        assert why in done.err
    assert all(people.stage.has_key(session_id) for session_id in SESSIONS)
