"""StatusCollector: the metrics that the supervisor serves of its status, and of its workers' processes."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from recording_worker import __version__
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.slot import WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus
from recording_worker.processes.supervisor.usage import usage_of


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
        yield Metrics.brokers_known.collect({(): status.brokers_known})
        yield Metrics.brokers_connected.collect({(): status.brokers_connected})
        dependencies = {each.dependency.name: each for each in status.dependencies}
        yield Metrics.dependency_failing.collect({(name,): each.failing_seconds for name, each in dependencies.items()})
        yield Metrics.dependency_answered.collect(
            {(name,): each.answered_at for name, each in dependencies.items() if each.answered_at is not None}
        )
        yield Metrics.dependency_round_trip.collect(
            {(name,): each.seconds for name, each in dependencies.items() if each.seconds is not None}
        )


def _of_workers(status: Status) -> Iterator[Metric]:
    uses = {each.number: use for each in status.workers if each.pid and (use := usage_of(each.pid))}
    counted = Counter(at.worker for at in status.partitions)
    held = {each.number: counted[each.number] for each in status.workers}
    read = {each.number: each.read_at for each in status.workers if each.read_at is not None}
    flushed = {each.number: each.last_flush.at for each in status.workers if each.last_flush is not None}
    committed = {each.number: each.committed_at for each in status.workers if each.committed_at is not None}
    yield Metrics.worker_up.collect(_by_number({each.number: _is_up(each) for each in status.workers}))
    yield Metrics.worker_partitions.collect(_by_number(held))
    yield Metrics.worker_memory.collect(_by_number({number: use.memory_bytes for number, use in uses.items()}))
    yield Metrics.worker_memory_budget.collect({(): status.memory_budget} if status.memory_budget else {})
    yield Metrics.worker_cpu.collect(_by_number({number: use.cpu_seconds for number, use in uses.items()}))
    yield Metrics.worker_read.collect(_by_number(read))
    yield Metrics.worker_flushed.collect(_by_number(flushed))
    yield Metrics.worker_committed.collect(_by_number(committed))


def _of_partitions(partitions: tuple[PartitionStatus, ...]) -> Iterator[Metric]:
    now = time.time()
    lags = {at.number: at.lag for at in partitions if at.lag is not None}
    until = {at.number: at.recorded_until for at in partitions if at.recorded_until}
    waits = {at.number: max(0.0, now - at.behind_since) for at in partitions if at.lag and at.behind_since is not None}
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
