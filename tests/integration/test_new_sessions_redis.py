"""The limit on new sessions: whole sessions are blocked, and reading a batch again changes nothing."""

from recording_worker.lookups.redis import RedisCircuitBreaker
from recording_worker.lookups.redis_commands import Redis
from recording_worker.metrics import Metrics
from recording_worker.outcome import Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.limit_new_sessions import LimitNewSessions, TeamBuckets
from tests.builders import KEYS, FakeClock
from tests.integration.conftest import StartService
from tests.integration.service import Traffic, recorded
from tests.integration.sessions import CLOCK, Watched, sessions, wait_until_closed_again
from tests.servers.redis import RedisServer

METRICS = Metrics()


def worker(redis: Redis, burst: int, per_second: float = 1, *, block: bool = True) -> LimitNewSessions:
    """Make the step of a worker process that has seen no messages yet."""
    return LimitNewSessions(redis, KEYS, TeamBuckets(burst, per_second, CLOCK), CLOCK, METRICS, block=block)


def passing(step: LimitNewSessions, *ids: str) -> list[str]:
    """Run the step over a batch with a message of each of these sessions, and return those that pass."""
    rows: MessageBatch = sessions(*ids)
    step.run(rows)
    ended = {row for row in range(len(rows)) if rows.dispositions[row]}
    assert {rows.reasons[row] for row in ended} <= {Reason.SESSION_BLOCKED}
    return [session for row, session in enumerate(ids) if row not in ended]


def counted() -> tuple[float, float, float, float]:
    """Return how many sessions were new, over the limit, blocked, and not limited because Redis was away."""
    return (
        METRICS.new_sessions._value.get(),
        METRICS.new_sessions_over_limit._value.get(),
        METRICS.sessions_blocked._value.get(),
        METRICS.unlimited_sessions._value.get(),
    )


def since(before: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(now - then for now, then in zip(counted(), before, strict=True))


def test_a_bucket_is_full_at_first_and_refills_up_to_its_capacity() -> None:
    clock = FakeClock()
    buckets = TeamBuckets(3, 2, clock)
    assert [buckets.take(1) for _ in range(4)] == [True, True, True, False]
    assert buckets.take(2)
    clock.ms += 1_000
    assert [buckets.take(1) for _ in range(3)] == [True, True, False]
    clock.ms += 60_000
    assert [buckets.take(1) for _ in range(4)] == [True, True, True, False]


def test_sessions_over_the_limit_are_blocked_whole_and_for_every_worker(
    redis_server: RedisServer, breaker: RedisCircuitBreaker
) -> None:
    step, before = worker(breaker, burst=2), counted()
    assert passing(step, "a", "b", "c", "a", "c") == ["a", "b", "a"]
    assert since(before) == (3, 1, 1, 0)
    CLOCK.ms += 60_000  # the bucket is full again, but blocked sessions stay blocked, also on other workers
    assert passing(step, "c", "a") == ["a"]
    assert passing(worker(breaker, burst=2), "c", "a", "d") == ["a", "d"]
    with redis_server.client() as client:
        assert client.keys("*blocked*") == ["@posthog/replay/session-blocked:1:c"]
        assert 172_700 < int(client.ttl("@posthog/replay/session-blocked:1:c")) <= 172_800
        assert 172_700 < int(client.ttl("@posthog/replay/session-begun:1:a")) <= 172_800


def test_a_batch_that_is_read_again_ends_as_before_and_takes_no_tokens(breaker: RedisCircuitBreaker) -> None:
    ids = [f"session-{number}" for number in range(10)]
    first = passing(worker(breaker, burst=4), *ids)
    assert len(first) == 4
    before = counted()
    # its transaction was aborted: another worker reads it, then the same one after a restart, with other buckets
    assert passing(worker(breaker, burst=1), *ids) == first
    assert passing(worker(breaker, burst=100), *reversed(ids)) == first[::-1]
    assert since(before) == (0, 0, 0, 0)


def test_without_block_new_sessions_it_only_counts(redis_server: RedisServer, breaker: RedisCircuitBreaker) -> None:
    before = counted()
    assert passing(worker(breaker, burst=1, block=False), "a", "b", "c") == ["a", "b", "c"]
    assert since(before) == (3, 2, 0, 0)
    with redis_server.client() as client:
        assert not client.keys("*blocked*")
        client.set("@posthog/replay/session-blocked:1:d", "1")
    assert passing(worker(breaker, burst=1, block=False), "d") == ["d"]


def test_it_asks_once_per_batch_and_only_about_unknown_sessions(
    breaker: RedisCircuitBreaker,
) -> None:
    watched = Watched(breaker)
    step = worker(watched, burst=2)
    passing(step, "a", "b", "a")
    passing(step, "b", "a")
    assert watched.asked == [6]
    passing(step, "c", "b")
    assert watched.asked == [6, 3, 1]
    passing(step, "c")
    assert watched.asked == [6, 3, 1]


def test_sessions_that_begin_while_redis_is_away_pass_and_go_on_passing(
    redis_server: RedisServer, breaker: RedisCircuitBreaker
) -> None:
    step = worker(breaker, burst=1)
    assert passing(step, "a", "b") == ["a"]
    redis_server.stop()
    before = counted()
    assert passing(step, "a", "b", "c", "d") == ["a", "c", "d"]
    assert since(before) == (0, 0, 0, 2)
    redis_server.start()
    wait_until_closed_again(breaker)
    CLOCK.ms += 1_000  # adds one token
    assert passing(step, "e", "c", "d", "f") == ["e", "c", "d"]


def test_sessions_that_redis_does_not_remember_are_not_limited(
    redis_server: RedisServer, breaker: RedisCircuitBreaker
) -> None:
    step, before = worker(breaker, burst=1), counted()
    with redis_server.client() as client:
        client.set("@posthog/replay/session-blocked:1:d", "1")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            assert passing(step, "a", "b", "c", "d") == ["a", "b", "c"]
        finally:
            client.config_set("maxmemory", 0)
    assert since(before) == (0, 0, 0, 3)
    assert passing(step, "b", "e", "c", "f") == ["b", "e", "c"]


def test_sessions_that_can_not_be_blocked_in_redis_are_not_dropped(
    redis_server: RedisServer, breaker: RedisCircuitBreaker
) -> None:
    def stop_once() -> None:
        if redis_server.runs:
            redis_server.stop()

    step, before = worker(Watched(breaker, after=stop_once), burst=1), counted()
    assert passing(step, "a", "b") == ["a", "b"]
    assert since(before) == (2, 1, 0, 0)
    assert passing(step, "b") == ["b"]


def test_the_service_stores_whole_sessions_or_none(
    redis_server: RedisServer, start: StartService, traffic: Traffic
) -> None:
    settings = {"new_sessions_burst": 3, "new_sessions_per_second": 0.001, "block_new_sessions": True}
    service = start(sessions_redis=redis_server.patient_url, **settings)
    service.wait_until_ready()
    traffic.sessions = 36  # a multiple of the partitions, so that each session is in one partition
    traffic.send(240)
    traffic.wait_until_committed()
    stored = {number % 36 for number in recorded(service.storage)}
    assert 0 < len(stored) < 36
    dropped = service.metric("messages_total")['{disposition="drop",reason="session_blocked"}']
    assert recorded(service.storage) == {number: 1 for number in range(240) if number % 36 in stored}
    assert dropped == 240 - len(recorded(service.storage))
    assert service.stop() == 0
