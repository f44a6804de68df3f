"""RedisCircuitBreaker: asks Redis for the pipeline, within the time of a poll. `redis_client` also serves others."""

import secrets
import threading
from collections.abc import Sequence
from enum import Enum, auto

import redis
import structlog
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from recording_worker.backoff import Backoff
from recording_worker.clock import Clock
from recording_worker.dependencies import SESSIONS_REDIS, DependencyWatch
from recording_worker.errors import ConfigError, StoreError
from recording_worker.lookups.redis_commands import Command
from recording_worker.metrics import Metrics

log = structlog.get_logger()

PROBE_BACKOFF = Backoff(first=1.0, longest=30.0)
"""The pauses before Redis is probed."""
_TIMEOUT = 0.5
"""Seconds to connect, and to get an answer."""
_TRY_TIMEOUT = 3.0
"""The same for a try that the pipeline does not wait for."""
_REFUSAL_LOG_INTERVAL = 60.0
"""Seconds between two log lines about commands that Redis refuses."""


def redis_client(setting: str, url: SecretStr, timeout: float) -> redis.Redis:
    """Return a client that waits `timeout` seconds at most and retries nothing. It connects when it is first used.

    Raises ConfigError. Its text names the setting, but not its value, which may hold a password.
    """
    try:
        # the URL's own parameters come first
        return redis.Redis.from_url(
            url.get_secret_value(),
            socket_connect_timeout=timeout,
            socket_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except (ValueError, redis.RedisError):
        raise ConfigError(f"{setting}: not a URL that Redis's client understands") from None


def try_redis(setting: str, url: SecretStr, prefix: str) -> None:
    """Write a key that expires at once, below `prefix`. Raises StoreError if that is not possible, ConfigError."""
    client = redis_client(setting, url, _TRY_TIMEOUT)
    try:
        client.set(f"{prefix}check-{secrets.token_hex(4)}", "", px=1)
    except (redis.RedisError, OSError) as error:
        raise StoreError(str(error)) from error
    finally:
        client.close()


def remove_keys(setting: str, url: SecretStr, names: Sequence[str]) -> None:
    """Remove these keys, if they are there. Raises StoreError, ConfigError."""
    client = redis_client(setting, url, _TRY_TIMEOUT)
    try:
        client.delete(*(name.encode(errors="surrogatepass") for name in names))
    except (redis.RedisError, OSError) as error:
        raise StoreError(f"{setting} can't be used: {error}") from error
    finally:
        client.close()


class Circuit(Enum):
    """Whether Redis is asked."""

    CLOSED = auto()
    """Redis is asked. A failure opens the circuit."""
    OPEN = auto()
    """Redis is not asked. A thread probes it, and half-opens the circuit when it answers."""
    HALF_OPEN = auto()
    """Redis is asked. An answer closes the circuit, a failure opens it again."""


class RedisCircuitBreaker:
    """Asks Redis, but not while it is away, so that this costs the pipeline no time.

    See `Circuit` for the states. The pauses between probes double until the circuit is closed again. Several threads
    may ask.
    """

    def __init__(
        self,
        url: SecretStr,
        clock: Clock,
        metrics: Metrics,
        *,
        backoff: Backoff = PROBE_BACKOFF,
        watch: DependencyWatch | None = None,
    ) -> None:
        """Connects later. `backoff`: the pauses before each probe. Raises ConfigError."""
        self._watch = watch or DependencyWatch(SESSIONS_REDIS, clock)
        self._client = redis_client("sessions_redis", url, _TIMEOUT)
        self._clock = clock
        self._metrics = metrics
        self._backoff = backoff
        self.circuit = Circuit.CLOSED
        """Set by a thread that asks, and while the circuit is open by the one that probes."""
        self._opening = threading.Lock()
        self._failures = 0
        """How many requests and probes have failed in a row."""
        self._closing = threading.Event()
        self._probing: threading.Thread | None = None
        self._refusal_logged_at = -_REFUSAL_LOG_INTERVAL

    def ask(self, commands: Sequence[Command]) -> list[object] | None:
        """Return the replies to the commands, after one round trip; None if Redis can't be asked now.

        The reply to a command that Redis refuses is the error. Text comes as bytes. Blocks for half a second at most
        to connect, and as long for the answer.
        """
        return self._ask(commands)

    def probe(self) -> None:
        """Ping Redis, unless it is known to fail. Raises StoreError."""
        if self._ask([("PING",)], by_probe=True) is None:
            raise StoreError(self._watch.state.problem)

    def close(self) -> None:
        """Stop probing. Waits for a probe that is under way, but not for one that hangs."""
        self._closing.set()
        if self._probing is not None:
            self._probing.join(2 * _TIMEOUT)
        self._client.close()

    def _ask(self, commands: Sequence[Command], *, by_probe: bool = False) -> list[object] | None:
        if self.circuit is Circuit.OPEN:
            return None
        began = self._clock.monotonic()
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        try:
            replies: list[object] = pipeline.execute(raise_on_error=False)
        except (redis.RedisError, OSError) as error:
            self._open_circuit(error)
            return None
        finally:
            self._metrics.redis_seconds.observe(self._clock.monotonic() - began)
        if self.circuit is Circuit.HALF_OPEN:
            log.info("Redis answers again")
            self.circuit, self._failures = Circuit.CLOSED, 0
        if not self._note_refusals(replies):
            self._watch.worked(self._clock.monotonic() - began, by_probe=by_probe)
        return replies

    def _open_circuit(self, error: Exception) -> None:
        with self._opening:
            if self.circuit is Circuit.OPEN:  # for another thread, whose request failed too
                return
            self._count_failure()
            self._watch.failed(str(error))
            if self.circuit is Circuit.CLOSED:
                log.warning("Redis can't be asked: recording goes on without it", error=str(error))
            self.circuit = Circuit.OPEN
            self._probing = threading.Thread(target=self._probe, name="probe Redis", daemon=True)
            self._probing.start()

    def _probe(self) -> None:
        """Ping Redis until it answers, and half-open the circuit."""
        while not self._closing.wait(self._backoff.pause(self._failures)):
            began = self._clock.monotonic()
            try:
                self._client.ping()
            except (redis.RedisError, OSError):
                self._count_failure()
            else:
                self._watch.worked(self._clock.monotonic() - began)
                self.circuit = Circuit.HALF_OPEN
                return

    def _count_failure(self) -> None:
        self._failures += 1
        self._metrics.redis_failures.inc()

    def _note_refusals(self, replies: Sequence[object]) -> bool:
        """Return whether Redis refuses commands, as it does without memory or as a replica. Count and log it."""
        refusal = next((reply for reply in replies if isinstance(reply, redis.RedisError)), None)
        if refusal is None:
            return False
        self._watch.failed(f"refuses commands: {refusal}")
        self._metrics.redis_failures.inc()
        now = self._clock.monotonic()
        if now - self._refusal_logged_at >= _REFUSAL_LOG_INTERVAL:
            self._refusal_logged_at = now
            log.warning("Redis refuses commands: recording goes on without it", error=str(refusal))
        return True
