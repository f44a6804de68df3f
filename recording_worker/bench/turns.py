"""Cases measured in turns, by CPU time, and what can be said about two series of rounds."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

_TURN_SECONDS = 0.04
"""The least CPU seconds of a turn."""
_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure. `run` does it once."""

    name: str
    run: Callable[[], object]
    size: int
    """The bytes of uncompressed messages that a run handles."""


def measure(cases: Sequence[Case], rounds: int, on_round: Callable[[], None]) -> dict[str, list[float]]:
    """Return each case's name → the CPU seconds per GB of each round. All threads of this process count.

    In each round each case has a turn, so that a disturbance hits all of them. One more round warms up.
    """
    repeats = {case.name: max(1, round(_TURN_SECONDS / max(_seconds(case, 1), 1e-6))) for case in cases}
    found: dict[str, list[float]] = {case.name: [] for case in cases}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for case in cases:
                times = repeats[case.name]
                found[case.name].append(_seconds(case, times) / times / case.size * 1e9)
            gc.collect()
            on_round()
    finally:
        gc.enable()
    return found


def _seconds(case: Case, times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        case.run()
    return time.process_time() - started


def spread(rounds: Sequence[float]) -> float:
    """Return how far the middle half of the rounds lies apart, as a share of the median."""
    first, median, third = statistics.quantiles(rounds, n=4, method="inclusive")
    return (third - first) / median


def interval(rounds: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % confidence interval of the median, by resampling."""
    random = Random(0)
    return _middle([statistics.median(random.choices(rounds, k=len(rounds))) for _ in range(_RESAMPLES)])


def ratio_interval(new: Sequence[float], old: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % confidence interval of the new median divided by the old one, by resampling both."""
    random = Random(0)
    return _middle(
        [
            statistics.median(random.choices(new, k=len(new))) / statistics.median(random.choices(old, k=len(old)))
            for _ in range(_RESAMPLES)
        ]
    )


def _middle(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) * 25 // 1000], ordered[len(ordered) * 975 // 1000]
