from hypothesis import given
from hypothesis import strategies as st

from recording_worker.processes.supervisor.assignment import Move, assign_partitions, relieving_move

partition_sets = st.sets(st.integers(0, 60), max_size=40)
worker_sets = st.sets(st.integers(0, 20), min_size=1, max_size=8)
currents = st.one_of(
    st.dictionaries(st.integers(0, 60), st.integers(0, 20), max_size=60),
    # few workers that hold many: these hold more than their share
    st.lists(st.integers(0, 3), min_size=61, max_size=61).map(lambda holders: dict(enumerate(holders))),
)


def loads(assigned: dict[int, int], workers: set[int]) -> dict[int, int]:
    return {worker: sum(1 for holder in assigned.values() if holder == worker) for worker in workers}


@given(partition_sets, worker_sets, currents)
def test_every_partition_has_exactly_one_worker_and_loads_differ_by_one_at_most(
    partitions: set[int], workers: set[int], current: dict[int, int]
) -> None:
    assigned = assign_partitions(partitions, workers, current)
    assert assigned.keys() == partitions
    assert set(assigned.values()) <= workers
    load = loads(assigned, workers).values()
    assert max(load) - min(load) <= 1


@given(partition_sets, worker_sets, currents)
def test_as_few_partitions_move_as_balance_allows(
    partitions: set[int], workers: set[int], current: dict[int, int]
) -> None:
    assigned = assign_partitions(partitions, workers, current)
    kept = sum(1 for number in partitions if current.get(number) == assigned[number])
    # the most any balanced assignment could keep: the fullest workers keep one more than the share
    share, remainder = divmod(len(partitions), len(workers))
    held = loads({number: worker for number, worker in current.items() if number in partitions}, workers)
    fullest_first = sorted(held.values(), reverse=True)
    assert kept == sum(min(load, share + (place < remainder)) for place, load in enumerate(fullest_first))


@given(partition_sets, worker_sets, currents)
def test_a_balanced_assignment_stays_as_it_is(partitions: set[int], workers: set[int], current: dict[int, int]) -> None:
    assigned = assign_partitions(partitions, workers, current)
    assert assign_partitions(partitions, workers, assigned) == assigned


def test_an_overloaded_worker_gives_up_what_is_over_its_share() -> None:
    assigned = assign_partitions(range(7), [0, 1, 2], dict.fromkeys(range(7), 1))
    assert loads(assigned, {0, 1, 2}) == {0: 2, 1: 3, 2: 2}
    assert [number for number, worker in assigned.items() if worker == 1] == [0, 1, 2]


def test_new_partitions_go_to_whoever_has_least() -> None:
    assert assign_partitions([0, 1, 2, 3, 4], [0, 1], {0: 0, 1: 0, 2: 1}) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 0}


def test_what_a_revocation_left_uneven_is_evened_out() -> None:
    assigned = assign_partitions([0, 2, 4, 6], [0, 1], {0: 0, 2: 0, 4: 0, 6: 0})
    assert loads(assigned, {0, 1}) == {0: 2, 1: 2}


def test_more_workers_than_partitions_leaves_some_idle() -> None:
    assigned = assign_partitions([7], range(4), {7: 3})
    assert assigned == {7: 3}


def test_no_workers_no_assignment() -> None:
    assert assign_partitions([1, 2], [], {}) == {}


lag_tables = st.dictionaries(
    st.integers(0, 5), st.dictionaries(st.integers(0, 9), st.integers(0, 100_000), max_size=6), max_size=6
).map(lambda workers: {w: {w * 10 + number: lag for number, lag in held.items()} for w, held in workers.items()})
"""Worker → partition → lag; no partition twice."""


def relieve(lags: dict[int, dict[int, int]], pinned: set[int] | None = None) -> Move | None:
    return relieving_move(lags, pinned or set(), idle_lag=100, least_relief=1_000)


def apply(lags: dict[int, dict[int, int]], move: Move) -> dict[int, dict[int, int]]:
    after = {worker: dict(held) for worker, held in lags.items()}
    after[move.taker][move.partition] = after[move.giver].pop(move.partition)
    return after


def test_an_idle_worker_takes_the_partition_that_halves_the_lag_best() -> None:
    assert relieve({0: {0: 9_000, 2: 5_000, 4: 4_000}, 1: {1: 50, 3: 0}}) == Move(0, 0, 1)
    assert relieve({0: {0: 100, 2: 5_000, 4: 4_000}, 1: {}}) == Move(2, 0, 1)


def test_a_worker_that_has_something_to_read_takes_nothing() -> None:
    assert relieve({0: {0: 9_000, 2: 5_000}, 1: {1: 101}}) is None


def test_a_partition_that_has_all_the_lag_stays() -> None:
    assert relieve({0: {0: 1_000_000, 2: 0, 4: 999}, 1: {}}) is None
    assert relieve({0: {0: 1_000_000}, 1: {}}) is None


def test_a_worker_that_can_be_helped_is_helped_where_the_one_that_lags_most_can_not() -> None:
    assert relieve({0: {0: 1_000_000}, 1: {1: 5_000, 3: 5_000}, 2: {}}) == Move(1, 1, 2)


def test_limits_count_as_idle_and_as_relief() -> None:
    assert relieve({0: {0: 1_000, 2: 1_100}, 1: {1: 100}}) == Move(0, 0, 1), "idle at 100, relieved by 1,000"
    assert relieve({0: {0: 1_000, 2: 1_099}, 1: {1: 100}}) is None, "relieved by 999"


def test_of_idle_workers_the_one_with_fewest_partitions_takes() -> None:
    assert relieve({0: {0: 5_000, 2: 5_000}, 1: {1: 0, 3: 0}, 2: {4: 0}}) == Move(0, 0, 2)


def test_pinned_partitions_stay() -> None:
    assert relieve({0: {0: 9_000, 2: 5_000}, 1: {}}, pinned={0}) == Move(2, 0, 1)
    assert relieve({0: {0: 9_000, 2: 5_000}, 1: {}}, pinned={0, 2}) is None


def test_without_another_worker_nothing_moves() -> None:
    assert relieve({}) is None
    assert relieve({0: {0: 9_000, 1: 9_000}}) is None


@given(lag_tables, st.sets(st.integers(0, 60)))
def test_a_move_takes_off_at_least_what_is_asked_and_none_is_made_back(
    lags: dict[int, dict[int, int]], pinned: set[int]
) -> None:
    move = relieve(lags, pinned)
    if move is None:
        return
    assert move.partition in lags[move.giver]
    assert move.partition not in pinned
    assert sum(lags[move.taker].values()) <= 100
    after = apply(lags, move)
    pair = (move.giver, move.taker)
    assert max(sum(after[worker].values()) for worker in pair) <= sum(lags[move.giver].values()) - 1_000
    again = relieve(after)
    assert again is None or again.partition != move.partition


@given(lag_tables)
def test_moves_come_to_an_end(lags: dict[int, dict[int, int]]) -> None:
    """Were nothing read and nothing produced, so that only moves change the lags."""
    partitions = sum(len(held) for held in lags.values())
    for _ in range(partitions + 1):
        move = relieve(lags)
        if move is None:
            return
        lags = apply(lags, move)
    raise AssertionError("more moves than partitions")
