import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from recording_worker.clock import Clock, SystemClock
from recording_worker.errors import BootError
from recording_worker.kafka.offsets import Position
from recording_worker.processes.control import Revoke, Stop
from recording_worker.processes.supervisor.memory import PartitionMemory
from recording_worker.processes.supervisor.pool import WorkerMain, WorkerPool
from recording_worker.processes.supervisor.slot import LastFlush, WorkerExit, WorkerState
from recording_worker.settings.model import Settings
from tests import limits
from tests.builders import FakeClock
from tests.integration import fake_workers

PoolOf = Callable[..., WorkerPool]


@contextmanager
def pools() -> Iterator[PoolOf]:
    made: list[WorkerPool] = []

    def make(
        worker_main: WorkerMain,
        clock: Clock | None = None,
        progress_deadline: float = 60,
        workers: int = 2,
        storage_dir: Path | None = None,
        memory: PartitionMemory | None = None,
    ) -> WorkerPool:
        settings = Settings(workers=workers, progress_deadline=progress_deadline, storage_dir=storage_dir)
        clock = clock or SystemClock()
        made.append(WorkerPool(settings, worker_main, clock, "host", memory or PartitionMemory(range(workers), clock)))
        return made[-1]

    try:
        yield make
    finally:
        for pool in made:
            pool.kill_all()


@pytest.fixture
def pool_of() -> Iterator[PoolOf]:
    with pools() as make:
        yield make


def until(pool: WorkerPool, done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        pool.hear(0.05)


def is_stuck(pool: WorkerPool) -> bool:
    return pool.slots[0].state is WorkerState.STUCK


def ends_of(pool: WorkerPool, number: int) -> list[WorkerExit]:
    ends: list[WorkerExit] = []

    def reaped() -> bool:
        pool.kill_stuck()
        ends.extend(pool.reap())
        return len(ends) >= number

    until(pool, reaped)
    return ends


def test_workers_start_obey_and_end(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.obedient)
    pool.spawn_missing()
    assert pool.alive == {0, 1}
    until(pool, lambda: pool.ready == {0, 1})
    for worker in (0, 1):
        pool.send(worker, Stop())
    ends = ends_of(pool, 2)
    assert {end.worker: end.code for end in ends} == {0: 0, 1: 0}
    assert pool.alive == pool.ready == set()


def test_what_a_worker_said_last_is_heard_before_its_end_is_noted(pool_of: PoolOf) -> None:
    memory = PartitionMemory(range(1), SystemClock())
    memory.table.add([7])
    [order] = memory.place({7: (Position(5), 5)}).values()
    pool = pool_of(fake_workers.obedient, workers=1, memory=memory)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0})
    pool.send(0, order)
    pool.send(0, Stop())
    slot = pool.slots[0]
    assert slot.process is not None
    slot.process.handle.join(10)
    assert memory.table.holders([7]) == {0: (7,)}
    [end] = pool.reap()
    assert end.code == 0
    assert memory.table.holders([7]) == {}, "released"


def test_a_worker_that_cannot_boot_says_why(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.cannot_boot)
    pool.spawn_missing()
    with pytest.raises(BootError, match="no storage"):
        until(pool, lambda: False)


def test_dead_workers_are_started_again_after_a_growing_delay(pool_of: PoolOf) -> None:
    clock = FakeClock()
    pool = pool_of(fake_workers.dies, clock)
    pool.spawn_missing()
    ends = {end.worker: end for end in ends_of(pool, 2)}
    assert (ends[0].reason, str(ends[0])) == ("failed", "exit code 1")
    assert (ends[1].reason, str(ends[1])) == ("killed", "SIGKILL")
    assert 0.25 <= ends[0].restart_delay <= 0.75
    pool.spawn_missing()
    assert pool.alive == set(), "not yet"
    clock.ms += 800
    pool.spawn_missing()
    assert pool.alive == {0, 1}
    assert all(end.restart_delay >= 0.5 for end in ends_of(pool, 2)), "the second time in a row"


def test_a_worker_that_delivered_is_started_again_after_the_first_delay(pool_of: PoolOf) -> None:
    clock = FakeClock()
    pool = pool_of(fake_workers.delivers_and_dies, clock, workers=1)
    for _ in range(4):
        pool.spawn_missing()
        [end] = ends_of(pool, 1)
        assert end.restart_delay <= 0.75
        clock.ms += 1_000


def test_a_worker_that_never_gets_ready_is_given_up(pool_of: PoolOf) -> None:
    clock = FakeClock()
    pool = pool_of(fake_workers.dies_early, clock, workers=1)
    for _ in range(4):
        pool.spawn_missing()
        ends_of(pool, 1)
        clock.ms += 60_000
    pool.spawn_missing()
    with pytest.raises(BootError, match="worker 0 ended 5 times before it was ready, last by SIGSEGV"):
        ends_of(pool, 1)


def test_a_silent_worker_dumps_its_stacks_and_is_killed(pool_of: PoolOf, capfd: pytest.CaptureFixture[str]) -> None:
    pool = pool_of(fake_workers.hangs, progress_deadline=0.5, workers=1)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0})
    [end] = ends_of(pool, 1)
    assert (end.reason, end.code, end.was_frozen) == ("stuck", -9, False)
    assert str(end) == "SIGKILL, after it was stuck"
    assert "in hangs" in capfd.readouterr().err


def test_a_worker_that_somebody_stopped_is_reported_as_stopped(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.hangs, progress_deadline=0.5, workers=1)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0})
    [slot] = pool.slots
    assert slot.process is not None
    os.kill(slot.process.pid, signal.SIGSTOP)
    [end] = ends_of(pool, 1)
    assert (end.reason, end.was_frozen) == ("stuck", True)
    assert str(end) == "SIGKILL, after it was stopped from outside"


def test_a_worker_that_was_ready_once_is_started_again_however_often_it_fails(pool_of: PoolOf, tmp_path: Path) -> None:
    clock = FakeClock()
    pool = pool_of(fake_workers.boots_once, clock, workers=1, storage_dir=tmp_path)
    for _ in range(8):
        pool.spawn_missing()
        [end] = ends_of(pool, 1)
        assert end.reason == "failed"
        clock.ms += 60_000
    assert (tmp_path / "booted").exists()


def test_a_supervisor_that_was_stopped_itself_does_not_take_its_workers_for_stuck(pool_of: PoolOf) -> None:
    clock = FakeClock()
    pool = pool_of(fake_workers.hangs, clock, progress_deadline=60.0, workers=1)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0})
    clock.ms += 100_000
    pool.kill_stuck()
    assert not is_stuck(pool)
    for _ in range(4):
        clock.ms += 20_000
        pool.kill_stuck()
    assert is_stuck(pool), "it had its time"


def test_a_supervisor_that_is_slow_itself_still_finds_its_stuck_workers(pool_of: PoolOf) -> None:
    clock = FakeClock()
    pool = pool_of(fake_workers.hangs, clock, progress_deadline=60.0, workers=1)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0})
    for _ in range(3):
        assert not is_stuck(pool)
        clock.ms += 40_000
        pool.kill_stuck()
    assert is_stuck(pool), "it was excused once, and has said nothing since"


def test_a_flush_that_hangs_is_no_progress_even_if_the_loop_turns(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.flush_hangs, progress_deadline=0.5)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0, 1})
    assert {end.reason for end in ends_of(pool, 2)} == {"stuck"}


def test_hearing_waits_while_there_is_nothing_to_hear(pool_of: PoolOf) -> None:
    """Otherwise the supervisor's loop would be busy all the time."""
    pool = pool_of(fake_workers.hangs)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0, 1})
    began = time.monotonic()
    pool.hear(0.5)
    assert time.monotonic() - began >= 0.45


def test_hearing_waits_while_a_worker_without_a_pipe_goes_on(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.closes_its_pipe, workers=1)
    pool.spawn_missing()
    until(pool, lambda: pool.slots[0].state is WorkerState.ENDING)
    began = time.monotonic()
    pool.hear(0.5)
    assert time.monotonic() - began >= 0.45
    assert pool.ready == set(), "it takes no orders"


def test_reports_are_heard_while_it_waits(pool_of: PoolOf) -> None:
    """Otherwise the turns of a supervisor would be as many as its workers' reports."""
    pool = pool_of(fake_workers.chatters, workers=2)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0, 1})
    before = [dict(slot.positions) for slot in pool.slots]
    began = time.monotonic()
    pool.hear(0.5)
    assert time.monotonic() - began >= 0.45
    assert all(slot.positions[0] > old.get(0, 0) for slot, old in zip(pool.slots, before, strict=True))


def test_hearing_ends_with_the_first_message_and_with_an_end(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.obedient, workers=1)
    pool.spawn_missing()
    pool.hear(60)
    assert pool.ready == {0}
    pool.send(0, Stop())
    deadline = time.monotonic() + 30
    while not pool.reap():
        pool.hear(60)
    assert time.monotonic() < deadline


def test_a_worker_that_does_not_read_its_orders_is_killed(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.hangs, workers=1)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0})
    order = Revoke(tuple(range(1000)))
    for _ in range(10_000):
        pool.send(0, order)
        if is_stuck(pool):
            break
    [end] = ends_of(pool, 1)
    assert (end.reason, end.code) == ("stuck", -9)
    pool.send(0, order)  # to nobody


def test_workers_that_are_still_starting_can_be_killed_alone(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.only_the_first_is_ready)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0})
    pool.kill_unready()
    [end] = ends_of(pool, 1)
    assert (end.worker, end.code, end.booted) == (1, -9, False)
    assert pool.alive == {0}


def test_a_slot_shows_the_last_flush_and_the_trouble(pool_of: PoolOf) -> None:
    pool = pool_of(fake_workers.tells, FakeClock(), workers=1)
    pool.spawn_missing()
    [slot] = pool.slots
    until(pool, lambda: bool(slot.trouble))
    assert slot.trouble == "teams are old"
    assert slot.last_flush == LastFlush(FakeClock().now_ms() / 1000, sessions=3, bytes_written=1234)


@pytest.mark.parametrize("spare", range(6))
def test_a_worker_that_cannot_be_spawned_leaves_nothing_open_and_is_tried_again(spare: int) -> None:
    limits.in_own_process(spawn_without_descriptors, spare)


def spawn_without_descriptors(spare: int) -> None:
    """A worker takes eight descriptors of the supervisor while it is spawned."""
    clock = FakeClock()
    with pools() as pool_of:
        pool = pool_of(fake_workers.obedient, clock, workers=1)
        [slot] = pool.slots
        resource_tracker.ensure_running()  # multiprocessing starts it with the first worker, and keeps it
        before = limits.open_descriptors(os.getpid())
        with limits.no_descriptors(os.getpid(), but=spare):
            for _ in range(20):
                pool.spawn_missing()
                assert pool.alive == set()
                assert "Too many open files" in slot.refusal
                clock.ms += 60_000
        assert limits.open_descriptors(os.getpid()) <= before
        pool.spawn_missing()
        until(pool, lambda: pool.ready == {0})
        assert slot.refusal == ""


def test_the_pause_after_a_worker_that_cannot_be_spawned_grows() -> None:
    limits.in_own_process(spawn_with_growing_pauses)


def spawn_with_growing_pauses() -> None:
    clock = FakeClock()
    with pools() as pool_of:
        pool = pool_of(fake_workers.obedient, clock, workers=1)
        [slot] = pool.slots
        with limits.no_descriptors(os.getpid()):
            pauses = []
            for _ in range(12):
                pool.spawn_missing()
                pauses.append(slot.start_at - clock.monotonic())
                clock.ms += 60_000
        assert 0.25 <= pauses[0] <= 0.75
        assert 15.0 <= pauses[-1] <= 45.0


def test_killed_workers_that_do_not_end_are_waited_for_only_a_moment(
    pool_of: PoolOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(fake_workers.hangs, workers=2)
    pool.spawn_missing()
    until(pool, lambda: pool.ready == {0, 1})
    first, second = (slot.process.handle for slot in pool.slots if slot.process is not None)
    monkeypatch.setattr(first, "kill", lambda: None)  # as if it waited for a disk: that process hears no signal
    pool.kill_all(timeout=1.0)
    assert first.exitcode is None
    assert second.exitcode == -signal.SIGKILL
    monkeypatch.undo()
