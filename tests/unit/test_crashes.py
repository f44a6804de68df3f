import signal
from collections.abc import Mapping, Set

import pytest

from recording_worker.processes.supervisor.crashes import CRASH_SIGNALS, CrashLog, Death
from tests.builders import FakeClock

NOTHING: frozenset[int] = frozenset()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def crashes(clock: FakeClock) -> CrashLog:
    return CrashLog(clock)


def crash(held: Mapping[int, int], decoding: tuple[int, int] | None = None, idle: Set[int] = NOTHING) -> Death:
    return Death("SIGSEGV", True, held, idle, decoding)


def kill(held: Mapping[int, int], decoding: tuple[int, int] | None = None) -> Death:
    return Death("SIGKILL", False, held, NOTHING, decoding)


def flush_crash(held: Mapping[int, int], flushing: Mapping[int, int], decoding: tuple[int, int] | None = None) -> Death:
    return Death("SIGSEGV", True, held, NOTHING, decoding, flushing)


def isolated(crashes: CrashLog) -> set[int]:
    return {partition for partition in range(8) if crashes.is_isolated(partition)}


def test_a_single_death_is_chance(crashes: CrashLog) -> None:
    crashes.died(crash({0: 5, 1: 7}))
    assert isolated(crashes) == set()


@pytest.mark.parametrize("how", [crash, kill])
def test_partitions_that_got_no_further_between_two_deaths_are_isolated(crashes: CrashLog, how: type) -> None:
    crashes.died(how({0: 5, 1: 7, 2: 9}))
    crashes.delivered(1, 8)
    crashes.died(how({0: 5, 1: 8}))
    assert isolated(crashes) == {0}
    assert crashes.poison(0) == {}


def test_a_single_death_is_remembered_until_the_partition_got_further(crashes: CrashLog) -> None:
    crashes.died(crash({0: 5, 1: 7}))
    assert crashes.take_recovered({0, 1}) == []
    crashes.died(crash({0: 5, 1: 7}))
    assert isolated(crashes) == {0, 1}


def test_progress_in_between_makes_a_death_the_first_again(crashes: CrashLog) -> None:
    for offset in (5, 6, 7):
        crashes.died(crash({0: offset}))
        crashes.delivered(0, offset + 1)
    assert isolated(crashes) == set()
    assert crashes.take_recovered(NOTHING) == [], "it was never isolated"


def test_a_partition_with_nothing_to_read_is_not_to_blame(crashes: CrashLog) -> None:
    for _ in range(3):
        crashes.died(crash({0: 5, 1: 7}, idle={1}))
    assert isolated(crashes) == {0}


def test_the_message_noted_at_a_crash_is_poison_at_once(crashes: CrashLog) -> None:
    for noted in (None, None, (0, 6)):
        crashes.died(crash({0: 5, 1: 7}, decoding=noted))
    assert crashes.poison(0) == {6: "SIGSEGV"}
    assert crashes.poison(1) == {}
    assert isolated(crashes) == {0, 1}


def test_a_message_noted_when_somebody_kills_the_worker_is_poison_the_second_time(
    crashes: CrashLog,
) -> None:
    crashes.died(kill({0: 5}, decoding=(0, 6)))
    assert crashes.poison(0) == {}
    crashes.died(kill({0: 5}, decoding=(0, 7)))
    assert crashes.poison(0) == {}, "another message"
    crashes.died(kill({0: 5}, decoding=(0, 7)))
    assert crashes.poison(0) == {7: "SIGKILL"}


def test_a_suspect_is_kept_while_messages_before_it_are_delivered(crashes: CrashLog) -> None:
    crashes.died(kill({0: 5}, decoding=(0, 7)))
    crashes.delivered(0, 7)
    assert crashes.take_recovered(NOTHING) == []
    crashes.died(kill({0: 7}, decoding=(0, 7)))
    assert crashes.poison(0) == {7: "SIGKILL"}


def test_a_message_that_was_delivered_is_suspected_no_more(crashes: CrashLog) -> None:
    crashes.died(kill({0: 5}, decoding=(0, 7)))
    crashes.delivered(0, 8)
    crashes.died(kill({0: 5}, decoding=(0, 7)))
    assert crashes.poison(0) == {}


def test_nobody_is_blamed_for_a_partition_that_was_not_held(crashes: CrashLog) -> None:
    crashes.died(crash({0: 5}, decoding=(3, 6)))
    assert crashes.poison(3) == {}


def test_the_messages_of_a_flush_that_dies_in_isolation_are_flushed_alone(crashes: CrashLog) -> None:
    crashes.died(flush_crash({0: 5, 1: 7}, {0: 900}))
    crashes.died(flush_crash({0: 5, 1: 7}, {0: 900, 1: 800}))
    assert (crashes.alone_before(0), crashes.alone_before(1)) == (0, 0), "it was not isolated, the flush was large"
    crashes.died(flush_crash({0: 5, 1: 7, 2: 0}, {0: 40, 2: 3}))
    assert [crashes.alone_before(number) for number in range(4)] == [40, 0, 3, 0]
    assert isolated(crashes) == {0, 1, 2}, "2 too: any message of the flush may be the cause"
    crashes.died(flush_crash({0: 5}, {0: 12}, decoding=(0, 11)))
    assert crashes.poison(0) == {11: "SIGSEGV"}
    assert crashes.alone_before(0) == 40


def test_a_message_that_was_noted_when_a_flush_of_several_died_is_not_blamed(crashes: CrashLog) -> None:
    """The flush may begin before the worker says that it has finished the message."""
    for _ in range(2):
        crashes.died(crash({0: 5}))
    crashes.died(flush_crash({0: 5}, {0: 12}, decoding=(0, 11)))
    assert crashes.poison(0) == {}
    assert crashes.alone_before(0) == 12


def test_isolation_lasts_until_all_messages_of_the_flush_are_delivered(crashes: CrashLog) -> None:
    for _ in range(2):
        crashes.died(crash({0: 5}))
    crashes.died(flush_crash({0: 5}, {0: 40}))
    crashes.died(flush_crash({0: 5}, {0: 12}, decoding=(0, 11)))
    crashes.placed(0, 5)
    crashes.delivered(0, 39)
    assert crashes.take_recovered(NOTHING) == [], "another of them may be poison too"
    crashes.delivered(0, 40)
    assert crashes.take_recovered(NOTHING) == [0]
    assert crashes.alone_before(0) == 0


def test_isolation_ends_once_all_poison_messages_are_delivered(crashes: CrashLog) -> None:
    for noted in (None, None, (0, 6), (0, 9)):
        crashes.died(crash({0: 5}, decoding=noted))
    crashes.placed(0, 5)
    crashes.delivered(0, 9)
    assert crashes.poison(0) == {9: "SIGSEGV"}
    assert crashes.take_recovered(NOTHING) == []
    crashes.delivered(0, 10)
    assert crashes.poison(0) == {}
    assert crashes.take_recovered(NOTHING) == [0]
    assert isolated(crashes) == set()
    assert crashes.take_recovered(NOTHING) == []


def test_isolation_without_a_poison_message_ends_after_a_minute_with_progress(
    crashes: CrashLog, clock: FakeClock
) -> None:
    crashes.died(crash({0: 5}))
    crashes.died(crash({0: 5}))
    clock.ms += 61_000
    assert crashes.take_recovered(NOTHING) == [], "time without a worker does not count"
    crashes.placed(0, 5)
    clock.ms += 61_000
    assert crashes.take_recovered(NOTHING) == [], "it got no further"
    crashes.delivered(0, 6)
    assert crashes.take_recovered(NOTHING) == [0]
    assert isolated(crashes) == set()


def test_the_time_between_a_death_and_the_next_placement_is_no_time_in_isolation(
    crashes: CrashLog, clock: FakeClock
) -> None:
    crashes.died(crash({0: 5}))
    crashes.died(crash({0: 5}))
    crashes.placed(0, 5)
    clock.ms += 59_000
    crashes.died(crash({0: 5}))
    crashes.delivered(0, 6)  # a flush that was on its way when the worker died
    clock.ms += 61_000
    assert crashes.take_recovered(NOTHING) == [], "no worker has read it since the death"
    crashes.placed(0, 6)
    clock.ms += 60_000
    assert crashes.take_recovered({0}) == [0]


def test_isolation_ends_after_a_minute_with_nothing_to_read(crashes: CrashLog, clock: FakeClock) -> None:
    crashes.died(crash({0: 5}))
    crashes.died(crash({0: 5}))
    crashes.placed(0, 5)
    clock.ms += 59_000
    assert crashes.take_recovered({0}) == []
    clock.ms += 2_000
    assert crashes.take_recovered({0}) == [0]


def test_another_death_starts_the_minute_again(crashes: CrashLog, clock: FakeClock) -> None:
    crashes.died(crash({0: 5}))
    crashes.died(crash({0: 5}))
    crashes.placed(0, 5)
    crashes.delivered(0, 6)
    clock.ms += 59_000
    crashes.died(crash({0: 6}))
    crashes.placed(0, 6)
    crashes.delivered(0, 7)
    clock.ms += 59_000
    assert crashes.take_recovered(NOTHING) == []
    clock.ms += 2_000
    assert crashes.take_recovered(NOTHING) == [0]


def test_partitions_given_away_are_forgotten(crashes: CrashLog) -> None:
    for noted in (None, None, (0, 6)):
        crashes.died(crash({0: 5, 1: 5}, decoding=noted))
    crashes.forget([0, 7])
    assert isolated(crashes) == {1}
    assert crashes.poison(0) == {}


def test_the_history_of_a_single_death_ends_with_progress(crashes: CrashLog) -> None:
    crashes.died(crash({0: 5}))
    crashes.delivered(0, 6)
    assert crashes.take_recovered(NOTHING) == []
    crashes.died(crash({0: 6}))
    assert isolated(crashes) == set()


def test_an_older_offset_is_no_delivery(crashes: CrashLog) -> None:
    crashes.died(crash({0: 5}))
    crashes.delivered(0, 5)
    crashes.delivered(0, 3)
    crashes.died(crash({0: 5}))
    assert isolated(crashes) == {0}


def test_crash_signals_are_those_that_a_process_brings_on_itself() -> None:
    assert signal.SIGSEGV in CRASH_SIGNALS
    assert signal.SIGABRT in CRASH_SIGNALS
    assert signal.SIGKILL not in CRASH_SIGNALS
    assert signal.SIGBUS not in CRASH_SIGNALS, "a disk can raise it"
    assert signal.SIGTERM not in CRASH_SIGNALS
