import pytest

from recording_worker.processes.supervisor.assignment import Move
from recording_worker.processes.supervisor.balance import Balancer
from tests.builders import FakeClock

UNEVEN = {0: {0: 50_000, 2: 20_000, 4: 20_000}, 1: {1: 3}}
EVEN = {0: {0: 50, 2: 40}, 1: {1: 3}}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def balancer(clock: FakeClock) -> Balancer:
    return Balancer(clock)


def moves(balancer: Balancer, clock: FakeClock, lags: dict[int, dict[int, int]], seconds: int) -> dict[int, Move]:
    """Second → move, asked once a second."""
    made = {}
    for second in range(seconds):
        move = balancer.next_move(lags, set())
        if move is not None:
            made[second] = move
        clock.ms += 1_000
    return made


def test_a_partition_moves_once_it_was_uneven_for_a_while(balancer: Balancer, clock: FakeClock) -> None:
    assert moves(balancer, clock, UNEVEN, 11) == {10: Move(0, 0, 1)}


def test_what_passes_soon_moves_nothing(balancer: Balancer, clock: FakeClock) -> None:
    for _ in range(5):
        assert moves(balancer, clock, UNEVEN, 9) == {}
        assert moves(balancer, clock, EVEN, 1) == {}


def test_another_worker_that_lags_is_another_matter(balancer: Balancer, clock: FakeClock) -> None:
    assert moves(balancer, clock, UNEVEN, 9) == {}
    assert moves(balancer, clock, {0: {1: 3}, 1: {0: 50_000, 2: 40_000}}, 9) == {}


def test_moves_are_a_minute_apart(balancer: Balancer, clock: FakeClock) -> None:
    assert list(moves(balancer, clock, UNEVEN, 140)) == [10, 70, 130]


def test_pinned_partitions_stay(balancer: Balancer, clock: FakeClock) -> None:
    for _ in range(20):
        assert balancer.next_move(UNEVEN, {0, 2, 4}) is None
        clock.ms += 1_000
