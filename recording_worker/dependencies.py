"""The services and folders that the worker depends on, and whether each of them works.

What the worker asks of them anyway says most. Where nothing is asked, a `Prober` asks something small.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from recording_worker.clock import Clock, SystemClock
from recording_worker.errors import WorkerError

log = structlog.get_logger()

_PATIENCE = 1.5
"""Seconds that a small request may be on its way before it counts as failed."""
_QUIET_SECONDS = 1.5
"""How long a dependency may say nothing good before it is probed."""
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something outside of the process."""

    name: str
    """Its name in metrics and JSON."""
    title: str
    """Its name for people."""
    without: str
    """What happens while it fails."""
    needed: bool = False
    """Whether the service is not ready if it fails for long."""


KAFKA = Dependency("kafka", "Kafka", "Nothing is read and nothing is delivered.", needed=True)
STORAGE = Dependency("storage", "Storage", "No batch is stored. Nothing more is read once memory is full.", needed=True)
TEAMS_POSTGRES = Dependency("teams_postgres", "PostgreSQL (teams)", "The teams that were read last are used.")
RESTRICTIONS_REDIS = Dependency(
    "restrictions_redis", "Redis (restrictions)", "The restrictions that were read last are used."
)
SESSIONS_REDIS = Dependency(
    "sessions_redis", "Redis (sessions)", "New sessions are not limited. Sessions get their team's retention period."
)
KEY_STORE = Dependency(
    "key_store", "Key store", "Nothing is recorded: no session is stored in the clear because of an error.", needed=True
)
DEPENDENCIES = {
    each.name: each for each in (KAFKA, STORAGE, KEY_STORE, TEAMS_POSTGRES, RESTRICTIONS_REDIS, SESSIONS_REDIS)
}


class DependencyState(NamedTuple):
    """What one process knows of a dependency."""

    name: str
    answered_at: float | None = None
    """When it last did what was asked, seconds since 1970; None if it never did."""
    failing_since: float | None = None
    """When the first request was sent that it has not done since; None if it works. Monotonic seconds, which all
    processes of a host share."""
    problem: str = ""
    """What is wrong, for people."""
    seconds: float | None = None
    """How long the last request took that it did."""


class DependencyWatch:
    """What this process knows of one dependency. Any thread may tell and ask."""

    def __init__(self, dependency: Dependency, clock: Clock | None = None) -> None:
        self.dependency = dependency
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        """When a small request was sent that is on its way."""
        self._told_by_use = False
        """Whether a request of the work itself has failed, which no probe can disprove."""
        self._worked_at: float | None = None
        """When it last did what was asked, monotonic seconds."""
        self._state = DependencyState(dependency.name)

    def asks(self) -> None:
        """Note that a small request is sent now. `worked` or `failed` says how it ended."""
        self._asked_at = self._clock.monotonic()

    def worked(self, seconds: float, *, by_probe: bool = False) -> None:
        """Note that a request was done, and how long it took."""
        with self._lock:
            self._asked_at = None
            if by_probe and self._told_by_use:
                return
            self._told_by_use = False
            self._worked_at = self._clock.monotonic()
            self._state = DependencyState(
                self.dependency.name, answered_at=self._clock.now_ms() / 1000, seconds=max(0.0, seconds)
            )

    def failed(self, problem: str, *, by_probe: bool = False) -> None:
        """Note that a request was not done, and why."""
        with self._lock:
            began = self._asked_at if self._asked_at is not None else self._clock.monotonic()
            self._asked_at = None
            self._told_by_use = self._told_by_use or not by_probe
            since = self._state.failing_since
            self._state = self._state._replace(failing_since=began if since is None else since, problem=problem)

    @property
    def state(self) -> DependencyState:
        """What is known now. A request that is on its way for too long counts as failed."""
        with self._lock:
            state, asked_at = self._state, self._asked_at
        if state.failing_since is None and asked_at is not None and self._clock.monotonic() - asked_at > _PATIENCE:
            return state._replace(failing_since=asked_at, problem="no answer")
        return state

    def is_quiet(self, seconds: float) -> bool:
        """Return whether it has said nothing good for this long."""
        worked_at = self._worked_at
        return worked_at is None or self._clock.monotonic() - worked_at >= seconds


Probe = Callable[[], None]
"""Asks a dependency for something small, within a few seconds. Raises WorkerError, whose text says what is wrong."""


class Prober:
    """Probes a dependency that has said nothing for a while, in a thread. The process may exit meanwhile."""

    def __init__(self, watch: DependencyWatch, probe: Probe, clock: Clock) -> None:
        self._watch = watch
        self._probe = probe
        self._clock = clock
        self._closing = threading.Event()
        threading.Thread(target=self._run, name=f"probe {watch.dependency.name}", daemon=True).start()

    def close(self) -> None:
        """Stop probing. Does not wait for a probe that is on its way."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            if self._watch.is_quiet(_QUIET_SECONDS):
                self._ask()

    def _ask(self) -> None:
        began = self._clock.monotonic()
        self._watch.asks()
        try:
            self._probe()
        except WorkerError as error:
            self._watch.failed(str(error), by_probe=True)
        except Exception as error:
            log.exception("a probe failed by a fault", dependency=self._watch.dependency.name)
            self._watch.failed(repr(error), by_probe=True)
        else:
            self._watch.worked(self._clock.monotonic() - began, by_probe=True)


class Dependencies:
    """What one process depends on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watches: dict[str, DependencyWatch] = {}
        self._probes: dict[str, Probe] = {}
        self._probers: list[Prober] = []
        self._closes: list[Callable[[], None]] = []

    def watch(
        self, dependency: Dependency, probe: Probe | None = None, *, close: Callable[[], None] | None = None
    ) -> DependencyWatch:
        """Return the watch of a dependency, which is one of this process from now on.

        `probe`: how to ask it if it has said nothing good for a while. `close` closes what the probes keep.
        """
        if close is not None:
            self._closes.append(close)
        if probe is not None:
            self._probes[dependency.name] = probe
        return self._watches.setdefault(dependency.name, DependencyWatch(dependency, self._clock))

    def start_probing(self) -> None:
        """Probe all that can be probed from now on. One process of a host is enough."""
        for name, probe in self._probes.items():
            self._probers.append(Prober(self._watches[name], probe, self._clock))

    def states(self) -> tuple[DependencyState, ...]:
        """Return what is known of each."""
        return tuple(watch.state for watch in list(self._watches.values()))

    def close(self) -> None:
        """Stop probing. Does not wait for probes that are on their way."""
        for prober in self._probers:
            prober.close()
        for close in self._closes:
            close()
