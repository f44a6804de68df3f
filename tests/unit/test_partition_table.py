from recording_worker.kafka.consumer import PartitionState
from recording_worker.kafka.offsets import Position
from recording_worker.processes.control import Placement
from recording_worker.processes.supervisor.partitions import OwnedPartition, PartitionTable


def table_of(partitions: int, workers: int) -> PartitionTable:
    table = PartitionTable(range(workers))
    table.add(range(partitions))
    return table


def placed(table: PartitionTable, *numbers: int) -> dict[int, Placement]:
    orders = table.place(dict.fromkeys(numbers, Position(10)))
    return {placement.partition: placement for placements in orders.values() for placement in placements}


def partition(table: PartitionTable, number: int) -> OwnedPartition:
    return next(at for at in table if at.number == number)


def test_partitions_wait_until_their_worker_is_ready() -> None:
    table = table_of(4, workers=2)
    assert table.to_place(ready=set()) == []
    assert table.to_place(ready={1}) == [1, 3]
    placed(table, 1, 3)
    assert table.to_place(ready={0, 1}) == [0, 2]


def test_every_placement_has_an_epoch_of_its_own() -> None:
    table = table_of(1, workers=1)
    first = placed(table, 0)[0]
    table.worker_gone(0)
    second = placed(table, 0)[0]
    assert first.epoch != second.epoch
    assert not table.is_current(0, first)
    assert table.is_current(0, second)


def test_what_a_worker_says_about_a_lost_partition_is_stale() -> None:
    table = table_of(1, workers=1)
    before = placed(table, 0)[0]
    table.remove([0])
    assert not table.is_current(0, before)
    table.add([0])
    again = placed(table, 0)[0]
    table.released(0, [before])
    assert table.holders([0]) == {0: (0,)}, "the release was of the earlier epoch"
    table.released(0, [again])
    assert table.holders([0]) == {}


def test_partitions_of_a_dead_worker_stay_with_its_slot() -> None:
    table = table_of(4, workers=2)
    placed(table, 0, 1, 2, 3)
    table.worker_gone(1)
    assert table.to_place(ready={0}) == []
    assert table.to_place(ready={0, 1}) == [1, 3]


def test_what_is_left_after_a_revocation_is_spread_again() -> None:
    table = table_of(4, workers=2)
    placed(table, 0, 1, 2, 3)
    table.remove([1, 3])
    [moving] = table.to_move()
    assert table.ask_for([moving]) == {0: (moving,)}
    assert table.to_move() == [], "asked for once"
    assert table.to_place({0, 1}) == [], "not before it is released"
    table.released(0, [Placement(moving, partition(table, moving).epoch, -1)])
    assert table.to_place({0, 1}) == [moving]
    assert placed(table, moving)[moving]
    assert table.holders([moving]) == {1: (moving,)}


def test_revoking_asks_each_holder_once() -> None:
    table = table_of(4, workers=2)
    placed(table, 0, 1, 2)
    assert table.ask_for([0, 1, 2, 3]) == {0: (0, 2), 1: (1,)}
    assert table.ask_for([0, 1, 2, 3]) == {}
    assert table.ask_for([99]) == {}, "not ours: nobody to ask"


def test_lags_are_known_of_workers_that_have_reported_on_all_they_hold() -> None:
    table = table_of(6, workers=3)
    placed(table, 0, 1, 3, 4)
    assert table.lags([0, 1, 2]) == {2: {}}, "a worker that holds nothing has nothing to read"
    table.progress(0, {0: PartitionState(5, 9), 3: PartitionState(7, 7)})
    table.progress(1, {1: PartitionState(2, 9)})
    assert table.lags([0, 1, 2]) == {0: {0: 4, 3: 0}, 2: {}}
    table.progress(1, {4: PartitionState(0, -1)})
    assert table.lags([1]) == {}, "the log's end is not known yet"
    table.progress(1, {4: PartitionState(0, 0)})
    assert table.lags([1]) == {1: {1: 7, 4: 0}}, "an empty log has an end"
    table.progress(1, {4: PartitionState(8, 3)})
    assert table.lags([1, 2]) == {1: {1: 7, 4: 0}, 2: {}}, "a log's end may be known late"
    placed(table, 4)
    assert table.lags([1]) == {}, "nothing is known in a new epoch"


def test_progress_counts_only_from_the_holder() -> None:
    table = table_of(2, workers=2)
    placed(table, 0, 1)
    table.progress(1, {0: PartitionState(5, 9), 1: PartitionState(6, 9), 7: PartitionState(1, 1)})
    assert partition(table, 0).state is None
    assert partition(table, 1).state == PartitionState(6, 9)


def test_a_stopped_partition_stays_stopped_until_it_changes_hands() -> None:
    table = table_of(1, workers=1)
    placement = placed(table, 0)[0]
    table.stop(0, placement, "a hole", halted=True)
    assert (partition(table, 0).stopped, partition(table, 0).halted) == ("a hole", True)
    assert table.to_place({0}) == []
    table.worker_gone(0)
    assert (partition(table, 0).stopped, partition(table, 0).halted) == ("", False)
