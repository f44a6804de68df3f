"""How a worker reads isolated partitions: workers died while they read them."""

import pytest

from recording_worker.errors import FlushError, StepError
from recording_worker.kafka.consumer import PartitionFault
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.processes.control import Assign, Decoded, Decoding, Discard, FromWorker, Placement, Revoke
from recording_worker.recording.session_batch import FlushReason
from tests.unit.worker_bench import Bench, Held, assigned, message


@pytest.mark.parametrize("bench", [{"max_batch_bytes": 1_000_000}], indirect=True)
def test_isolated_reading_takes_one_message_at_a_time_and_reports_each(bench: Bench) -> None:
    bench.comes(message(7), message(3, partition=1), message(8))
    order = Assign(assigned(0, 1, epoch=4).placements, isolated=(0,), poison={(0, 8): "SIGSEGV"})
    assert bench.turn(order) == [Decoding(Placement(0, 4, 7)), Decoded()]
    assert bench.pipeline.runs == [[7]]
    assert bench.turn() == [Decoding(Placement(1, 4, 3)), Decoded()], "also of its other partitions"
    assert bench.turn() == [Decoding(Placement(0, 4, 8)), Decoded()]
    assert bench.turn() == []
    assert bench.pipeline.runs == [[7], [3], [8], []]
    assert bench.take_held() == {0: [7], 1: [3]}, "the poison message is not decoded"


@pytest.mark.parametrize("bench", [{"cut_after": 1}], indirect=True)
def test_messages_that_wait_are_read_one_by_one_too(bench: Bench) -> None:
    bench.comes(*(message(offset) for offset in range(3)))
    bench.turn(assigned(0))
    polls = bench.consumer.polls
    bench.turn(Assign(assigned(1).placements, isolated=(1,)))
    bench.turn()
    assert bench.pipeline.runs == [[0], [1], [2]]
    assert bench.consumer.polls == polls


def test_isolated_reading_waits_for_a_flush_and_fails_if_the_flush_does(bench: Bench) -> None:
    bench.comes(*(message(offset) for offset in range(5)))
    bench.turn(assigned(0))
    assert bench.flusher.busy
    bench.flusher.takes_waits = 2
    bench.comes(message(5))
    assert bench.turn(Assign(assigned(1).placements, isolated=(1,))) == []
    assert bench.pipeline.runs == [[0, 1, 2, 3, 4]]
    assert bench.turn() == [Decoding(Placement(0, 1, 5)), Decoded()]
    bench.flusher.fault = FlushError("the disk is full")
    bench.comes(message(6))
    with pytest.raises(FlushError, match="the disk is full"):
        bench.turn()
    assert list(bench.supervisor.receive()) == [], "no message is reported for that"


@pytest.mark.parametrize("bench", [{"max_batch_bytes": 1_000_000}], indirect=True)
def test_messages_of_a_flush_that_died_are_flushed_alone(bench: Bench) -> None:
    bench.comes(message(7), message(3, partition=1), message(8), message(9))
    order = Assign(assigned(0, 1).placements, isolated=(0,), alone_before={0: 9})
    flushed: list[list[Held]] = []
    said: list[FromWorker] = []
    for turn in range(4):
        said += bench.turn(*[order][turn:])
        flushed.append([held for held, _ in bench.flusher.flushed])
    assert flushed[0] == [{0: [7]}], "before it is said to be finished"
    assert flushed[1] == [{0: [7]}], "partition 1 is not told to be flushed so"
    assert flushed[2] == [{0: [7]}, {1: [3]}, {0: [8]}], "first what is held"
    assert flushed[3] == flushed[2]
    assert bench.take_held() == {0: [9]}
    assert {reason for _, reason in bench.flusher.flushed} == {FlushReason.ISOLATION}
    assert said[::2] == [Decoding(Placement(at, 1, offset)) for at, offset in ((0, 7), (1, 3), (0, 8), (0, 9))]


@pytest.mark.parametrize("bench", [{"max_batch_bytes": 1_000_000}], indirect=True)
def test_a_message_is_finished_only_after_its_flush_alone(bench: Bench) -> None:
    bench.flusher.on_wait = lambda: heard.extend(bench.supervisor.receive()) if bench.flusher.flushed else None
    heard: list[FromWorker] = []
    bench.comes(message(7))
    said = bench.turn(Assign(assigned(0).placements, isolated=(0,), alone_before={0: 8}))
    assert (heard, said) == ([Decoding(Placement(0, 1, 7))], [Decoded()])


@pytest.mark.parametrize("bench", [{"max_batch_bytes": 100_000_000}], indirect=True)
def test_few_messages_are_flushed_together_in_isolation(bench: Bench) -> None:
    bench.comes(*(message(offset) for offset in range(250)))
    bench.turn(Assign(assigned(0).placements, isolated=(0,)))
    for _ in range(249):
        bench.turn()
    assert [held for held, _ in bench.flusher.flushed] == [{0: [*range(100)]}, {0: [*range(100, 200)]}]


def test_flushing_alone_goes_with_the_partition(bench: Bench) -> None:
    bench.turn(Assign(assigned(0).placements, isolated=(0,), alone_before={0: 100}))
    bench.turn(Revoke((0,)))
    bench.comes(message(8))
    bench.turn(Assign(assigned(0, epoch=2).placements, isolated=(0,)))
    assert bench.take_held() == {0: [8]}


def test_the_supervisor_knows_at_which_message_a_step_raised(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_batch: MessageBatch) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(bench.pipeline, "run", fail)
    bench.comes(message(0))
    with pytest.raises(StepError, match="a step of the pipeline raised ValueError\\('a fault'\\)"):
        bench.turn(Assign(assigned(0).placements, isolated=(0,)))
    assert list(bench.supervisor.receive()) == [Decoding(Placement(0, 1, 0))], "it is not through with it"


def test_a_worker_error_is_not_taken_for_a_fault_of_a_step(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_batch: MessageBatch) -> None:
        raise FlushError("the disk is full")

    monkeypatch.setattr(bench.pipeline, "run", fail)
    bench.comes(message(0))
    with pytest.raises(FlushError, match="the disk is full"):
        bench.turn(assigned(0))


def test_a_partition_that_stopped_does_not_isolate_the_others(bench: Bench) -> None:
    bench.turn(Assign(assigned(0, 1).placements, isolated=(1,)))
    bench.consumer.faults = [PartitionFault(1, 40, "partition 1 stopped: a hole")]
    bench.turn()
    bench.comes(message(0), message(1))
    assert bench.turn() == []
    assert bench.pipeline.runs[-1] == [0, 1]


def test_isolation_and_poison_messages_go_with_their_partition(bench: Bench) -> None:
    poison = {(0, 8): "SIGSEGV", (1, 9): "SIGBUS"}
    bench.turn(Assign(assigned(0, 1).placements, isolated=(0, 1), poison=poison))
    bench.turn(Revoke((0,)))
    bench.turn(Discard((1,)))
    bench.comes(message(8, partition=0), message(9, partition=1))
    assert bench.turn(assigned(0, 1, epoch=2)) == []
    assert bench.pipeline.runs[-1] == [8, 9]
    assert bench.take_held() == {0: [8], 1: [9]}
