from hypothesis import given
from hypothesis import strategies as st

from recording_worker.supervisor.assignment import assign_partitions

partition_sets = st.sets(st.integers(0, 60), max_size=40)
worker_sets = st.sets(st.integers(0, 20), min_size=1, max_size=8)
currents = st.dictionaries(st.integers(0, 60), st.integers(0, 20), max_size=60)


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
