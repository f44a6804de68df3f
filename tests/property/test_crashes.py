"""Any messages may kill their worker: only they are blamed, after few deaths, and all others are delivered."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recording_worker.processes.supervisor.crashes import CrashLog, Death
from tests.builders import FakeClock

MESSAGES = 30


@given(
    killers=st.sets(st.integers(0, MESSAGES - 1)),
    batch=st.integers(1, 10),
    outside_kills=st.sets(st.integers(0, 200)),
)
def test_only_messages_that_kill_are_left_out(killers: set[int], batch: int, outside_kills: set[int]) -> None:
    """A worker reads a partition in batches, each delivered as a whole. At some turns somebody else kills it."""
    clock = FakeClock()
    crashes = CrashLog(clock)
    delivered, turn, deaths, blamed = 0, 0, 0, set[int]()
    noted_at_kills: list[int] = []
    crashes.placed(0, 0)
    while delivered < MESSAGES:
        offset = delivered
        noted: int | None = None
        by_itself = False
        while offset < min(delivered + batch, MESSAGES):
            turn += 1
            noted = offset if crashes.is_isolated(0) else None
            if turn in outside_kills:
                noted_at_kills += [] if noted is None else [noted]
                break
            if offset in killers and offset not in crashes.poison(0):
                by_itself = True
                break
            offset += 1
        else:
            delivered = offset
            crashes.delivered(0, delivered)
            if crashes.take_recovered(frozenset()):
                crashes.placed(0, delivered)
            continue
        deaths += 1
        crashes.died(Death("it", by_itself, {0: delivered}, frozenset(), None if noted is None else (0, noted)))
        blamed |= crashes.poison(0).keys()
        crashes.placed(0, delivered)
    twice_by_chance = {offset for offset, count in Counter(noted_at_kills).items() if count > 1}
    twice_in_a_row = {first for first, second in pairwise(noted_at_kills) if first == second}
    assert killers <= blamed, "each killed its worker until it was blamed"
    assert twice_in_a_row <= blamed, "twice at the same message is no chance"
    assert blamed <= killers | twice_by_chance
    assert deaths <= 3 * len(killers) + len(outside_kills)
    assert crashes.poison(0) == {}, "all is done with"
