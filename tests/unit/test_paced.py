"""Paced: how often it does what it is given."""

from recording_worker.processes.supervisor.paced import Paced
from tests.builders import FakeClock


def times_done(takes_ms: int) -> int:
    """Return how often in ten seconds something is done that takes so long. There are ten turns a second."""
    clock, done = FakeClock(), 0

    def do() -> None:
        nonlocal done
        done += 1
        clock.ms += takes_ms

    paced, end = Paced(clock, do, share=0.01, longest=1.0), clock.ms + 10_000
    while clock.ms < end:
        paced.turn()
        clock.ms += 100
    return done


def test_what_takes_little_is_done_each_turn() -> None:
    assert 99 <= times_done(1) <= 101


def test_what_takes_longer_is_done_for_its_share_of_the_time() -> None:
    assert 19 <= times_done(5) <= 21


def test_it_is_still_done_every_second_if_it_takes_very_long() -> None:
    assert 9 <= times_done(50) <= 11
