"""Retention periods of sessions in Redis, and what happens while Redis is away."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from recording_worker.backoff import Backoff
from recording_worker.errors import ConfigError
from recording_worker.formats.retention import RETENTIONS
from recording_worker.lookups.redis import PROBE_BACKOFF, Circuit, RedisCircuitBreaker
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.pin_retention import PinRetention
from tests.builders import KEYS
from tests.integration.conftest import StartService
from tests.integration.service import Traffic, recorded
from tests.integration.sessions import CLOCK, Watched, sessions, wait_until_closed_again
from tests.servers.redis import PASSWORD, RedisServer
from tests.waiting import wait_for


def pinned(step: PinRetention, rows: MessageBatch) -> list[str]:
    step.run(rows)
    return [RETENTIONS[code] for code in rows.retentions]


def test_a_session_keeps_the_period_it_began_with(redis_server: RedisServer, breaker: RedisCircuitBreaker) -> None:
    assert pinned(PinRetention(breaker, KEYS, Metrics()), sessions("a", "a", "b")) == ["30d"] * 3
    with redis_server.client() as client:
        assert client.get("@posthog/replay/session-retention:1:a") == "30d"
        assert 86_300 < int(client.ttl("@posthog/replay/session-retention:1:a")) <= 86_400
    another_worker = PinRetention(breaker, KEYS, Metrics())
    assert pinned(another_worker, sessions("c", "a", retention="1y")) == ["1y", "30d"]
    # the batch is discarded and read again elsewhere
    assert pinned(PinRetention(breaker, KEYS, Metrics()), sessions("c", "a", retention="5y")) == ["1y", "30d"]


def test_redis_is_asked_once_per_batch_and_only_about_unknown_sessions(
    breaker: RedisCircuitBreaker,
) -> None:
    watched = Watched(breaker)
    step = PinRetention(watched, KEYS, Metrics())
    step.run(sessions("a", "b", "a"))
    step.run(sessions("b", "a"))
    step.run(sessions("b", "c"))
    assert watched.asked == [4, 2]


def test_a_session_with_an_invalid_pin_is_dropped_until_the_pin_is_repaired(
    redis_server: RedisServer, breaker: RedisCircuitBreaker
) -> None:
    step = PinRetention(breaker, KEYS, Metrics())
    with redis_server.client() as client:
        client.set("@posthog/replay/session-retention:1:a", b"\xff7 days")
        rows = sessions("a", "b")
        step.run(rows)
        assert [Disposition(rows.dispositions[row]) for row in (0, 1)] == [Disposition.DROP, Disposition.OK]
        assert rows.reasons[0] == Reason.TEAM_MISSING_RETENTION_PERIOD
        client.set("@posthog/replay/session-retention:1:a", "90d")
    assert pinned(step, sessions("a")) == ["90d"]


def test_a_key_of_another_type_leaves_the_period_of_the_team(
    redis_server: RedisServer, breaker: RedisCircuitBreaker, metrics: Metrics
) -> None:
    with redis_server.client() as client:
        client.rpush("@posthog/replay/session-retention:1:a", "x")
    assert pinned(PinRetention(breaker, KEYS, metrics), sessions("a", "b")) == ["30d"] * 2
    assert metrics.retention_unpinned._value.get() == 1


def test_a_very_long_session_id_is_not_sent(redis_server: RedisServer, breaker: RedisCircuitBreaker) -> None:
    assert pinned(PinRetention(breaker, KEYS, Metrics()), sessions("x" * 1000, "a")) == ["30d"] * 2
    with redis_server.client() as client:
        assert client.keys() == ["@posthog/replay/session-retention:1:a"]


def test_without_redis_the_teams_period_is_used_and_pinned_once_redis_is_back(
    redis_server: RedisServer, breaker: RedisCircuitBreaker, metrics: Metrics
) -> None:
    step = PinRetention(breaker, KEYS, metrics)
    step.run(sessions("old"))
    redis_server.stop()
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    assert metrics.retention_unpinned._value.get() == 2
    redis_server.start()
    wait_until_closed_again(breaker)
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    with redis_server.client() as client:
        assert client.keys() == ["@posthog/replay/session-retention:1:new"]


class NoPauses(Backoff):
    """Makes no pauses, but notes how long they would be, and waits in the eighth until Redis is back."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.waits_long, self.is_back = threading.Event(), threading.Event()

    def pause(self, failures: int) -> float:
        self.pauses.append(PROBE_BACKOFF.pause(failures))
        if len(self.pauses) == 8:
            self.waits_long.set()
            self.is_back.wait(30)
        return 0.0


def test_redis_that_went_away_is_probed_less_and_less_often_and_logged_once(
    redis_server: RedisServer, metrics: Metrics
) -> None:
    backoff = NoPauses()
    breaker = RedisCircuitBreaker(SecretStr(redis_server.patient_url), CLOCK, metrics, backoff=backoff)
    with capture_logs() as logs:
        assert breaker.ask([("PING",)]) == [True]
        redis_server.stop()
        assert breaker.ask([("PING",)]) is None
        assert backoff.waits_long.wait(30)
        redis_server.start()
        backoff.is_back.set()
        wait_until_closed_again(breaker)
    assert [line["event"] for line in logs] == [
        "Redis can't be asked: recording goes on without it",
        "Redis answers again",
    ]
    assert metrics.redis_failures._value.get() == 8
    assert sum(bucket.get() for bucket in metrics.redis_seconds._buckets) == 3
    for pause, expected in zip(backoff.pauses, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert 0.5 * expected <= pause <= 1.5 * expected
    breaker.close()


def test_redis_that_answers_only_probes_in_time_is_asked_less_and_less_often(
    redis_server: RedisServer,
) -> None:
    backoff = NoPauses()
    breaker = RedisCircuitBreaker(
        SecretStr(f"{redis_server.url}?socket_timeout=0.1"), CLOCK, Metrics(), backoff=backoff
    )
    slow = [("BLPOP", "nothing", 1)]
    assert breaker.circuit is Circuit.CLOSED
    for _ in range(3):
        assert breaker.ask(slow) is None
        wait_for(lambda: breaker.circuit is Circuit.HALF_OPEN, "Redis to answer a probe")
    for pause, expected in zip(backoff.pauses, [1, 2, 4], strict=False):  # a probe may be too slow as well
        assert pause >= 0.5 * expected
    assert breaker.ask([("PING",)]) == [True]
    assert breaker.circuit is Circuit.CLOSED
    breaker.close()


def test_close_ends_the_probes(redis_server: RedisServer) -> None:
    breaker = RedisCircuitBreaker(SecretStr(redis_server.patient_url), CLOCK, Metrics(), backoff=Backoff(0.02, 0.02))
    redis_server.stop()
    assert breaker.ask([("PING",)]) is None
    probing = breaker._probing
    assert probing is not None
    breaker.close()
    wait_for(lambda: not probing.is_alive(), "the probing thread to end")


def test_redis_that_hangs_is_waited_for_once(redis_server: RedisServer) -> None:
    breaker = RedisCircuitBreaker(SecretStr(redis_server.url), CLOCK, Metrics(), backoff=Backoff(0.02, 30))
    assert breaker.ask([("PING",)]) == [True]
    redis_server.pause()
    try:
        started = time.monotonic()
        assert breaker.ask([("SET", "k", "v")]) is None
        assert 0.4 < time.monotonic() - started < 20
        assert breaker.circuit is Circuit.OPEN
        started = time.thread_time()
        assert [breaker.ask([("PING",)]) for _ in range(10_000)] == [None] * 10_000
        assert time.thread_time() - started < 0.4, "waited for Redis"
    finally:
        redis_server.resume()
    wait_for(lambda: breaker.ask([("ECHO", "mine")]) == [b"mine"], "an answer to this question, not to an earlier one")
    breaker.close()


def test_refused_commands_are_counted_and_logged_once_a_minute(
    redis_server: RedisServer, breaker: RedisCircuitBreaker, metrics: Metrics
) -> None:
    counted = 0.0
    with redis_server.client() as client, capture_logs() as logs:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            step = PinRetention(breaker, KEYS, Metrics())
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


def test_the_reply_to_a_refused_command_is_the_error(breaker: RedisCircuitBreaker) -> None:
    replies = breaker.ask([("SET", "k", "v"), ("LPUSH", "k", "v"), ("GET", "k")])
    assert replies is not None
    assert (type(replies[1]).__name__, replies[2]) == ("ResponseError", b"v")


@pytest.mark.parametrize("url", ["redis://:pass/word-hush@host:1", "redis://host:hush/0"])
def test_an_invalid_url_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="sessions_redis: not a URL") as error:
        RedisCircuitBreaker(SecretStr(url), CLOCK, Metrics())
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

    def wait_until_pinned() -> None:
        with redis_server.client() as client:
            client.flushall()
            wait_for(lambda: client.dbsize() > 100, "the worker to ask Redis")

    def lose_redis(stop: Callable[[], None], start: Callable[[], None]) -> None:
        stop()
        wait_until_missed()
        before = len(service.logged("Redis answers again"))
        start()
        # what Redis was asked is not enough: the worker may not have the answer yet
        wait_for(lambda: len(service.logged("Redis answers again")) > before, "the worker to know that Redis is back")
        wait_until_pinned()

    with steady(traffic):
        wait_until_pinned()
        lose_redis(redis_server.stop, redis_server.start)
        lose_redis(redis_server.stop, redis_server.start)
        lose_redis(redis_server.pause, redis_server.resume)
    traffic.wait_until_committed()
    assert service.worker_pids() == workers
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(traffic.sent), 1)
    assert {path.parent.name for path in service.storage.rglob("*") if path.is_file()} == {"30d"}
    assert min(len(service.logged("Redis can't be asked")), len(service.logged("Redis answers again"))) >= 3
    assert PASSWORD not in service.log_file.read_text()


@contextmanager
def steady(traffic: Traffic) -> Iterator[None]:
    """Send some hundred messages a second from another thread while the body runs."""
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
