"""`serve` by what ClickHouse says: PostHog's table and the one of deploy/clickhouse, on chdb."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.clock import SystemClock
from recording_worker.formats.batch_file import file_key
from recording_worker.formats.secretbox import seal
from recording_worker.formats.timestamps import utc_text
from recording_worker.settings.choices import FileNames
from tests.batch_files import block, block_url, line, write_batch_file
from tests.integration.command import run
from tests.integration.test_serve import assert_whole_sessions, expected
from tests.memory_keys import MemoryKeys
from tests.sample import SAMPLE
from tests.servers.certificates import Authority
from tests.servers.clickhouse import ClickHouse
from tests.servers.clickhouse_http import PASSWORD, USER, ClickHouseHttp, clickhouse_http
from tests.serving import SECRET, Asked, token
from tests.serving_attacks import (
    GONE,
    MINE,
    THEIRS,
    Stored,
    attacks,
    check,
    check_the_right_request,
    write_storage,
)
from tests.waiting import wait_for

NOW = SystemClock().now_ms()
DAY = 86_400_000
POSTHOG = "posthog.session_replay_events"
"""A table with the columns of PostHog's that are read, of PostHog's types and in its order."""
_POSTHOG_TABLE = f"""CREATE TABLE {POSTHOG} (
    session_id VARCHAR, team_id Int64, distinct_id VARCHAR,
    min_first_timestamp SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    max_last_timestamp SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    block_first_timestamps SimpleAggregateFunction(groupArrayArray, Array(DateTime64(6, 'UTC'))),
    block_last_timestamps SimpleAggregateFunction(groupArrayArray, Array(DateTime64(6, 'UTC'))),
    block_urls SimpleAggregateFunction(groupArrayArray, Array(String)),
    size SimpleAggregateFunction(sum, Int64), event_count SimpleAggregateFunction(sum, Int64),
    _timestamp SimpleAggregateFunction(max, DateTime),
    retention_period_days SimpleAggregateFunction(max, Nullable(Int64)),
    is_deleted SimpleAggregateFunction(max, UInt8) DEFAULT 0
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(min_first_timestamp)
ORDER BY (toDate(min_first_timestamp), team_id, session_id) SETTINGS allow_dimensions_outside_sorting_key = 1"""
ODD = "../2:ü\n/\\blocks\t'"
LINES = [line(NOW + number, n=number) for number in range(50)]
TEXT = b"".join(text + b"\n" for text in LINES)


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[ClickHouse]:
    with ClickHouse() as server:
        server.query("CREATE DATABASE posthog")
        server.query(_POSTHOG_TABLE)
        yield server


class Stage:
    """A storage, and what PostHog's table says of it."""

    def __init__(self, folder: Path, clickhouse: ClickHouse, http: ClickHouseHttp) -> None:
        self.folder = folder / "storage"
        self.folder.mkdir()
        self.password = folder / "password"
        self.password.write_text(f"{PASSWORD}\n")
        self.clickhouse = clickhouse
        self.http = http
        clickhouse.query(f"TRUNCATE TABLE {POSTHOG}")
        self.opened: list[Asked] = []

    def asked(self, store: MemoryKeys | None = None, **settings: Any) -> Asked:
        given = {"clickhouse_table": POSTHOG, "clickhouse_user": USER, **settings}
        asked = Asked(self.folder, store, clickhouse=self.http.url, clickhouse_password_file=self.password, **given)
        self.opened.append(asked)
        return asked

    def tell(self, session_id: str, url: str | None, at: int = NOW, team_id: int = 1, **fields: object) -> None:
        """Insert the row that PostHog's view makes of a record."""
        time = utc_text(at)
        row = {
            "session_id": session_id,
            "team_id": team_id,
            "distinct_id": "user-1",
            "min_first_timestamp": time,
            "max_last_timestamp": time,
            "block_first_timestamps": [time] if url else [],
            "block_last_timestamps": [time] if url else [],
            "block_urls": [url] if url else [],
            "size": 10,
            "event_count": 2,
            "_timestamp": time[:19],
            "retention_period_days": 30,
            **fields,
        }
        self.clickhouse.query(f"INSERT INTO {POSTHOG} FORMAT JSONEachRow {json.dumps(row)}")

    def delete(self, session_id: str, at: int, team_id: int = 1) -> None:
        self.tell(session_id, None, at, team_id, is_deleted=1, retention_period_days=None, distinct_id="")

    def write(self, *blocks: Any) -> list[str]:
        """Write a batch file. Return the URLs of its blocks."""
        path = write_batch_file(self.folder, *blocks)
        return [block_url(path.as_uri(), entry) for entry, _ in blocks]

    def write_without_index(self, *contents: bytes) -> list[str]:
        """Write a file as PostHog's consumer does. Return the URLs of its blocks."""
        path = self.folder / file_key("blocks", "30d", NOW, "0195f1a0-0000-7000-8000-000000000000", FileNames.POSTHOG)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(contents))
        urls, start = [], 0
        for content in contents:
            urls.append(f"{path.as_uri()}?range=bytes={start}-{start + len(content) - 1}")
            start += len(content)
        return urls

    def stored(self, team_id: int, session_id: str, url: str) -> Stored:
        file, _, place = url.partition("?range=bytes=")
        first, last = place.split("-")
        return Stored(team_id, session_id, file.removeprefix(f"{self.folder.as_uri()}/"), int(first), int(last))

    def query(self, url: str, **others: object) -> str:
        wanted = self.stored(1, "", url)
        return urlencode({"key": wanted.key, "start_byte": wanted.start, "end_byte": wanted.end, **others})


@pytest.fixture
def stage(tmp_path: Path, clickhouse: ClickHouse, http: ClickHouseHttp) -> Iterator[Stage]:
    stage = Stage(tmp_path, clickhouse, http)
    yield stage
    for asked in stage.opened:
        asked.upkeep.close()


def path_of(session_id: str, what: str = "block", team_id: int = 1) -> str:
    return f"/api/projects/{team_id}/recordings/{session_id}/{what}"


@pytest.mark.parametrize("session_id", ["zstd", ODD, "x" * 5000])
@pytest.mark.parametrize("merged", [False, True])
def test_a_session_is_what_clickhouse_names(stage: Stage, session_id: str, merged: bool) -> None:
    late, early = block([(2, LINES)], session_id), block([(1, LINES)], session_id)
    (late_url, early_url), (elsewhere,) = stage.write(late, early), stage.write(block([(3, LINES)], session_id))
    stage.tell(session_id, late_url, NOW + 5)
    stage.tell(session_id, early_url)
    stage.tell(session_id, early_url)  # ClickHouse read the record twice
    stage.tell(session_id, "s3://other/blocks/30d/1795000000000-0123456789abcdef?range=bytes=0-9", NOW + 6)
    stage.tell(session_id, "no url", NOW + 7)
    if merged:
        stage.clickhouse.query(f"OPTIMIZE TABLE {POSTHOG} FINAL")
    asked = stage.asked().start()
    listed = asked.get(path_of(session_id, "blocks")).json["blocks"]
    assert [(each["key"], each["start_byte"]) for each in listed] == [
        (listed[0]["key"], early[0].start),
        (listed[0]["key"], late[0].start),
    ]
    assert listed[0]["start_timestamp"] == f"{utc_text(NOW).replace(' ', 'T')}Z"
    for url in (late_url, early_url):
        assert asked.get(path_of(session_id), stage.query(url, decompress=1)).body == TEXT
    raw = asked.get(path_of(session_id), stage.query(early_url)).body
    assert bytes(cramjam.snappy.decompress_raw(raw)) == TEXT
    assert asked.get(path_of(session_id), stage.query(elsewhere)).status == 404, "ClickHouse does not name it"


def test_a_block_that_the_index_gives_to_another_session_is_not_served(stage: Stage) -> None:
    mine, theirs = stage.write(block([(1, LINES)], "mine"), block([(2, LINES)], "theirs", team_id=2))
    stage.tell("mine", mine)
    stage.tell("mine", theirs)
    asked = stage.asked().start()
    assert asked.get(path_of("mine"), stage.query(mine)).status == 200
    assert asked.get(path_of("mine"), stage.query(theirs)).status == 404


def test_a_team_sees_its_own_sessions_alone(stage: Stage) -> None:
    (one,), (two,) = stage.write(block([(1, LINES)], "same")), stage.write(block([(1, LINES)], "same", team_id=2))
    stage.tell("same", one)
    stage.tell("same", two, team_id=2)
    asked = stage.asked().start()
    theirs = f"Bearer {token(2)}"
    assert asked.get(path_of("same"), stage.query(two)).status == 404
    assert asked.get(path_of("same", team_id=2), stage.query(two)).status == 403
    assert asked.get(path_of("same", team_id=2), stage.query(two), theirs).status == 200
    assert len(asked.get(path_of("same", "blocks")).json["blocks"]) == 1


def test_posthogs_own_files_are_served_encrypted_or_not(stage: Stage) -> None:
    keys = MemoryKeys()
    key = keys.create({(1, "secret"): 2}, 1)[1, "secret"].key
    assert key is not None
    packed = bytes(cramjam.snappy.compress_raw(TEXT))
    liar = b"\xff\xff\xff\xff\x0f" + packed[5:]
    clear, secret, broken = stage.write_without_index(packed, bytes(seal(packed, key)), liar)
    for session_id, url in {"clear": clear, "secret": secret, "broken": broken}.items():
        stage.tell(session_id, url)
    asked = stage.asked(keys).start()
    for session_id, url in {"clear": clear, "secret": secret}.items():
        assert asked.get(path_of(session_id), stage.query(url)).body == packed
        answer = asked.get(path_of(session_id), stage.query(url, decompress="true"))
        assert (answer.body, answer.headers["content-type"]) == (TEXT, "application/jsonl")
    assert asked.get(path_of("clear"), stage.query(secret)).status == 404
    for way in (0, 1):
        assert asked.get(path_of("broken"), stage.query(broken, decompress=way)).status == 500
    keys.destroy((1, "secret"), "ann", 5)
    assert asked.get(path_of("secret"), stage.query(secret)).status == 410
    assert asked.api._memory.used == 0


@pytest.mark.parametrize("merged", [False, True])
def test_a_deleted_session_is_gone_at_once(stage: Stage, merged: bool) -> None:
    (url,) = stage.write(block([(1, LINES)], "doomed"))
    stage.tell("doomed", url)
    asked = stage.asked().start()
    assert asked.get(path_of("doomed"), stage.query(url)).status == 200
    stage.delete("doomed", NOW + 1000)
    if merged:
        stage.clickhouse.query(f"OPTIMIZE TABLE {POSTHOG} FINAL")
    answer = asked.get(path_of("doomed"), stage.query(url))
    gone = {"error": "recording_deleted", "deleted_at": (NOW + 1000) // 1000, "deleted_by": None}
    assert (answer.status, answer.json) == (410, gone)
    assert asked.get(path_of("doomed", "blocks")).json == {"blocks": []}
    assert asked.get("/api/projects/1/sessions").json["sessions"] == []
    assert asked.catalogue.connection.execute("SELECT count(*) FROM blocks").fetchone() == (0,), "nothing is kept of it"


def test_a_session_that_is_deleted_while_it_is_read_is_not_sent(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    (url,) = stage.write(block([(1, LINES)], "doomed"))
    stage.tell("doomed", url)
    asked = stage.asked().start()
    read = asked.blocks.read

    def delete_first(*arguments: Any, **options: Any) -> Any:
        stage.delete("doomed", NOW)
        return read(*arguments, **options)

    monkeypatch.setattr(asked.blocks, "read", delete_first)
    assert asked.get(path_of("doomed"), stage.query(url)).status == 410


def test_an_expired_session_is_not_served(stage: Stage) -> None:
    (url,) = stage.write(block([(1, LINES)], "old"))
    stage.tell("old", url, NOW - 31 * DAY)
    stage.tell("kept", url, NOW - 29 * DAY)
    asked = stage.asked().start()
    assert asked.get(path_of("old"), stage.query(url)).status == 404
    assert asked.get(path_of("old", "blocks")).json == {"blocks": []}
    sessions = asked.get("/api/projects/1/sessions").json["sessions"]
    assert [each["session_id"] for each in sessions] == ["kept"]


def test_a_file_that_is_gone_is_not_found(stage: Stage) -> None:
    (url,) = stage.write(block([(1, LINES)], "s"))
    stage.tell("s", url)
    for path in (stage.folder / "blocks").rglob("*-*"):
        path.unlink()
    assert stage.asked().start().get(path_of("s"), stage.query(url)).status == 404


def test_sessions_are_listed_in_pages_and_filtered(stage: Stage) -> None:
    for number in range(6):
        user = f"user-{number % 2}"
        stage.tell(f"s{number}", "file:///x?range=bytes=0-1", NOW - number // 2 * DAY, distinct_id=user)
        stage.tell(f"s{number}", "file:///x?range=bytes=2-3", NOW - number // 2 * DAY + 50, distinct_id="later")
    asked = stage.asked().start()
    ids = asked.session_ids
    first = asked.get("/api/projects/1/sessions", "limit=1").json["sessions"][0]
    assert first == {
        "session_id": "s1",
        "distinct_id": "user-1",
        "start_timestamp": f"{utc_text(NOW).replace(' ', 'T')}Z",
        "end_timestamp": f"{utc_text(NOW + 50).replace(' ', 'T')}Z",
        "blocks": 2,
        "events": 4,
        "size": 20,
        "playable": None,
    }
    every = ["s1", "s0", "s3", "s2", "s5", "s4"]
    assert ids() == every
    assert asked.session_ids_by_page(2) == every
    assert ids(user="user-1") == ["s1", "s3", "s5"]
    assert ids(session="s4") == ["s4"]
    assert ids(session="s%") == []
    assert ids(since=utc_text(NOW - DAY)) == every[:4]
    assert ids(until=utc_text(NOW - DAY)) == ["s5", "s4"]
    assert ids(since="0001-01-02", until="9999-12-30") == every
    assert ids(cursor="1e308:x") == every
    assert asked.get("/api/projects/1/sessions", "playable=true").status == 400


def test_clickhouse_that_is_away_is_said_so_and_waited_for(stage: Stage) -> None:
    (url,) = stage.write(block([(1, LINES)], "s"))
    stage.tell("s", url)
    asked = stage.asked(not_ready_after=0.1)
    stage.http.stop()
    try:
        asked.upkeep.start()
        wait_for(lambda: b"can't be asked" in asked.get("/readyz").body, "readiness says why")
        answer = asked.get("/readyz")
        assert (answer.status, answer.body.startswith(b"asking ClickHouse fails: ClickHouse at http://127")) == (
            503,
            True,
        )
        assert asked.get(path_of("s"), stage.query(url)).status == 503
    finally:
        stage.http.start()
    wait_for(lambda: asked.get("/readyz").status == 200, "it is asked again")
    assert asked.get(path_of("s"), stage.query(url)).status == 200
    stage.http.stop()
    try:
        for path in (path_of("s"), path_of("s", "blocks"), "/api/projects/1/sessions"):
            answer = asked.get(path, stage.query(url) if path.endswith("block") else "")
            assert (answer.status, answer.json) == (503, {"error": "ClickHouse does not answer"})
            assert answer.headers["retry-after"] == "1"
    finally:
        stage.http.start()
    assert "serve_clickhouse_errors_total 4.0" in asked.get("/metrics").body.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clickhouse_user": "stranger"}, "answers 403: Code: 516. DB::Exception: stranger"),
        ({"clickhouse_table": "posthog.nothing"}, "answers 500: Code: 60"),
    ],
)
def test_readiness_says_what_clickhouse_refuses(stage: Stage, change: dict[str, Any], said: str) -> None:
    asked = stage.asked(**change)
    asked.upkeep.start()
    wait_for(lambda: said.encode() in asked.get("/readyz").body, "readiness says why")


def test_clickhouse_is_asked_over_tls_if_its_certificate_is_known(
    stage: Stage, clickhouse: ClickHouse, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path / "tls", "ca"), Authority(tmp_path / "other", "ca")
    with clickhouse_http(clickhouse, authority.issue("server")) as server:
        stage.http = server
        known = stage.asked(clickhouse_ca=authority.file).start()
        assert known.get(path_of("s", "blocks")).json == {"blocks": []}
        changes: list[dict[str, Any]] = [{"clickhouse_ca": other.file}, {}]
        for change in changes:
            stranger = stage.asked(**change)
            stranger.upkeep.start()
            wait_for(lambda: b"certificate verify failed" in stranger.get("/readyz").body, "it is refused")  # noqa: B023


def test_the_password_may_be_renewed(stage: Stage) -> None:
    asked = stage.asked().start()
    for wrong in (b"wrong", b"\xff"):
        stage.password.write_bytes(wrong)
        assert asked.get(path_of("s", "blocks")).status == 503
    stage.password.unlink()
    assert asked.get(path_of("s", "blocks")).status == 503
    stage.password.write_text(PASSWORD)
    assert asked.get(path_of("s", "blocks")).status == 200


def test_only_some_indexes_are_kept(stage: Stage) -> None:
    urls = [stage.write(block([(number, LINES)], f"s{number}"))[0] for number in range(5)]
    asked = stage.asked().start()
    for number, url in enumerate(urls):
        stage.tell(f"s{number}", url)
        assert asked.get(path_of(f"s{number}"), stage.query(url)).status == 200
    asked.catalogue.keep(2)
    assert asked.catalogue.counts() == (2, 2)
    assert asked.get(path_of("s0"), stage.query(urls[0])).status == 200
    assert asked.catalogue.counts() == (3, 3)


def test_serve_asks_clickhouse_or_follows_the_topic(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    given = ("--storage-dir", tmp_path, "--serve-secret-file", secret, "--serve-index", tmp_path / "index")
    done = run("serve", *given, "--clickhouse", "http://127.0.0.1:1", "--serve-follow")
    assert (done.code, done.error) == (2, "clickhouse and serve_follow exclude each other")
    assert not (tmp_path / "index").exists()


def test_a_client_like_posthogs_reads_whole_sessions(
    tmp_path: Path, clickhouse: ClickHouse, http: ClickHouseHttp
) -> None:
    """From the table of deploy/clickhouse, filled with what the worker wrote."""
    recorded = tmp_path / "recorded"
    assert run("ingest", SAMPLE, "--out", recorded, "--any-token").code == 0
    topic = (recorded / "topics" / "clickhouse_session_replay_events.jsonl").read_text().splitlines()
    rows = [json.loads(text)["value"] | {"retention_period_days": 5000} for text in topic]
    clickhouse.pass_on("tables.kafka_session_replay_events", rows)
    lines = expected(recorded)
    (tmp_path / "password").write_text(PASSWORD)
    given: list[str | Path] = ["--storage-dir", recorded, "--clickhouse", http.url]
    given += ["--clickhouse-table", "tables.session_replay_events", "--clickhouse-user", USER]
    given += ["--clickhouse-password-file", tmp_path / "password"]
    assert_whole_sessions(tmp_path, given, lines)


@given(data=st.data())
def test_no_request_gets_what_it_may_not(attacked: tuple[Asked, list[Stored]], data: st.DataObject) -> None:
    asked, stored = attacked
    check(asked, data.draw(attacks(stored)))


@pytest.fixture(scope="module")
def attacked(
    tmp_path_factory: pytest.TempPathFactory, clickhouse: ClickHouse, http: ClickHouseHttp
) -> Iterator[tuple[Asked, list[Stored]]]:
    """Sessions in a file with an index, and others in one without."""
    stage = Stage(tmp_path_factory.mktemp("attacked"), clickhouse, http)
    stored = write_storage(stage.folder)
    contents = [(1, "theirs-too", MINE), (2, "theirs-too", THEIRS)]
    packed = [bytes(cramjam.snappy.compress_raw(line(NOW, said=marker) + b"\n")) for _, _, marker in contents]
    for (team_id, session_id, _), url in zip(contents, stage.write_without_index(*packed), strict=True):
        stored.append(stage.stored(team_id, session_id, url))
    for each in stored:
        url = f"{(stage.folder / each.key).as_uri()}?range=bytes={each.start}-{each.end}"
        stage.tell(each.session_id, url, team_id=each.team_id)
    stage.delete(GONE, NOW)
    asked = stage.asked().start()
    yield asked, stored
    check_the_right_request(asked, stored)
    asked.upkeep.close()
