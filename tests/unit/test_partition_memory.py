"""What happens to a partition reaches all that is kept about it: its holder, its offsets, and its crashes."""

import pytest

from recording_worker.errors import TransactionTimeoutError
from recording_worker.formats.accounts import Account
from recording_worker.kafka.consumer import PartitionState
from recording_worker.kafka.log_ends import FoundEnds
from recording_worker.kafka.offsets import Position
from recording_worker.processes.control import Assign, PartitionStopped, Placement
from recording_worker.processes.supervisor.memory import PartitionMemory
from recording_worker.processes.supervisor.slot import WorkerExit
from tests.builders import FakeClock


@pytest.fixture
def memory() -> PartitionMemory:
    made = PartitionMemory(range(2), FakeClock())
    made.table.add(range(4))
    return made


def place(memory: PartitionMemory, **offsets: int) -> dict[int, Placement]:
    """Place partitions p0, p1, … at these committed offsets; return partition → placement."""
    starts = {int(name[1:]): (Position(offset), offset) for name, offset in offsets.items()}
    return {at.partition: at for order in memory.place(starts).values() for at in order.placements}


def end(worker: int, code: int = -11, *, stuck: bool = False, frozen: bool = False) -> WorkerExit:
    return WorkerExit(worker, 4711, code, booted=True, was_stuck=stuck, was_frozen=frozen, restart_delay=0.5)


def isolated(memory: PartitionMemory) -> set[int]:
    return {at.number for at in memory.status() if at.isolated}


def test_a_flush_moves_offsets_of_current_epochs_only(memory: PartitionMemory) -> None:
    old = place(memory, p0=5)[0]
    memory.worker_ended(end(0), blame=False)
    new = place(memory, p0=5)[0]
    account = Account(5, 9, dropped=4)
    memory.on_flushed(0, [old._replace(offset=7)], {}, committed=True)
    assert memory.offsets.newest(0) == Position(5)
    memory.on_flushed(0, [new._replace(offset=9, account=account)], {}, committed=True)
    assert memory.offsets.newest(0) == Position(9, account)
    assert memory.offsets.pending() == {}


def test_offsets_of_a_flush_without_a_transaction_are_pending(memory: PartitionMemory) -> None:
    at = place(memory, p0=5)[0]
    memory.on_flushed(0, [at._replace(offset=9)], {}, committed=False)
    assert memory.offsets.pending() == {0: Position(9)}


def test_a_first_offset_is_committed_before_its_partition_is_placed(memory: PartitionMemory) -> None:
    assert set(memory.to_place({0, 1})) == {0, 1, 2, 3}
    orders = memory.place({0: (None, 40), 1: (Position(7), 0)})
    assert orders == {1: Assign((Placement(1, 1, 7),))}
    assert set(memory.to_place({0, 1})) == {2, 3}, "0 waits for its commit"
    memory.offsets.committed({0: Position(40)})
    assert set(memory.to_place({0, 1})) == {0, 2, 3}


def test_an_order_says_what_is_known_about_crashes(memory: PartitionMemory) -> None:
    for _ in range(2):
        place(memory, p0=5, p2=8)
        memory.worker_ended(end(0), blame=True)
    placed = place(memory, p0=5, p2=8)
    memory.on_decoding(0, placed[0]._replace(offset=6))
    memory.worker_ended(end(0), blame=True)
    [order] = memory.place({0: (Position(5), 5), 2: (Position(8), 8)}).values()
    assert set(order.isolated) == {0, 2}
    assert order.poison == {(0, 6): "SIGSEGV"}
    assert memory.pinned() == {0, 2}


def test_an_end_without_blame_isolates_nothing(memory: PartitionMemory) -> None:
    for _ in range(3):
        place(memory, p0=5)
        memory.worker_ended(end(0), blame=False)
    assert isolated(memory) == set()
    assert memory.table.holders([0]) == {}


def test_a_decoded_message_is_not_blamed(memory: PartitionMemory) -> None:
    at = place(memory, p0=5)[0]
    memory.on_decoding(0, at)
    memory.on_decoded(0)
    memory.worker_ended(end(0), blame=True)
    assert memory.place({0: (Position(5), 5)})[0].poison == {}


def test_a_message_of_an_earlier_epoch_is_not_blamed(memory: PartitionMemory) -> None:
    at = place(memory, p0=5)[0]
    memory.on_decoding(0, at._replace(epoch=at.epoch - 1))
    memory.worker_ended(end(0), blame=True)
    assert memory.place({0: (Position(5), 5)})[0].poison == {}


@pytest.mark.parametrize(
    ("ended", "at_once"),
    [
        (end(0), True),
        (end(0, -9, stuck=True), True),
        (end(0, -9, stuck=True, frozen=True), False),
        (end(0, -9), False),
    ],
    ids=["crashed", "stuck", "stopped from outside", "killed"],
)
def test_a_worker_that_ends_by_itself_blames_its_message_at_once(
    memory: PartitionMemory, ended: WorkerExit, at_once: bool
) -> None:
    memory.on_decoding(0, place(memory, p0=5)[0])
    memory.worker_ended(ended, blame=True)
    assert memory.place({0: (Position(5), 5)})[0].poison == ({(0, 5): str(ended)} if at_once else {})


def test_a_worker_that_dies_in_a_flush_in_isolation_has_its_messages_flushed_alone(memory: PartitionMemory) -> None:
    for _ in range(2):
        place(memory, p0=5, p2=8)
        memory.worker_ended(end(0), blame=True)
    placed = place(memory, p0=5, p2=8)
    memory.on_flushing(0, [placed[0]._replace(offset=30), placed[2]._replace(offset=9, epoch=0)])
    memory.worker_ended(end(0), blame=True)
    [order] = memory.place({0: (Position(5), 5), 2: (Position(8), 8)}).values()
    assert order.alone_before == {0: 30}, "what is said of an earlier epoch is stale"
    assert order.poison == {}


def test_a_flush_that_ended_is_not_blamed(memory: PartitionMemory) -> None:
    for _ in range(2):
        place(memory, p0=5)
        memory.worker_ended(end(0), blame=True)
    at = place(memory, p0=5)[0]
    memory.on_flushing(0, [at._replace(offset=30)])
    memory.on_flushed(0, [at._replace(offset=30)], {}, committed=True)
    memory.worker_ended(end(0), blame=True)
    assert memory.place({0: (Position(30), 30)})[0].alone_before == {}


@pytest.mark.parametrize(
    ("last", "how"),
    [
        (end(0, -9, stuck=True), "SIGKILL, after it was stuck"),
        (end(0, TransactionTimeoutError.exit_code), "a flush whose transaction took too long"),
    ],
)
def test_a_message_whose_flush_lasts_is_blamed_the_second_time(
    memory: PartitionMemory, last: WorkerExit, how: str
) -> None:
    """The first time the storage or a broker may have hung. The next worker is ready only once both answer."""
    for _ in range(2):
        place(memory, p0=5)
        memory.worker_ended(end(0), blame=True)
    poison: list[object] = []
    for said_alone in (False, True, True):
        at = place(memory, p0=5)[0]
        memory.on_flushing(0, [at._replace(offset=6)])
        if said_alone:
            memory.on_decoding(0, at)
        memory.worker_ended(last, blame=True)
        poison.append(memory.place({0: (Position(5), 5)})[0].poison)
    assert poison == [{}, {}, {(0, 5): how}]


def test_partitions_that_stopped_or_are_read_to_their_end_are_not_isolated(memory: PartitionMemory) -> None:
    for _ in range(3):
        placed = place(memory, p0=5, p2=8)
        memory.on_stopped(0, PartitionStopped(placed[0], "a hole"))
        memory.on_progress(0, {2: PartitionState(8, 8)})
        memory.worker_ended(end(0), blame=True)
    assert isolated(memory) == set()


def test_isolation_ends_with_the_poison_message(memory: PartitionMemory) -> None:
    memory.on_decoding(0, place(memory, p0=5)[0])
    memory.worker_ended(end(0), blame=True)
    at = place(memory, p0=5)[0]
    assert memory.take_recovered() == []
    memory.on_flushed(0, [at._replace(offset=6)], {}, committed=True)
    assert memory.take_recovered() == [0]
    assert memory.take_recovered() == []


def test_a_partition_given_away_leaves_nothing_behind(memory: PartitionMemory) -> None:
    memory.on_decoding(0, place(memory, p0=5)[0])
    memory.worker_ended(end(0), blame=True)
    memory.remove([0])
    assert [at.number for at in memory.status()] == [1, 2, 3]
    memory.table.add([0])
    order = memory.place({0: (Position(3), 3)})[0]
    assert (order.placements[0].offset, order.isolated, order.poison) == (3, (), {})


def test_a_status_shows_what_is_known(memory: PartitionMemory) -> None:
    at = place(memory, p0=5)[0]
    memory.on_progress(0, {0: PartitionState(7, 12)})
    first, *_, last = memory.status()
    assert (first.number, first.worker, first.committed, first.position, first.high) == (0, 0, 5, 7, 12)
    assert (last.number, last.worker, last.committed, last.position, last.high) == (3, None, None, None, None)
    memory.on_progress(0, {0: PartitionState(7, -1)})
    assert memory.status()[0].high is None, "not known yet"
    memory.on_stopped(0, PartitionStopped(at, "too many", halted=True))
    assert memory.status()[0].stopped == "too many"
    assert memory.pinned() == {0}
    memory.on_released(0, [at])
    assert memory.status()[0].worker is None


def test_lag_grows_while_the_worker_says_nothing(memory: PartitionMemory) -> None:
    place(memory, p0=5)
    memory.on_ends(FoundEnds(1_000.0, {0: 5, 9: 70}))
    [at, *_] = memory.status()
    assert (at.lag, at.behind_since) == (0, 1_000.0), "the worker has not reported yet"
    memory.on_ends(FoundEnds(1_002.0, {0: 45}))
    [at, *_] = memory.status()
    assert (at.high, at.lag, at.behind_since) == (45, 40, 1_000.0)
    memory.on_ends(FoundEnds(1_004.0, {}))
    assert memory.status()[0].lag == 40, "no answer changes nothing"


def test_the_end_of_a_log_is_what_is_known_best(memory: PartitionMemory) -> None:
    place(memory, p0=5)
    memory.on_ends(FoundEnds(1_000.0, {0: 45}))
    memory.on_progress(0, {0: PartitionState(7, 60)})
    assert memory.status()[0].high == 60
    memory.on_ends(FoundEnds(1_002.0, {0: 70}))
    assert memory.status()[0].high == 70


def test_the_end_of_a_deleted_topic_is_forgotten(memory: PartitionMemory) -> None:
    place(memory, p0=5)
    memory.on_ends(FoundEnds(1_000.0, {0: 45}))
    memory.remove([0])
    memory.table.add([0])
    assert memory.status()[0].high is None
