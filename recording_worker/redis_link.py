"""RedisLink: Redis as the pipeline asks it, in a poll's time: one round trip, soon given up."""

import random
from collections.abc import Sequence
from typing import Protocol

import redis
import structlog
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from recording_worker import metrics
from recording_worker.clock import Clock
from recording_worker.errors import ConfigError

log = structlog.get_logger()

Command = tuple[str | int, ...]

LONGEST_SESSION_ID = 256
"""Characters; the clients' ids have 36. Longer ones are neither remembered nor sent to Redis."""
_ANSWER_SECONDS = 0.5
"""To connect, and to answer."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


def redis_client(setting: str, url: SecretStr, seconds: float) -> redis.Redis:
    """A client that waits `seconds` at most and tries nothing twice; it connects when it is first used.

    Raises ConfigError, which names the setting and not its value, for that may hold a password.
    """
    try:
        # what the URL's own parameters say comes first
        return redis.Redis.from_url(
            url.get_secret_value(),
            socket_connect_timeout=seconds,
            socket_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except (ValueError, redis.RedisError):
        raise ConfigError(f"{setting}: not a URL that Redis's client understands") from None


class Redis(Protocol):
    """What the steps need of a RedisLink."""

    def ask(self, commands: Sequence[Command]) -> list[object] | None: ...


class RedisLink:
    """Asks Redis, and after a failure does not ask for a while, so that one that is down costs no time.

    That while is a second, and doubles to half a minute as long as Redis stays away; ± 50 %.
    """

    def __init__(self, url: SecretStr, clock: Clock) -> None:
        """Raises ConfigError. Connects later."""
        self._client = redis_client("sessions_redis", url, _ANSWER_SECONDS)
        self._clock = clock
        self._failures = 0
        self._ask_after = 0.0

    def ask(self, commands: Sequence[Command]) -> list[object] | None:
        """The replies to the commands, in one round trip; None where Redis can't be asked now.

        A command that Redis refuses has the error as its reply. Text comes as bytes. Blocks for half a second at most
        to connect, and as long to be answered.
        """
        if self._clock.monotonic() < self._ask_after:
            return None
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        try:
            replies: list[object] = pipeline.execute(raise_on_error=False)
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return None
        if self._failures:
            log.info("Redis answers again")
            self._failures = 0
        return replies

    def close(self) -> None:
        self._client.close()

    def _failed(self, error: Exception) -> None:
        metrics.REDIS_FAILURES.inc()
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**self._failures) * random.uniform(0.5, 1.5)
        if not self._failures:
            log.warning("Redis can't be asked: recording goes on without it", error=str(error))
        self._failures = min(self._failures + 1, 10)
        self._ask_after = self._clock.monotonic() + pause
