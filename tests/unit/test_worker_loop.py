from collections.abc import Collection, Iterator, Mapping
from multiprocessing import Pipe
from typing import Any

import pytest

from recording_worker import metrics
from recording_worker.batch import Message, MessageBatch
from recording_worker.errors import FlushError
from recording_worker.kafka.consumer import PartitionFault, PartitionState
from recording_worker.recording.session_batch import FlushReason
from recording_worker.settings import Settings
from recording_worker.supervisor.control import (
    Assign,
    Channel,
    Discard,
    FromWorker,
    PartitionStopped,
    Placement,
    Progress,
    Released,
    Revoke,
    Stop,
    SupervisorChannel,
    ToWorker,
)
from recording_worker.worker.holdings import Holdings
from recording_worker.worker.loop import Worker
from tests.builders import FakeClock, message


class FakeConsumer:
    def __init__(self) -> None:
        self.assigned: dict[int, int] = {}
        self.coming: list[Message] = []
        self.faults: list[PartitionFault] = []
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

    def states(self) -> dict[int, PartitionState]:
        return {partition: PartitionState(offset, 100) for partition, offset in self.assigned.items()}

    def close(self) -> None:
        self.closed = True


class FakeManager:
    """Holds messages by partition."""

    def __init__(self) -> None:
        self.held: dict[int, list[int]] = {}
        self.raw_bytes = 0

    @property
    def current(self) -> "FakeManager":
        return self

    @property
    def offsets(self) -> dict[int, int]:
        return {partition: offsets[-1] + 1 for partition, offsets in self.held.items()}

    @property
    def is_empty(self) -> bool:
        return not self.held

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
        self.fault: Exception | None = None
        self.closed = False

    def submit(self, held: dict[int, list[int]], reason: FlushReason) -> None:
        assert not self.busy
        self.flushed.append((held, reason))
        self.busy = True

    def wait(self, _timeout: float) -> bool:
        self.takes_waits -= 1
        self.busy = self.takes_waits > 0
        return not self.busy

    def raise_if_failed(self) -> None:
        if self.fault:
            raise self.fault

    def close(self) -> None:
        self.closed = True


class FakePipeline:
    """Records messages, as many a run as it is told to; the rest is cut off. Like the real one it has a flush step."""

    def __init__(self, manager: FakeManager, flusher: FakeFlusher, full_at: int) -> None:
        self.manager, self.flusher, self.full_at = manager, flusher, full_at
        self.runs: list[list[int]] = []
        self.most = 1000

    def run(self, batch: MessageBatch) -> list[Message]:
        rest = batch.cut(self.most) if len(batch) > self.most else []
        self.runs.append(list(batch.offsets))
        for partition, offset in zip(batch.partitions, batch.offsets, strict=True):
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
        self.holdings = Holdings()
        self.clock = FakeClock()
        fakes: dict[str, Any] = {
            "consumer": self.consumer,
            "pipeline": self.pipeline,
            "manager": self.manager,
            "flusher": self.flusher,
        }
        self.worker = Worker(self.settings, channel=self.theirs, holdings=self.holdings, clock=self.clock, **fakes)

    def turn(self, *orders: ToWorker) -> list[FromWorker]:
        """A turn of the loop with these orders; returns what the worker says."""
        for order in orders:
            assert self.supervisor.try_send(order)
        self.worker.turn()
        return list(self.supervisor.receive())

    def comes(self, *messages: Message) -> None:
        self.consumer.coming += messages


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.supervisor.close()
    made.theirs.close()


def assigned(*partitions: int, epoch: int = 1, offset: int = 0) -> Assign:
    return Assign(tuple(Placement(partition, epoch, offset) for partition in partitions))


def test_reads_what_it_was_given_and_runs_the_pipeline(bench: Bench) -> None:
    bench.comes(message(7), message(8))
    bench.turn(assigned(0, offset=7))
    assert bench.consumer.assigned == {0: 7}
    assert bench.pipeline.runs == [[7, 8]]
    bench.turn()
    assert bench.pipeline.runs[-1] == [], "an empty batch, so that a session batch is flushed by its age"


def test_messages_a_batch_was_cut_by_lead_the_next(bench: Bench) -> None:
    bench.pipeline.most = 2
    bench.comes(*(message(offset) for offset in range(3)))
    bench.turn(assigned(0))
    bench.comes(message(3))
    polls = bench.consumer.polls
    bench.turn()
    assert bench.consumer.polls == polls, "no poll while there is a rest"
    bench.turn()
    assert bench.pipeline.runs == [[0, 1], [2], [3]]


def test_a_full_batch_behind_a_flush_stops_the_polling_but_not_the_orders(bench: Bench) -> None:
    bench.turn(assigned(0, 1))
    bench.flusher.takes_waits = 3
    bench.comes(*(message(offset) for offset in range(5)))
    bench.turn()
    assert bench.flusher.busy, "the first batch is on its way"
    bench.comes(*(message(offset) for offset in range(5, 11)))
    bench.turn()
    polls = bench.consumer.polls
    bench.comes(message(11))
    bench.turn()
    bench.turn(assigned(2, epoch=2))
    assert bench.consumer.polls == polls
    assert bench.consumer.assigned.keys() == {0, 1, 2}
    bench.turn()
    assert [held for held, _ in bench.flusher.flushed] == [{0: [0, 1, 2, 3, 4]}, {0: [5, 6, 7, 8, 9, 10]}]
    assert bench.consumer.polls == polls, "the full batch went first"
    bench.turn()
    assert bench.pipeline.runs[-1] == [11]


def test_the_rest_of_a_cut_batch_waits_while_the_session_batch_is_full(bench: Bench) -> None:
    bench.turn(assigned(0))
    bench.pipeline.most = 5
    bench.flusher.takes_waits = 3
    bench.comes(*(message(offset) for offset in range(12)))
    for _ in range(8):
        bench.turn()
    assert [run for run in bench.pipeline.runs if run] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def test_revoked_partitions_are_flushed_then_released(bench: Bench) -> None:
    bench.pipeline.most = 2
    bench.comes(message(0), message(0, partition=1), message(1))
    bench.turn(assigned(0, 1))
    bench.flusher.takes_waits = 3
    said = bench.turn(Revoke((0,)))
    assert bench.flusher.flushed == [({0: [0], 1: [0]}, FlushReason.REVOKE)]
    assert said == [Released((Placement(0, 1, -1),))]
    assert bench.consumer.assigned.keys() == {1}
    assert [1] not in bench.pipeline.runs, "the rest of a revoked partition is another's to read"
    assert bench.holdings.placements({0: 5, 1: 6}) == (Placement(1, 1, 6),)


def test_revoking_what_nothing_is_held_of_flushes_nothing(bench: Bench) -> None:
    bench.comes(message(0))
    bench.turn(assigned(0, 1))
    assert bench.turn(Revoke((1,))) == [Released((Placement(1, 1, -1),))]
    assert bench.flusher.flushed == []


def test_a_flush_in_flight_is_waited_for_before_partitions_are_released(bench: Bench) -> None:
    bench.comes(*(message(offset) for offset in range(5)))
    bench.turn(assigned(0))
    assert bench.flusher.busy
    bench.flusher.takes_waits = 2
    assert bench.turn(Revoke((0,))) == [Released((Placement(0, 1, -1),))]
    assert not bench.flusher.busy


def test_lost_partitions_are_discarded(bench: Bench) -> None:
    bench.comes(message(0), message(0, partition=1))
    bench.turn(assigned(0, 1))
    assert bench.turn(Discard((0,))) == []
    assert bench.manager.held == {1: [0]}
    assert bench.flusher.flushed == []
    assert bench.holdings.placements({0: 1, 1: 1}) == (Placement(1, 1, 1),)
    assert metrics.SESSIONS_REVOKED._value.get() == 1
    bench.comes(message(1, partition=1))
    bench.turn()
    assert metrics.SESSIONS_REVOKED._value.get() == 0, "recording goes on"


def test_no_partition_comes_back_while_a_flush_may_hold_messages_of_the_time_before(bench: Bench) -> None:
    bench.comes(*(message(offset) for offset in range(5)))
    bench.turn(assigned(0))
    assert bench.flusher.busy
    bench.flusher.takes_waits = 4
    bench.turn(Discard((0,)), assigned(0, epoch=2))
    assert not bench.flusher.busy
    assert bench.holdings.placements({0: 9}) == (Placement(0, 2, 9),)


def test_stop_flushes_everything_and_ends(bench: Bench) -> None:
    bench.comes(message(0), message(0, partition=1))
    bench.turn(assigned(0, 1))
    bench.supervisor.try_send(Stop())
    bench.worker.run()
    assert bench.flusher.flushed == [({0: [0], 1: [0]}, FlushReason.STOP)]
    assert bench.consumer.assigned == {}
    assert bench.consumer.closed
    assert bench.flusher.closed


def test_a_flush_that_failed_on_stop_is_raised(bench: Bench) -> None:
    bench.comes(message(0))
    bench.turn(assigned(0))
    bench.flusher.fault = FlushError("the disk is full")
    bench.supervisor.try_send(Stop())
    with pytest.raises(FlushError, match="the disk is full"):
        bench.worker.run()


def test_a_stopped_partition_is_reported_under_its_hand_over(bench: Bench) -> None:
    bench.turn(assigned(0, 1, epoch=5))
    bench.consumer.faults = [PartitionFault(1, 40, "partition 1 stopped: a hole")]
    assert bench.turn() == [PartitionStopped(Placement(1, 5, 40), "partition 1 stopped: a hole")]


def test_progress_is_told_once_a_second(bench: Bench) -> None:
    assert bench.turn(assigned(0, offset=4)) == []
    bench.clock.ms += 1000
    assert bench.turn() == [Progress({0: PartitionState(4, 100)}, flushing=False)]
    assert bench.turn() == []


def test_without_a_supervisor_it_ends(bench: Bench) -> None:
    bench.supervisor.close()
    with pytest.raises(EOFError):
        bench.worker.run()


def test_one_partition_can_be_watched(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(debug_partition=1)
    bench.comes(message(0), message(6, partition=1, value=b"1234"), message(7, partition=1, value=None))
    bench.turn(assigned(0, 1))
    [line] = capsys.readouterr().out.splitlines()
    for text in ("partition=1", "messages=2", "first_offset=6", "last_offset=7", "bytes=4"):
        assert text in line
