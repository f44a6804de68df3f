"""Stores: what is read from outside at the start, and refreshed in the background, such as the teams."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from recording_worker.clock import Clock
from recording_worker.dependencies import DependencyWatch
from recording_worker.errors import BootError, StoreError, WorkerError
from recording_worker.metrics import Metrics

log = structlog.get_logger()

_MIN_EARLY_INTERVAL = 60.0
"""Seconds from one refresh to an early one, at least."""
_MAX_RETRY_INTERVAL = 30.0
"""Seconds from a refresh that failed to the next one, at most."""
_FAILURE_LOG_INTERVAL = 300.0
"""Seconds between two log lines about a failure that goes on."""
_MAX_REJECTED_LINES = 20
"""How many rejected entries of one reading are logged one by one."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Reading(Generic[Value]):
    """What was read from a store."""

    value: Value
    entries: int
    """How many entries are in it."""
    rejected: Sequence[str] = ()
    """One line for each entry that can't be used: which one, and what is wrong with it."""


Load = Callable[[], Reading[Value] | None]
"""Reads a store; returns None if nothing has changed since the last reading. Raises WorkerError."""


def jittered(seconds: float) -> float:
    """Return this time ± 20 %, so that the processes of all hosts don't ask at once."""
    return seconds * random.uniform(0.8, 1.2)


class Refreshed(Generic[Value]):
    """The last good value of one store. Any thread may read it; `refresh_if_due` belongs to one."""

    def __init__(
        self,
        name: str,
        load: Load[Value],
        clock: Clock,
        metrics: Metrics,
        *,
        interval: float,
        stale_after: float,
        watch: DependencyWatch | None = None,
    ) -> None:
        """Read the store. Raises BootError if it can't be read, ConfigError if its content is wrong.

        `watch` is told how the readings end.
        """
        self.name = name
        self._load = load
        self._interval = interval
        self._stale_after = stale_after
        self._clock = clock
        self._metrics = metrics
        self._watch = watch
        self._rejected: set[str] = set()
        self._failure = ""
        self._failure_logged_at = 0.0
        self._early = False
        self.woken = threading.Event()
        """Set when the next refresh is due at another time than before."""
        self.readings = 0
        """How many readings brought a value so far, the first included."""
        self._attempted_at = clock.monotonic()
        try:
            reading = load()
        except StoreError as error:
            if watch is not None:
                watch.failed(str(error))
            raise BootError(f"{name} can't be read: {error}") from error
        assert reading is not None, "a first reading has nothing to be the same as"
        self.value: Value = reading.value
        """The value that was read last."""
        self._pause = jittered(interval)
        self._succeeded(reading)

    @property
    def due(self) -> float:
        """Monotonic seconds of the next refresh."""
        return self._attempted_at + (min(_MIN_EARLY_INTERVAL, self._pause) if self._early else self._pause)

    def refresh_early(self) -> None:
        """Make the next refresh due a minute after the last one, if it is not due before. Never blocks."""
        self._early = True
        self.woken.set()

    def stale(self) -> str:
        """Return a text that says that the value is too old, and why; an empty one if it is not."""
        age = self._clock.monotonic() - self._read_at
        if age <= self._stale_after:
            return ""
        return f"{self.name} were last read {age:.0f} s ago" + (f": {self._failure}" if self._failure else "")

    def refresh_if_due(self) -> None:
        """Read the store again if it is time. Raises nothing: a failure is counted and logged, and the value stays."""
        if self._clock.monotonic() < self.due:
            return
        self._early = False  # before reading: a wish that comes from now on may need what this reading lacks
        self._attempted_at = self._clock.monotonic()
        try:
            reading = self._load()
        except WorkerError as error:
            self._failed(str(error))
        except Exception as error:
            log.exception("refresh failed by a fault", store=self.name)
            self._failed(repr(error))
        else:
            self._pause = jittered(self._interval)
            self._succeeded(reading)

    def _succeeded(self, reading: Reading[Value] | None) -> None:
        self._read_at = self._clock.monotonic()
        if self._watch is not None:
            self._watch.worked(self._read_at - self._attempted_at)
        if self._failure:
            log.info("read again", store=self.name)
            self._failure = ""
        self._metrics.store_reads.labels(self.name, "read" if reading else "unchanged").inc()
        self._metrics.store_read_at.labels(self.name).set(self._clock.now_ms() / 1000)
        if reading is not None:
            self.value = reading.value
            self.readings += 1
            self._metrics.store_entries.labels(self.name).set(reading.entries)
            self._metrics.store_rejected.labels(self.name).set(len(reading.rejected))
            self._log_rejected(reading.rejected)

    def _failed(self, failure: str) -> None:
        self._pause = jittered(min(_MAX_RETRY_INTERVAL, self._interval))
        if self._watch is not None:
            self._watch.failed(failure)
        self._metrics.store_reads.labels(self.name, "failed").inc()
        now = self._clock.monotonic()
        if failure != self._failure or now - self._failure_logged_at >= _FAILURE_LOG_INTERVAL:
            log.warning("can't be read: what was read before stays", store=self.name, error=failure)
            self._failure, self._failure_logged_at = failure, now

    def _log_rejected(self, rejected: Sequence[str]) -> None:
        """Log each entry that was not rejected by the reading before."""
        new = [line for line in rejected if line not in self._rejected]
        for line in new[:_MAX_REJECTED_LINES]:
            log.warning("entry can't be used", store=self.name, entry=line)
        if len(new) > _MAX_REJECTED_LINES:
            log.warning("more entries can't be used", store=self.name, entries=len(new) - _MAX_REJECTED_LINES)
        self._rejected = set(rejected)


class Stores:
    """The stores of a process. Each is refreshed on its own thread, so that one that hangs holds up no other."""

    def __init__(self, clock: Clock, metrics: Metrics, *, interval: float, stale_after: float) -> None:
        """`interval`: seconds from refresh to refresh. `stale_after`: seconds after which a value is too old."""
        self._clock = clock
        self._metrics = metrics
        self._interval = interval
        self._stale_after = stale_after
        self._stores: list[Refreshed[object]] = []
        self._closing = False

    def read(
        self,
        name: str,
        load: Load[Value],
        max_interval: float | None = None,
        *,
        watch: DependencyWatch | None = None,
    ) -> Refreshed[Value]:
        """Read a store now, and refresh it after `start` is called, at least every `max_interval` seconds.

        `name` says what it holds, for people and metrics. Raises BootError and ConfigError.
        """
        interval = self._interval if max_interval is None else min(self._interval, max_interval)
        store = Refreshed(
            name,
            load,
            self._clock,
            self._metrics,
            interval=interval,
            stale_after=self._stale_after,
            watch=watch,
        )
        self._stores.append(store)  # type: ignore[arg-type] # nothing here touches its value
        return store

    def start(self) -> None:
        """Refresh in the background from now on. The threads don't keep the process from exiting."""
        for store in self._stores:
            threading.Thread(target=self._run, args=(store,), name=f"refresh {store.name}", daemon=True).start()

    def stale(self) -> str:
        """Return a text that says which values are too old, and why; an empty one if none is."""
        return "; ".join(filter(None, (store.stale() for store in self._stores)))

    def close(self) -> None:
        """Stop refreshing. Does not wait for a refresh that is under way."""
        self._closing = True
        for store in self._stores:
            store.woken.set()

    def _run(self, store: Refreshed[object]) -> None:
        while not self._closing:
            store.refresh_if_due()
            store.woken.wait(max(0.0, store.due - self._clock.monotonic()))
            store.woken.clear()
