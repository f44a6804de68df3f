"""StepTimes: how long each step takes, on the clock and on the CPU."""

import math
import time
from collections.abc import Sequence

from recording_worker.metrics import Metrics

_NOTE_SECONDS = 1.0
"""How often the metrics are told. A count costs about as much as a small step."""


class StepTimes:
    """Measures the steps of a pipeline, one after the other."""

    def __init__(self, names: Sequence[str], metrics: Metrics) -> None:
        self._counters = [(metrics.step_seconds.labels(name), metrics.step_cpu_seconds.labels(name)) for name in names]
        self._spent = [0.0] * len(names)
        self._cpu_spent = [0.0] * len(names)
        self._now = self._cpu_now = 0.0
        self._noted = -math.inf

    def begin(self) -> None:
        """Begin with the first step."""
        self._now, self._cpu_now = time.perf_counter(), time.thread_time()

    def ended(self, number: int) -> float:
        """Note that a step has ended and the next one begins. Return its seconds."""
        now, cpu_now = time.perf_counter(), time.thread_time()
        spent = now - self._now
        self._spent[number] += spent
        self._cpu_spent[number] += cpu_now - self._cpu_now
        self._now, self._cpu_now = now, cpu_now
        return spent

    def note(self) -> None:
        """Tell the metrics, unless that was done a moment ago."""
        if self._now - self._noted < _NOTE_SECONDS:
            return
        for number, (seconds, cpu_seconds) in enumerate(self._counters):
            seconds.inc(self._spent[number])
            cpu_seconds.inc(self._cpu_spent[number])
            self._spent[number] = self._cpu_spent[number] = 0.0
        self._noted = self._now
