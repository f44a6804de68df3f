"""Stages: how long each stage of a flush takes."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from recording_worker.clock import Clock
from recording_worker.metrics import Metrics

Item = TypeVar("Item")


class Stages:
    """The stages of one flush. The time of a stage within another counts for the inner one only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._inner = 0.0
        """Time of inner stages within the stage that is measured."""

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Measure a stage."""
        started, outer, self._inner = self._clock.monotonic(), self._inner, 0.0
        yield
        spent = self._clock.monotonic() - started
        self._seconds[stage] += spent - self._inner
        self._inner = outer + spent

    def timed(self, stage: str, items: Iterator[Item]) -> Iterator[Item]:
        """Give the items. The time in which they are made is a stage."""
        while True:
            with self.of(stage):
                item = next(items, None)
            if item is None:
                return
            yield item

    @property
    def seconds(self) -> dict[str, float]:
        """Stage → its time so far."""
        return dict(self._seconds)

    def observe(self, metrics: Metrics) -> None:
        """Observe the stages that were measured."""
        for stage, seconds in self._seconds.items():
            metrics.flush_stage_seconds.labels(stage).observe(seconds)
