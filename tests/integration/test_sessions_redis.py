"""What Redis keeps of sessions: retention periods, and what happens when Redis is away."""

import time
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from pydantic import SecretStr

from recording_worker import metrics
from recording_worker._native import Decoder
from recording_worker.batch import Disposition, MessageBatch
from recording_worker.errors import ConfigError
from recording_worker.reasons import Reason
from recording_worker.redis_link import Command, RedisLink
from recording_worker.steps.parse_headers import ParseHeaders
from recording_worker.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.steps.pin_retention import PinRetention
from recording_worker.steps.resolve_team import ResolveTeam
from recording_worker.teams.service import Team
from tests.builders import FakeClock, batch, session_message
from tests.integration.conftest import StartService
from tests.integration.service import Traffic, recorded, wait_for
from tests.servers.redis import PASSWORD, RedisServer

CLOCK = FakeClock()


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[RedisLink]:
    link = RedisLink(SecretStr(redis_server.patient_url), CLOCK)
    yield link
    link.close()


def sessions(*ids: str, retention: str = "30d") -> MessageBatch:
    """A batch with a message of each of these sessions, as it is once its teams are resolved."""
    rows = batch(*(session_message(number, session_id) for number, session_id in enumerate(ids)))
    for step in (
        ParseHeaders(),
        ParseSessionRecordingMessage(Decoder(), CLOCK, 7.0),
        ResolveTeam({"token-1": Team(1, True, retention)}),
    ):
        step.run(rows)
    assert not any(rows.dispositions)
    return rows


def pinned(step: PinRetention, rows: MessageBatch) -> list[str | None]:
    step.run(rows)
    return rows.retentions


def test_a_session_keeps_the_period_it_began_with(redis_server: RedisServer, link: RedisLink) -> None:
    assert pinned(PinRetention(link), sessions("a", "a", "b")) == ["30d"] * 3
    with redis_server.client() as client:
        assert client.get("@posthog/replay/session-retention-a") == "30d"
        assert 86_300 < int(client.ttl("@posthog/replay/session-retention-a")) <= 86_400
    another_worker = PinRetention(link)
    assert pinned(another_worker, sessions("c", "a", retention="1y")) == ["1y", "30d"]
    # the batch is discarded and read again elsewhere
    assert pinned(PinRetention(link), sessions("c", "a", retention="5y")) == ["1y", "30d"]


def test_redis_is_asked_once_a_batch_and_not_for_what_is_known(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = link.ask

    def counting(commands: Sequence[Command]) -> list[object] | None:
        asked.append(len(commands))
        return ask(commands)

    monkeypatch.setattr(link, "ask", counting)
    step = PinRetention(link)
    step.run(sessions("a", "b", "a"))
    step.run(sessions("b", "a"))
    step.run(sessions("b", "c"))
    assert asked == [4, 2]


def test_a_session_pinned_to_no_period_is_dropped_and_a_mended_pin_taken(
    redis_server: RedisServer, link: RedisLink
) -> None:
    step = PinRetention(link)
    with redis_server.client() as client:
        client.set("@posthog/replay/session-retention-a", b"\xff7 days")
        rows = sessions("a", "b")
        step.run(rows)
        assert [Disposition(rows.dispositions[row]) for row in (0, 1)] == [Disposition.DROP, Disposition.OK]
        assert rows.reasons[0] == Reason.TEAM_MISSING_RETENTION_PERIOD
        client.set("@posthog/replay/session-retention-a", "90d")
    assert pinned(step, sessions("a")) == ["90d"]


def test_a_key_that_holds_something_else_leaves_the_teams_period(redis_server: RedisServer, link: RedisLink) -> None:
    with redis_server.client() as client:
        client.rpush("@posthog/replay/session-retention-a", "x")
    before = metrics.RETENTION_UNPINNED._value.get()
    assert pinned(PinRetention(link), sessions("a", "b")) == ["30d"] * 2
    assert metrics.RETENTION_UNPINNED._value.get() - before == 1


def test_an_endless_session_id_is_not_sent(redis_server: RedisServer, link: RedisLink) -> None:
    assert pinned(PinRetention(link), sessions("x" * 1000, "a")) == ["30d"] * 2
    with redis_server.client() as client:
        assert client.keys() == ["@posthog/replay/session-retention-a"]


def test_without_redis_the_teams_period_is_used_and_pinned_once_redis_is_back(
    redis_server: RedisServer, link: RedisLink
) -> None:
    step = PinRetention(link)
    step.run(sessions("old"))
    redis_server.stop()
    unpinned = metrics.RETENTION_UNPINNED._value.get()
    failures = metrics.REDIS_FAILURES._value.get()
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    assert metrics.RETENTION_UNPINNED._value.get() - unpinned == 2
    assert metrics.REDIS_FAILURES._value.get() - failures == 1, "it was asked again at once"
    redis_server.start()
    CLOCK.ms += 1_600
    assert pinned(step, sessions("old", "new", retention="1y")) == ["30d", "1y"]
    with redis_server.client() as client:
        assert client.keys() == ["@posthog/replay/session-retention-new"]


def test_the_longer_redis_is_away_the_less_often_it_is_asked(redis_server: RedisServer, link: RedisLink) -> None:
    assert link.ask([("PING",)]) == [True]
    redis_server.stop()
    failures = metrics.REDIS_FAILURES._value.get()
    for _ in range(600):  # seconds
        assert link.ask([("PING",)]) is None
        CLOCK.ms += 1_000
    asked = metrics.REDIS_FAILURES._value.get() - failures
    assert 10 < asked < 50
    redis_server.start()
    CLOCK.ms += 45_000
    assert link.ask([("PING",)]) == [True]


def test_redis_that_hangs_is_given_up_and_not_waited_for_again_at_once(redis_server: RedisServer) -> None:
    link = RedisLink(SecretStr(redis_server.url), CLOCK)
    assert link.ask([("PING",)]) == [True]
    redis_server.pause()
    try:
        failures = metrics.REDIS_FAILURES._value.get()
        started = time.monotonic()
        assert [link.ask([("PING",)]) for _ in range(1000)] == [None] * 1000
        assert metrics.REDIS_FAILURES._value.get() - failures == 1
        assert time.monotonic() - started < 20, "waited for each time"
    finally:
        redis_server.resume()
    CLOCK.ms += 1_600
    wait_for(lambda: _echo(link) == [b"mine"], "an answer to this question, not to an earlier one")
    link.close()


def _echo(link: RedisLink) -> list[object] | None:
    CLOCK.ms += 45_000
    return link.ask([("ECHO", "mine")])


def test_what_redis_refuses_is_the_commands_reply(link: RedisLink) -> None:
    replies = link.ask([("SET", "k", "v"), ("LPUSH", "k", "v"), ("GET", "k")])
    assert replies is not None
    assert (type(replies[1]).__name__, replies[2]) == ("ResponseError", b"v")


@pytest.mark.parametrize("url", ["redis://:pass/word-hush@host:1", "redis://host:hush/0"])
def test_a_url_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="sessions_redis: not a URL") as error:
        RedisLink(SecretStr(url), CLOCK)
    assert "hush" not in str(error.value)


def test_nothing_is_lost_while_redis_stops_and_starts_under_load(
    redis_server: RedisServer, start: StartService, traffic: Traffic
) -> None:
    traffic.sessions = 100_000  # each message is of a new one, to be asked for
    service = start(sessions_redis=redis_server.url)
    service.wait_until_ready()

    def failures() -> float:
        return sum(service.metric("redis_failures_total").values())

    def missed(before: float) -> bool:
        traffic.send(20)
        return failures() > before

    def pinned_again() -> bool:
        traffic.send(20)
        with redis_server.client() as client:
            return bool(client.keys("@posthog/replay/session-retention-*"))

    for _ in range(2):
        traffic.send(200)
        redis_server.stop()
        wait_for(partial(missed, failures()), "a worker to miss Redis")
        redis_server.start()
        wait_for(pinned_again, "a worker to ask Redis again")
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(traffic.sent), 1)
    assert PASSWORD not in service.log_file.read_text()
