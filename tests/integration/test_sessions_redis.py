"""What Redis keeps of sessions: retention periods, and what happens when Redis is away."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from recording_worker.errors import ConfigError
from recording_worker.lookups import redis as redis_link
from recording_worker.lookups.redis import Command, RedisLink
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.pin_retention import PinRetention
from tests.integration.conftest import StartService
from tests.integration.service import Traffic, recorded, wait_for
from tests.integration.sessions import CLOCK, sessions, wait_until_asked_again
from tests.servers.redis import PASSWORD, RedisServer


def pinned(step: PinRetention, rows: MessageBatch) -> list[str | None]:
    step.run(rows)
    return rows.retentions


def test_a_session_keeps_the_period_it_began_with(redis_server: RedisServer, link: RedisLink) -> None:
    assert pinned(PinRetention(link, Metrics()), sessions("a", "a", "b")) == ["30d"] * 3
    with redis_server.client() as client:
        assert client.get("@posthog/replay/session-retention-a") == "30d"
        assert 86_300 < int(client.ttl("@posthog/replay/session-retention-a")) <= 86_400
    another_worker = PinRetention(link, Metrics())
    assert pinned(another_worker, sessions("c", "a", retention="1y")) == ["1y", "30d"]
    # the batch is discarded and read again elsewhere
    assert pinned(PinRetention(link, Metrics()), sessions("c", "a", retention="5y")) == ["1y", "30d"]


def test_redis_is_asked_once_a_batch_and_not_for_what_is_known(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = link.ask

    def counting(commands: Sequence[Command]) -> list[object] | None:
        asked.append(len(commands))
        return ask(commands)

    monkeypatch.setattr(link, "ask", counting)
    step = PinRetention(link, Metrics())
    step.run(sessions("a", "b", "a"))
    step.run(sessions("b", "a"))
    step.run(sessions("b", "c"))
    assert asked == [4, 2]


def test_a_session_pinned_to_no_period_is_dropped_and_a_mended_pin_taken(
    redis_server: RedisServer, link: RedisLink
) -> None:
    step = PinRetention(link, Metrics())
    with redis_server.client() as client:
        client.set("@posthog/replay/session-retention-a", b"\xff7 days")
        rows = sessions("a", "b")
        step.run(rows)
        assert [Disposition(rows.dispositions[row]) for row in (0, 1)] == [Disposition.DROP, Disposition.OK]
        assert rows.reasons[0] == Reason.TEAM_MISSING_RETENTION_PERIOD
        client.set("@posthog/replay/session-retention-a", "90d")
    assert pinned(step, sessions("a")) == ["90d"]


def test_a_key_that_holds_something_else_leaves_the_teams_period(
    redis_server: RedisServer, link: RedisLink, metrics: Metrics
) -> None:
    with redis_server.client() as client:
        client.rpush("@posthog/replay/session-retention-a", "x")
    assert pinned(PinRetention(link, metrics), sessions("a", "b")) == ["30d"] * 2
    assert metrics.retention_unpinned._value.get() == 1


def test_an_endless_session_id_is_not_sent(redis_server: RedisServer, link: RedisLink) -> None:
    assert pinned(PinRetention(link, Metrics()), sessions("x" * 1000, "a")) == ["30d"] * 2
    with redis_server.client() as client:
        assert client.keys() == ["@posthog/replay/session-retention-a"]


def test_without_redis_the_teams_period_is_used_and_pinned_once_redis_is_back(
    redis_server: RedisServer, link: RedisLink, metrics: Metrics
) -> None:
    step = PinRetention(link, metrics)
    step.run(sessions("old"))
    redis_server.stop()
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    assert metrics.retention_unpinned._value.get() == 2
    redis_server.start()
    wait_until_asked_again(link)
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    with redis_server.client() as client:
        assert client.keys() == ["@posthog/replay/session-retention-new"]


def test_redis_that_went_away_is_looked_for_ever_less_often_and_told_of_once(
    redis_server: RedisServer, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    waits_long, is_back = threading.Event(), threading.Event()
    link = RedisLink(SecretStr(redis_server.patient_url), CLOCK, metrics)

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 8:
            waits_long.set()
            is_back.wait(30)
        return False

    monkeypatch.setattr(link._closing, "wait", wait)
    with capture_logs() as logs:
        assert link.ask([("PING",)]) == [True]
        redis_server.stop()
        assert link.ask([("PING",)]) is None
        assert waits_long.wait(30)
        redis_server.start()
        is_back.set()
        wait_until_asked_again(link)
    assert [line["event"] for line in logs] == [
        "Redis can't be asked: recording goes on without it",
        "Redis answers again",
    ]
    assert metrics.redis_failures._value.get() == 8
    for pause, expected in zip(pauses, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert 0.5 * expected <= pause <= 1.5 * expected
    link.close()


def test_one_that_is_there_but_does_not_answer_in_time_is_asked_ever_less_often(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "_FIRST_PAUSE", 0.001)
    link = RedisLink(SecretStr(f"{redis_server.url}?socket_timeout=0.1"), CLOCK, Metrics())
    slow = [("BLPOP", "nothing", 1)]
    for failures in range(1, 4):
        wait_for(lambda: not link._away.is_set(), "Redis to be found")
        assert link.ask(slow) is None
        assert link._pause >= 0.001 * 2 ** (failures - 1)
    link.close()


def test_redis_that_hangs_is_waited_for_once(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "_FIRST_PAUSE", 0.02)
    link = RedisLink(SecretStr(redis_server.url), CLOCK, Metrics())
    assert link.ask([("PING",)]) == [True]
    redis_server.pause()
    try:
        started = time.monotonic()
        assert link.ask([("SET", "k", "v")]) is None
        assert 0.4 < time.monotonic() - started < 20
        assert link._looking is not None
        started = time.thread_time()
        assert [link.ask([("PING",)]) for _ in range(10_000)] == [None] * 10_000
        assert time.thread_time() - started < 0.4, "waited for Redis"
    finally:
        redis_server.resume()
    wait_for(lambda: link.ask([("ECHO", "mine")]) == [b"mine"], "an answer to this question, not to an earlier one")
    link.close()


def test_what_redis_refuses_is_counted_and_told_once_a_minute(
    redis_server: RedisServer, link: RedisLink, metrics: Metrics
) -> None:
    counted = 0.0
    with redis_server.client() as client, capture_logs() as logs:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            step = PinRetention(link, Metrics())
            for _ in range(3):
                assert pinned(step, sessions("a", retention="1y")) == ["1y"]
            CLOCK.ms += 60_000
            assert pinned(step, sessions("a", retention="1y")) == ["1y"]
            counted = metrics.redis_failures._value.get()
        finally:
            client.config_set("maxmemory", 0)
        assert pinned(step, sessions("a")) == ["30d"]
    assert counted == 4
    assert [line["event"] for line in logs] == ["Redis refuses commands: recording goes on without it"] * 2
    assert "maxmemory" in logs[0]["error"]


def test_what_redis_refuses_is_the_commands_reply(link: RedisLink) -> None:
    replies = link.ask([("SET", "k", "v"), ("LPUSH", "k", "v"), ("GET", "k")])
    assert replies is not None
    assert (type(replies[1]).__name__, replies[2]) == ("ResponseError", b"v")


@pytest.mark.parametrize("url", ["redis://:pass/word-hush@host:1", "redis://host:hush/0"])
def test_a_url_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="sessions_redis: not a URL") as error:
        RedisLink(SecretStr(url), CLOCK, Metrics())
    assert "hush" not in str(error.value)


def test_nothing_is_lost_while_redis_stops_hangs_and_starts_under_load(
    redis_server: RedisServer, start: StartService, traffic: Traffic
) -> None:
    traffic.sessions = 1_000_000  # each message is of a new one, to be asked for
    # of one worker, for each to be seen that misses Redis and finds it again
    limit = {"block_new_sessions": True, "new_sessions_burst": 1_000_000}
    service = start(sessions_redis=redis_server.url, workers=1, **limit)
    service.wait_until_ready()
    workers = service.worker_pids()

    def total(name: str) -> float:
        return sum(service.metric(name).values())

    def wait_until_missed() -> None:
        unpinned, unlimited = total("retention_unpinned_sessions_total"), total("unlimited_sessions_total")
        wait_for(lambda: total("retention_unpinned_sessions_total") > unpinned + 50, "unpinned sessions")
        wait_for(lambda: total("unlimited_sessions_total") > unlimited + 50, "sessions that are not limited")

    def wait_until_pinned_again() -> None:
        with redis_server.client() as client:
            client.flushall()
            wait_for(lambda: client.dbsize() > 100, "the worker to ask Redis again")

    with steady(traffic):
        wait_until_pinned_again()
        for _ in range(2):
            redis_server.stop()
            wait_until_missed()
            redis_server.start()
            wait_until_pinned_again()
        redis_server.pause()
        wait_until_missed()
        redis_server.resume()
        wait_until_pinned_again()
    traffic.wait_until_committed()
    assert service.worker_pids() == workers
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(traffic.sent), 1)
    assert {path.parent.name for path in service.storage.rglob("*") if path.is_file()} == {"30d"}
    assert min(len(service.logged("Redis can't be asked")), len(service.logged("Redis answers again"))) >= 3
    assert PASSWORD not in service.log_file.read_text()


@contextmanager
def steady(traffic: Traffic) -> Iterator[None]:
    """A thread that sends without a pause, some hundred messages a second, while the body runs."""
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.02):
            traffic.send(10)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            done.set()
            sending.result()
