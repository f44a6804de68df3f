"""LoopPauses: where the time of the worker's loop goes, and how long it does something else than messages."""

import gc
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from recording_worker.metrics import Metrics

Activity = Literal["poll", "flush", "steps"]

_NOTE_SECONDS = 1.0
"""How often the metrics of activities are told."""


class LoopPauses:
    """Measures the pause in each turn of the loop.

    A pause is the rest of a turn that is not busy. The loop is busy while it polls, runs the steps over messages, or
    waits because the session batch is full. The rest is handing over a session batch, orders and reports. A garbage
    collection stops the loop whenever it runs, on whichever thread, so its time is added.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._seconds = metrics.loop_pause_seconds
        self._counters = {
            activity: (metrics.loop_seconds.labels(activity), metrics.loop_cpu_seconds.labels(activity))
            for activity in ("poll", "flush", "steps", "rest")
        }
        self._spent = dict.fromkeys(self._counters, 0.0)
        self._cpu_spent = dict.fromkeys(self._counters, 0.0)
        self._began, self._cpu_began = time.perf_counter(), time.thread_time()
        """When what is measured now began."""
        self._noted = -math.inf
        self._turned = time.perf_counter()
        self._busy = 0.0
        self._collection_started = 0.0
        self._collected = 0.0
        gc.callbacks.append(self._on_collection)

    def close(self) -> None:
        """Measure no garbage collections any more."""
        gc.callbacks.remove(self._on_collection)

    @contextmanager
    def busy(self, activity: Activity) -> Iterator[None]:
        """Count this time as busy."""
        with self.active(activity):
            started = time.perf_counter()
            yield
            self.busy_for(time.perf_counter() - started)

    @contextmanager
    def active(self, activity: Activity) -> Iterator[None]:
        """Count this time as the activity's, and not as the rest."""
        self._pass("rest")
        yield
        self._pass(activity)

    def busy_for(self, seconds: float) -> None:
        """Count this much of the turn as busy."""
        self._busy += seconds

    def end_turn(self, idle: bool) -> None:
        """Observe the pause of the turn that ends here, unless it is `idle`: then no message had to wait."""
        now = time.perf_counter()
        if not idle:
            self._seconds.observe(max(0.0, now - self._turned - self._busy) + self._collected)
        self._turned, self._busy, self._collected = now, 0.0, 0.0
        self._pass("rest")
        if now - self._noted >= _NOTE_SECONDS:
            self._note()
            self._noted = now

    def _pass(self, activity: str) -> None:
        """Count the time until now as the activity's."""
        now, cpu_now = time.perf_counter(), time.thread_time()
        self._spent[activity] += now - self._began
        self._cpu_spent[activity] += cpu_now - self._cpu_began
        self._began, self._cpu_began = now, cpu_now

    def _note(self) -> None:
        """Tell the metrics."""
        for activity, (seconds, cpu_seconds) in self._counters.items():
            seconds.inc(self._spent[activity])
            cpu_seconds.inc(self._cpu_spent[activity])
            self._spent[activity] = self._cpu_spent[activity] = 0.0

    def _on_collection(self, phase: Literal["start", "stop"], _: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._collection_started = now
        else:
            self._collected += now - self._collection_started
