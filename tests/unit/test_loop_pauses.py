"""What counts as a pause of the worker's loop."""

import gc
import time
from collections.abc import Iterator

import pytest

from recording_worker.metrics import Metrics
from recording_worker.processes.worker.pauses import LoopPauses

SECONDS = 0.02


class Observed:
    """Pauses of a loop, and the sum of those it has observed."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        self.pauses = LoopPauses(self._metrics)

    def end_turn(self, *, idle: bool = False) -> float:
        """Return the pause of the turn."""
        before = self._value("sum")
        self.pauses.end_turn(idle)
        return self._value("sum") - before

    def _value(self, kind: str) -> float:
        return self._metrics.registry.get_sample_value(f"recording_worker_loop_pause_seconds_{kind}") or 0.0


@pytest.fixture
def observed() -> Iterator[Observed]:
    """Only a test that asks for a garbage collection has one."""
    observed = Observed()
    gc.disable()
    yield observed
    gc.enable()
    observed.pauses.close()


def test_time_that_is_not_busy_is_a_pause(observed: Observed) -> None:
    time.sleep(SECONDS)
    assert observed.end_turn() >= SECONDS


def test_busy_time_is_no_pause(observed: Observed) -> None:
    started = time.perf_counter()
    observed.end_turn()
    with observed.pauses.busy("poll"):
        time.sleep(SECONDS)
    pause = observed.end_turn()
    assert pause <= time.perf_counter() - started - SECONDS


def test_an_idle_turn_has_no_pause(observed: Observed) -> None:
    time.sleep(SECONDS)
    started = time.perf_counter()
    assert observed.end_turn(idle=True) == 0
    assert observed.end_turn() <= time.perf_counter() - started, "the next turn begins here"


def test_each_turn_begins_with_nothing(observed: Observed) -> None:
    observed.pauses.busy_for(1000)
    assert observed.end_turn() == 0
    time.sleep(SECONDS)
    assert observed.end_turn() >= SECONDS


def test_a_garbage_collection_is_a_pause_even_while_busy(observed: Observed) -> None:
    observed.pauses.busy_for(1000)
    gc.collect()
    assert observed.end_turn() > 0
