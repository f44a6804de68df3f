"""Diagnosis: how the host is, and what holds it up, in a few words."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from recording_worker.processes.supervisor.history import History
from recording_worker.processes.supervisor.status import Status, WorkerStatus

_KEEPS_UP_SECONDS = 60.0
"""A host that is less behind than this keeps up: a batch alone may be some 10 s old."""
_SILENT_SECONDS = 4.0
"""A worker that says nothing for this long stands still: its loop reports every second."""
_BUSY = 0.85
"""Share of its time above which something is busy all the time."""
_MOST = 0.7
"""Share of the lag above which one partition is what lags."""

Level = Literal["good", "warning", "bad"]


class Diagnosis(NamedTuple):
    """How the host is."""

    level: Level
    text: str


class Bottleneck(NamedTuple):
    """What holds it up."""

    who: str
    """A few words; empty if nothing holds it up."""
    why: str


def diagnose(status: Status) -> Diagnosis:
    """Return whether the host is well."""
    if status.reasons:
        return Diagnosis("bad", "Not ready")
    if failing := [each.dependency.title for each in status.dependencies if each.failing_seconds]:
        return Diagnosis(
            "warning", f"Recording, but {' and '.join(failing)} {'fails' if len(failing) == 1 else 'fail'}"
        )
    if stopped := sum(1 for at in status.partitions if at.stopped):
        return Diagnosis(
            "warning", f"Recording, but {stopped} {'partition is' if stopped == 1 else 'partitions are'} stopped"
        )
    if status.lag_messages and (silent := _silent(status)):
        return Diagnosis(
            "warning", f"Recording, but {_names(silent)} {'stands' if len(silent) == 1 else 'stand'} still"
        )
    return Diagnosis("good", "Recording")


def find_bottleneck(status: Status, history: History, now: float) -> Bottleneck:
    """Return what holds the host up. `now` is in seconds since 1970."""
    for each in status.dependencies:
        if each.dependency.needed and each.failing_seconds:
            return Bottleneck(each.dependency.title, each.problem)
    if status.lag_messages and (silent := _silent(status)):
        seconds = max(each.silent_seconds for each in silent)
        why = f"Silent for {seconds:.0f} s: stopped from outside, hung, or waiting for a flush."
        return Bottleneck(_names(silent).capitalize(), why)
    lag = status.lag_seconds(now)
    if status.lag_messages == 0 or (lag is not None and lag < _KEEPS_UP_SECONDS):
        return Bottleneck("", "It keeps up with what comes in.")
    running = sum(1 for each in status.workers if each.state == "running")
    if not running:
        return Bottleneck("Workers", "None is running.")
    if not status.partitions:
        return Bottleneck("Consumer group", "It has given this host no partition yet.")
    flushing = history.rate("flush_seconds") / running
    if flushing >= _BUSY:
        return Bottleneck("Flushes", f"Workers flush {flushing:.0%} of the time: storage or Kafka takes too long.")
    if busy := _busy(history.cpu()):
        return busy
    behind = max(status.partitions, key=lambda at: at.lag or 0)
    if (behind.lag or 0) >= _MOST * status.lag_messages and len(status.partitions) > 1:
        return Bottleneck(f"Partition {behind.number}", f"It has {behind.lag:,} of {status.lag_messages:,} messages.")
    return Bottleneck("Reading from Kafka", "Workers have time, and no flush holds them up: they wait for messages.")


def _silent(status: Status) -> list[WorkerStatus]:
    """Return the workers that stand still."""
    return [each for each in status.workers if each.silent_seconds >= _SILENT_SECONDS]


def _names(workers: Sequence[WorkerStatus]) -> str:
    return f"worker{'s' if len(workers) > 1 else ''} {', '.join(str(each.number) for each in workers)}"


def _busy(cpu: Mapping[int, float]) -> Bottleneck | None:
    """Return that the CPU of some workers is busy, if it is."""
    busy = sorted(worker for worker, cores in cpu.items() if cores >= _BUSY)
    if not busy:
        return None
    if len(busy) == len(cpu):
        return Bottleneck("CPU", "All workers are busy: more workers or hosts would help.")
    return Bottleneck(
        f"CPU of worker {', '.join(map(str, busy))}", "Others have time: its partitions are the busy ones."
    )
