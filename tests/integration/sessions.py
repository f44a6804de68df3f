"""Helpers for the tests of sessions in Redis."""

from collections.abc import Callable, Sequence

from recording_worker._native import Decoder
from recording_worker.lookups.redis import RedisCircuitBreaker
from recording_worker.lookups.redis_commands import Command, Redis
from recording_worker.lookups.teams.service import Team
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.pipeline.steps.resolve_team import ResolveTeam
from tests.builders import FakeClock, batch, session_message
from tests.waiting import wait_for

CLOCK = FakeClock()


class Watched:
    """Redis as the steps ask it. Notes the number of commands of each request, and then calls `after`."""

    def __init__(self, redis: Redis, after: Callable[[], None] = lambda: None) -> None:
        self._redis = redis
        self._after = after
        self.asked: list[int] = []

    def ask(self, commands: Sequence[Command]) -> list[object] | None:
        self.asked.append(len(commands))
        replies = self._redis.ask(commands)
        self._after()
        return replies


def sessions(*ids: str, retention: str = "30d") -> MessageBatch:
    """Make a batch with a message of each of these sessions, whose teams are resolved."""
    rows = batch(*(session_message(number, session_id) for number, session_id in enumerate(ids)))
    for step in (
        ParseHeaders(),
        ParseSessionRecordingMessage(Decoder(max_session_id_characters=4096), CLOCK, 7.0, Metrics()),
        ResolveTeam({"token-1": Team(1, True, retention)}),
    ):
        step.run(rows)
    assert not any(rows.dispositions)
    return rows


def wait_until_closed_again(breaker: RedisCircuitBreaker) -> None:
    wait_for(lambda: breaker.ask([("PING",)]) == [True], "Redis to be asked again")
