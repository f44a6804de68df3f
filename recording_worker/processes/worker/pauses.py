"""LoopPauses: how long the worker's loop does something else than messages."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from recording_worker.metrics import Metrics


class LoopPauses:
    """Measures the pause in each turn of the loop.

    A pause is the rest of a turn that is not busy. The loop is busy while it polls, runs the steps over messages, or
    waits because the session batch is full. The rest is handing over a session batch, orders and reports. A garbage
    collection stops the loop whenever it runs, on whichever thread, so its time is added.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._seconds = metrics.loop_pause_seconds
        self._turned = time.perf_counter()
        self._busy = 0.0
        self._collection_started = 0.0
        self._collected = 0.0
        gc.callbacks.append(self._on_collection)

    def close(self) -> None:
        """Measure no garbage collections any more."""
        gc.callbacks.remove(self._on_collection)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count this time as busy."""
        started = time.perf_counter()
        yield
        self.busy_for(time.perf_counter() - started)

    def busy_for(self, seconds: float) -> None:
        """Count this much of the turn as busy."""
        self._busy += seconds

    def end_turn(self, idle: bool) -> None:
        """Observe the pause of the turn that ends here, unless it is `idle`: then no message had to wait."""
        now = time.perf_counter()
        if not idle:
            self._seconds.observe(max(0.0, now - self._turned - self._busy) + self._collected)
        self._turned, self._busy, self._collected = now, 0.0, 0.0

    def _on_collection(self, phase: Literal["start", "stop"], _: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._collection_started = now
        else:
            self._collected += now - self._collection_started
