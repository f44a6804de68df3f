"""A worker's loop among fakes, for the tests of what it does."""

from collections.abc import Callable, Collection, Mapping
from multiprocessing import Pipe
from typing import Any

from recording_worker.kafka.consumer import OffsetGap, PartitionFault, PartitionState
from recording_worker.messages import Message
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.halt_on_dlq import DlqLimits
from recording_worker.processes.control import Assign, Channel, FromWorker, Placement, SupervisorChannel, ToWorker
from recording_worker.processes.worker.assignment import Assignment
from recording_worker.processes.worker.loop import Worker
from recording_worker.recording.session_batch import FlushReason
from recording_worker.settings.model import Settings
from tests.builders import FakeClock


class FakeConsumer:
    def __init__(self) -> None:
        self.assigned: dict[int, int] = {}
        self.coming: list[Message] = []
        self.faults: list[PartitionFault] = []
        self.gaps: list[OffsetGap] = []
        self.polls = 0
        self.closed = False

    def assign(self, offsets: Mapping[int, int]) -> None:
        self.assigned.update(offsets)

    def unassign(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self.assigned.pop(partition, None)

    def consume(self, most: int, _timeout: float) -> list[Message]:
        self.polls += 1
        batch, self.coming = self.coming[:most], self.coming[most:]
        return batch

    def take_faults(self) -> list[PartitionFault]:
        faults, self.faults = self.faults, []
        return faults

    def take_gaps(self) -> list[OffsetGap]:
        gaps, self.gaps = self.gaps, []
        return gaps

    def states(self) -> dict[int, PartitionState]:
        return {partition: PartitionState(offset, 100) for partition, offset in self.assigned.items()}

    def close(self) -> None:
        self.closed = True


class FakeManager:
    """Holds messages by partition."""

    def __init__(self) -> None:
        self.held: dict[int, list[int]] = {}
        self.raw_bytes = 0
        self.skip: Callable[[int, int], object] = lambda _start, _end: None

    @property
    def current(self) -> "FakeManager":
        return self

    @property
    def offsets(self) -> dict[int, int]:
        return {partition: offsets[-1] + 1 for partition, offsets in self.held.items()}

    @property
    def is_empty(self) -> bool:
        return not self.held

    def partition(self, _number: int) -> "FakeManager":
        return self

    def swap(self) -> dict[int, list[int]]:
        held, self.held, self.raw_bytes = self.held, {}, 0
        return held

    def discard_partitions(self, partitions: Collection[int]) -> int:
        return sum(1 for partition in partitions if self.held.pop(partition, None))


class FakeFlusher:
    """Flushes when waited for; or fails, or takes a number of waits."""

    def __init__(self) -> None:
        self.flushed: list[tuple[dict[int, list[int]], FlushReason]] = []
        self.busy = False
        self.takes_waits = 0
        self.on_wait: Callable[[], object] | None = None
        self.fault: Exception | None = None
        self.closed = False

    def submit(self, held: dict[int, list[int]], reason: FlushReason) -> None:
        assert not self.busy
        self.flushed.append((held, reason))
        self.busy = True

    def wait(self, _timeout: float) -> bool:
        self.takes_waits -= 1
        if self.on_wait is not None:
            self.on_wait()
        self.busy = self.takes_waits > 0
        return not self.busy

    def raise_if_failed(self) -> None:
        if self.fault:
            raise self.fault

    def close(self) -> None:
        self.closed = True


class FakePipeline:
    """Records messages, as many a run as it is told to; the rest is cut off. Like the real one it has a flush step.

    Partitions of `halting` halt, as by its step for that.
    """

    def __init__(self, manager: FakeManager, flusher: FakeFlusher, full_at: int) -> None:
        self.manager, self.flusher, self.full_at = manager, flusher, full_at
        self.runs: list[list[int]] = []
        self.most = 1000
        self.halting: dict[int, str] = {}

    def run(self, batch: MessageBatch) -> list[Message]:
        rest = batch.cut(self.most) if len(batch) > self.most else []
        self.runs.append(list(batch.offsets))
        for partition in self.halting.keys() & set(batch.partitions):
            batch.halt(partition, self.halting[partition])
            self.manager.discard_partitions([partition])
        for partition, offset in zip(batch.partitions, batch.offsets, strict=True):
            if partition in batch.halts:
                continue
            self.manager.held.setdefault(partition, []).append(offset)
            self.manager.raw_bytes += 10
        if self.manager.raw_bytes >= self.full_at and not self.flusher.busy:
            self.flusher.submit(self.manager.swap(), FlushReason.SIZE)
        return rest


class Bench:
    """A worker among fakes, and the supervisor's end of its pipe."""

    def __init__(self, **settings: Any) -> None:
        ours, theirs = Pipe()
        self.supervisor: SupervisorChannel = Channel(ours)
        self.theirs: Any = Channel(theirs)
        self.consumer, self.manager, self.flusher = FakeConsumer(), FakeManager(), FakeFlusher()
        self.settings = Settings(max_batch_bytes=50, **settings)
        self.pipeline = FakePipeline(self.manager, self.flusher, full_at=50)
        self.assignment = Assignment()
        self.culprits: dict[tuple[int, int], str] = {}
        self.dlq_limits = DlqLimits(consecutive=3, ratio=None, window=1)
        self.clock, self.metrics = FakeClock(), Metrics()
        fakes: dict[str, Any] = {
            "consumer": self.consumer,
            "pipeline": self.pipeline,
            "manager": self.manager,
            "flusher": self.flusher,
        }
        self.worker = Worker(
            self.settings,
            channel=self.theirs,
            assignment=self.assignment,
            culprits=self.culprits,
            dlq_limits=self.dlq_limits,
            stale=lambda: "",
            clock=self.clock,
            metrics=self.metrics,
            **fakes,
        )

    def turn(self, *orders: ToWorker) -> list[FromWorker]:
        """A turn of the loop with these orders; returns what the worker says."""
        for order in orders:
            assert self.supervisor.try_send(order)
        self.worker.turn()
        return list(self.supervisor.receive())

    def comes(self, *messages: Message) -> None:
        self.consumer.coming += messages

    def close(self) -> None:
        self.supervisor.close()
        self.theirs.close()


def assigned(*partitions: int, epoch: int = 1, offset: int = 0) -> Assign:
    return Assign(tuple(Placement(partition, epoch, offset) for partition in partitions))
