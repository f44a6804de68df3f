"""RedisLink: Redis as the pipeline asks it, in a poll's time: one round trip, soon given up."""

import random
import threading
from collections.abc import Sequence
from typing import Protocol

import redis
import structlog
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from recording_worker.clock import Clock
from recording_worker.errors import ConfigError
from recording_worker.metrics import Metrics

log = structlog.get_logger()

Command = tuple[str | int, ...]

LONGEST_SESSION_ID = 256
"""Characters; the clients' ids have 36. Longer ones are neither remembered nor sent to Redis."""
_ANSWER_SECONDS = 0.5
"""To connect, and to answer."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_REFUSAL_SECONDS = 60.0
"""How often the log tells of commands that are refused."""


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
    """Asks Redis, and after a failure no more until a thread beside finds it back: one that is away costs no time.

    The thread looks after a second, and the pause doubles to half a minute as long as Redis stays away; ± 50 %.
    """

    def __init__(self, url: SecretStr, clock: Clock, metrics: Metrics) -> None:
        """Raises ConfigError. Connects later."""
        self._client = redis_client("sessions_redis", url, _ANSWER_SECONDS)
        self._clock = clock
        self._metrics = metrics
        self._pause = _FIRST_PAUSE
        """Seconds before Redis is looked for. Belongs to the thread while Redis is away."""
        self._away = threading.Event()
        self._closing = threading.Event()
        self._looking: threading.Thread | None = None
        self._refusal_told = -_REFUSAL_SECONDS

    def ask(self, commands: Sequence[Command]) -> list[object] | None:
        """The replies to the commands, in one round trip; None where Redis can't be asked now.

        A command that Redis refuses has the error as its reply. Text comes as bytes. Blocks for half a second at most
        to connect, and as long to be answered.
        """
        if self._away.is_set():
            return None
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        try:
            replies: list[object] = pipeline.execute(raise_on_error=False)
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return None
        if self._pause > _FIRST_PAUSE:
            log.info("Redis answers again")
            self._pause = _FIRST_PAUSE
        self._tell_refusal(replies)
        return replies

    def close(self) -> None:
        """Ask no more. Waits for a look that is under way, but not for one that hangs."""
        self._closing.set()
        if self._looking is not None:
            self._looking.join(2 * _ANSWER_SECONDS)
        self._client.close()

    def _failed(self, error: Exception) -> None:
        self._metrics.redis_failures.inc()
        if self._pause == _FIRST_PAUSE:
            log.warning("Redis can't be asked: recording goes on without it", error=str(error))
        self._away.set()
        self._looking = threading.Thread(target=self._look, name="look for Redis", daemon=True)
        self._looking.start()

    def _look(self) -> None:
        """Wait until Redis is there again."""
        while not self._closing.wait(self._pause * random.uniform(0.5, 1.5)):
            self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
            try:
                self._client.ping()
            except (redis.RedisError, OSError):
                self._metrics.redis_failures.inc()
            else:
                self._away.clear()
                return

    def _tell_refusal(self, replies: Sequence[object]) -> None:
        """Count and log that Redis refuses commands, as it does without memory or as a replica."""
        refusal = next((reply for reply in replies if isinstance(reply, redis.RedisError)), None)
        if refusal is None:
            return
        self._metrics.redis_failures.inc()
        if self._clock.monotonic() - self._refusal_told >= _REFUSAL_SECONDS:
            self._refusal_told = self._clock.monotonic()
            log.warning("Redis refuses commands: recording goes on without it", error=str(refusal))
