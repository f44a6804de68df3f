"""StatusCollector: the metrics that the supervisor serves of its status, and of its workers' processes."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from recording_worker import __version__
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.slot import WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class StatusCollector(Collector):
    """Asks for the status whenever it is scraped."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status
        self._started = time.time()

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield Metrics.build_info.collect({(__version__,): 1})
        yield Metrics.start_time.collect({(): self._started})
        yield from _of_workers(status)
        yield from _of_partitions(status.partitions)
        dependencies = {each.dependency.name: each for each in status.dependencies}
        yield Metrics.dependency_failing.collect({(name,): each.failing_seconds for name, each in dependencies.items()})
        yield Metrics.dependency_answered.collect(
            {(name,): each.answered_at for name, each in dependencies.items() if each.answered_at is not None}
        )
        yield Metrics.dependency_round_trip.collect(
            {(name,): each.seconds for name, each in dependencies.items() if each.seconds is not None}
        )


class ProcessUse(NamedTuple):
    """What a process takes."""

    memory_bytes: int
    """What is resident."""
    cpu_seconds: float


def use_of(pid: int) -> ProcessUse | None:
    """Return what a process takes; None if the system does not say, or there is no such process."""
    try:
        memory = Path(f"/proc/{pid}/statm").read_text().split()
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # the name may hold anything
    except OSError:
        return None
    return ProcessUse(int(memory[1]) * _PAGE_BYTES, (int(stat[11]) + int(stat[12])) / _TICKS)


def _of_workers(status: Status) -> Iterator[Metric]:
    uses = {each.number: use for each in status.workers if each.pid and (use := use_of(each.pid))}
    held = {each.number: sum(at.worker == each.number for at in status.partitions) for each in status.workers}
    flushed = {each.number: each.flushed_at for each in status.workers if each.flushed_at is not None}
    yield Metrics.worker_up.collect(_by_number({each.number: _is_up(each) for each in status.workers}))
    yield Metrics.worker_partitions.collect(_by_number(held))
    yield Metrics.worker_memory.collect(_by_number({number: use.memory_bytes for number, use in uses.items()}))
    yield Metrics.worker_memory_budget.collect({(): status.memory_budget} if status.memory_budget else {})
    yield Metrics.worker_cpu.collect(_by_number({number: use.cpu_seconds for number, use in uses.items()}))
    yield Metrics.worker_flushed.collect(_by_number(flushed))


def _of_partitions(partitions: tuple[PartitionStatus, ...]) -> Iterator[Metric]:
    now = time.time()
    lags = {at.number: at.lag for at in partitions if at.lag is not None}
    until = {at.number: at.recorded_until for at in partitions if at.recorded_until}
    waits = {number: max(0.0, now - until[number]) for number, lag in lags.items() if lag and number in until}
    nothing_waits = {number: 0.0 for number, lag in lags.items() if not lag}
    yield Metrics.lag.collect(_by_number(lags))
    yield Metrics.partition_lag.collect(_by_number(waits | nothing_waits))
    yield Metrics.recorded_until.collect(_by_number(until))
    yield Metrics.partitions_isolated.collect({(): sum(1 for at in partitions if at.isolated)})
    yield Metrics.partitions_stopped.collect({(): sum(1 for at in partitions if at.stopped)})


def _by_number(values: Mapping[int, float]) -> dict[tuple[str, ...], float]:
    return {(str(number),): value for number, value in values.items()}


def _is_up(worker: WorkerStatus) -> int:
    return int(worker.state is WorkerState.RUNNING)
