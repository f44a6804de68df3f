"""Stores: what is read from outside at the start and again and again in the background, such as the teams."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from recording_worker.clock import Clock
from recording_worker.errors import BootError, StoreError, WorkerError
from recording_worker.metrics import Metrics

log = structlog.get_logger()

_EARLY_SECONDS = 60.0
"""An early refresh begins this long after the last one began, or later."""
_RETRY_SECONDS = 30.0
"""After a refresh that failed, the next one comes this soon, where the interval is longer."""
_SAME_FAILURE_SECONDS = 300.0
"""How often a failure that goes on is logged."""
_MOST_REJECTED_LINES = 20
"""How many rejected entries of one reading are logged one by one."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Reading(Generic[Value]):
    """What was read from a store."""

    value: Value
    entries: int
    """How many entries are in it."""
    rejected: Sequence[str] = ()
    """Of each entry that can't be used: which it is, and what is wrong with it."""


Load = Callable[[], Reading[Value] | None]
"""Reads a store; None where nothing has changed since. Raises WorkerError."""


def jittered(seconds: float) -> float:
    """Give or take a fifth, so that the processes of all hosts don't ask at once."""
    return seconds * random.uniform(0.8, 1.2)


class Refreshed(Generic[Value]):
    """The last good value of one store. Read it from any thread; `turn` belongs to one."""

    def __init__(
        self, name: str, load: Load[Value], clock: Clock, metrics: Metrics, *, interval: float, stale_after: float
    ) -> None:
        """Reads the store. Raises BootError where it can't be, ConfigError where it is wrong."""
        self.name = name
        self._load = load
        self._interval = interval
        self._stale_after = stale_after
        self._clock = clock
        self._metrics = metrics
        self._rejected: set[str] = set()
        self._failure = ""
        self._failure_told = 0.0
        self._hurried = False
        self.woken = threading.Event()
        """Set when the time of the next refresh has changed."""
        self.readings = 0
        """How many there were so far; those that found nothing changed or failed don't count."""
        try:
            reading = load()
        except StoreError as error:
            raise BootError(f"{name} can't be read: {error}") from error
        assert reading is not None, "a first reading has nothing to be the same as"
        self.value: Value = reading.value
        """What was read last."""
        self._tried = clock.monotonic()
        self._pause = jittered(interval)
        self._succeeded(reading)

    @property
    def due(self) -> float:
        """Monotonic seconds of the next refresh."""
        return self._tried + (min(_EARLY_SECONDS, self._pause) if self._hurried else self._pause)

    def hurry(self) -> None:
        """Ask for an early refresh: as soon as a minute has passed since the last. Never blocks."""
        self._hurried = True
        self.woken.set()

    def stale(self) -> str:
        """That the value is older than it may be, and why; empty where it is not."""
        age = self._clock.monotonic() - self._read_at
        if age <= self._stale_after:
            return ""
        return f"{self.name} were last read {age:.0f} s ago" + (f": {self._failure}" if self._failure else "")

    def turn(self) -> None:
        """Refresh, where it is time to. Raises nothing: a failure keeps the value, is counted and logged."""
        if self._clock.monotonic() < self.due:
            return
        self._hurried = False  # before reading: what is asked for from here on may not be in it
        self._tried = self._clock.monotonic()
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
            self._tell_rejected(reading.rejected)

    def _failed(self, failure: str) -> None:
        self._pause = jittered(min(_RETRY_SECONDS, self._interval))
        self._metrics.store_reads.labels(self.name, "failed").inc()
        now = self._clock.monotonic()
        if failure != self._failure or now - self._failure_told >= _SAME_FAILURE_SECONDS:
            log.warning("can't be read: what was read before stays", store=self.name, error=failure)
            self._failure, self._failure_told = failure, now

    def _tell_rejected(self, rejected: Sequence[str]) -> None:
        """Log each that was not rejected the time before."""
        news = [line for line in rejected if line not in self._rejected]
        for line in news[:_MOST_REJECTED_LINES]:
            log.warning("entry can't be used", store=self.name, entry=line)
        if len(news) > _MOST_REJECTED_LINES:
            log.warning("more entries can't be used", store=self.name, entries=len(news) - _MOST_REJECTED_LINES)
        self._rejected = set(rejected)


class Stores:
    """The stores of a process, each refreshed on a thread of its own, so that one that hangs holds up no other."""

    def __init__(self, clock: Clock, metrics: Metrics, *, interval: float, stale_after: float) -> None:
        """`interval`: seconds from refresh to refresh. `stale_after`: seconds after which a value is too old."""
        self._clock = clock
        self._metrics = metrics
        self._interval = interval
        self._stale_after = stale_after
        self._stores: list[Refreshed[object]] = []
        self._closing = False

    def read(self, name: str, load: Load[Value], most_seconds: float | None = None) -> Refreshed[Value]:
        """Read a store, to be refreshed once `start` is called, at least every `most_seconds`.

        `name` is what it holds, for people and metrics. Raises BootError and ConfigError.
        """
        interval = self._interval if most_seconds is None else min(self._interval, most_seconds)
        store = Refreshed(name, load, self._clock, self._metrics, interval=interval, stale_after=self._stale_after)
        self._stores.append(store)  # type: ignore[arg-type] # only what does not touch its value is called
        return store

    def start(self) -> None:
        """Refresh in the background from now on. The threads don't keep the process from exiting."""
        for store in self._stores:
            threading.Thread(target=self._run, args=(store,), name=f"refresh {store.name}", daemon=True).start()

    def stale(self) -> str:
        """Which values are older than they may be, and why; empty where none is."""
        return "; ".join(filter(None, (store.stale() for store in self._stores)))

    def close(self) -> None:
        """Refresh no more. Does not wait for a refresh in flight."""
        self._closing = True
        for store in self._stores:
            store.woken.set()

    def _run(self, store: Refreshed[object]) -> None:
        while not self._closing:
            store.turn()
            store.woken.wait(max(0.0, store.due - self._clock.monotonic()))
            store.woken.clear()
