"""What is measured of a contender, and how runs become one set of figures."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

Histogram = dict[float, float]
"""Upper bound of a bucket → observations up to it, as Prometheus counts: each bucket includes those below it."""


_TICK = 0.01
"""Seconds of CPU time that the kernel can tell apart. A load that costs less than the start-ups vary counts as one."""


@dataclass(frozen=True, slots=True)
class StartUp:
    """What it takes to start and to stop a consumer whose topic is empty."""

    cpu_seconds: float
    seconds: float
    """From its start until it has partitions to read."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's reading of a whole topic."""

    cpu_seconds: float
    """User and system time of all its processes, from their start to their exit."""
    seconds: float
    """From its start until all offsets are committed."""
    peak_rss: int
    """Bytes; of the worker that needed most."""
    stored: int
    """Bytes of files."""
    messages: int
    """That were recorded."""
    events: int
    commit_seconds: Histogram = field(default_factory=dict)
    pause_seconds: Histogram = field(default_factory=dict)


def summary(start_ups: Sequence[StartUp], runs: Sequence[Run], load_bytes: int) -> dict[str, float | int | None]:
    """Return one contender's figures: medians over the runs, percentiles over the observations of all runs.

    The median start-up is subtracted from CPU time and wall time.
    """
    start_cpu = statistics.median(each.cpu_seconds for each in start_ups)
    start_wall = statistics.median(each.seconds for each in start_ups)
    cpu = max(statistics.median(run.cpu_seconds for run in runs) - start_cpu, _TICK)
    messages = runs[0].messages
    commits, pauses = (_merged([getattr(run, name) for run in runs]) for name in ("commit_seconds", "pause_seconds"))
    return {
        "cpu_s": round(cpu, 2),
        "cpu_s_lowest": round(min(run.cpu_seconds for run in runs) - start_cpu, 2),
        "cpu_s_highest": round(max(run.cpu_seconds for run in runs) - start_cpu, 2),
        "cpu_s_per_gb": round(cpu / load_bytes * 1e9, 2),
        "messages_per_cpu_s": round(messages / cpu),
        "start_up_cpu_s": round(start_cpu, 2),
        "wall_s": round(statistics.median(run.seconds for run in runs) - start_wall, 2),
        "peak_rss_bytes": round(statistics.median(run.peak_rss for run in runs)),
        "stored_bytes": round(statistics.median(run.stored for run in runs)),
        "messages": messages,
        "events": runs[0].events,
        "commit_s_p50": quantile(commits, 0.5),
        "commit_s_p99": quantile(commits, 0.99),
        "pause_s_p99": quantile(pauses, 0.99),
    }


def histogram(values: Sequence[float]) -> Histogram:
    """Return a histogram that keeps each value."""
    ordered = sorted(values)
    return {value: number for number, value in enumerate(ordered, 1)}


def quantile(buckets: Histogram, share: float) -> float | None:
    """Return the value that this share of the observations does not exceed; None without observations.

    Within a bucket the observations are taken to be spread evenly, as Prometheus takes them. Of those above the
    highest bound, the bound is known and nothing more.
    """
    total = max(buckets.values(), default=0)
    if not total:
        return None
    wanted, below, lower = share * total, 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted:
            if bound == inf:
                break
            inside = (wanted - below) / (count - below) if count > below else 1
            return round(lower + (bound - lower) * inside, 5)
        below, lower = count, bound
    return lower


def _merged(histograms: Sequence[Histogram]) -> Histogram:
    """Add up histograms: of equal bounds, or with a bound for each value."""
    steps: dict[float, float] = {}
    for buckets in histograms:
        below = 0.0
        for bound, count in sorted(buckets.items()):
            steps[bound] = steps.get(bound, 0) + count - below
            below = count
    merged, total = {}, 0.0
    for bound, step in sorted(steps.items()):
        total += step
        merged[bound] = total
    return merged
