"""The states of a worker's process. Processes are real in the tests of the pool; here they only end."""

from multiprocessing import Pipe
from typing import Any

import pytest

from recording_worker.processes.control import Channel
from recording_worker.processes.supervisor.slot import Slot, WorkerExit, WorkerProcess, WorkerState

STARTING, RUNNING, ENDING, STUCK = (
    WorkerState.STARTING,
    WorkerState.RUNNING,
    WorkerState.ENDING,
    WorkerState.STUCK,
)


class Ended:
    """A process handle as it is once the process has ended."""

    pid = 0  # no process has it
    exitcode = 1

    def close(self) -> None:
        pass


def process(started: float = 0.0) -> WorkerProcess:
    ours, theirs = Pipe()
    theirs.close()
    handle: Any = Ended()
    return WorkerProcess(handle, Channel(ours), started=started, heard=started)


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ([], STARTING),
        ([RUNNING], RUNNING),
        ([RUNNING, ENDING], ENDING),
        ([ENDING], ENDING),
        ([STUCK], STUCK),
        ([RUNNING, ENDING, STUCK], STUCK),
        ([STUCK, RUNNING], STUCK),
        ([STUCK, ENDING], STUCK),
        ([ENDING, RUNNING], ENDING),
        ([RUNNING, STARTING], RUNNING),
    ],
)
def test_states_follow_each_other_in_one_direction(path: list[WorkerState], state: WorkerState) -> None:
    made = process()
    for each in path:
        made.enter(each)
    assert made.state is state
    made.channel.close()


def test_a_slot_waits_while_it_is_empty() -> None:
    slot = Slot(3)
    assert slot.state is WorkerState.WAITING
    slot.process = process()
    assert slot.state is STARTING
    slot.empty(5.0)
    assert slot.state is WorkerState.WAITING
    assert 5.25 <= slot.start_at <= 5.75


def test_a_flush_that_lasts_holds_up_the_progress() -> None:
    made = process(10.0)
    made.heard = 20.0
    assert made.last_progress == 20.0
    made.report_flush(True)
    made.heard = 30.0
    made.report_flush(True)
    assert made.last_progress == 20.0, "since the flush was first reported"
    made.report_flush(False)
    assert made.last_progress == 30.0
    made.channel.close()


@pytest.mark.parametrize(
    ("code", "is_suspicious", "text"),
    [
        (-11, True, "SIGSEGV"),
        (1, False, "exit code 1"),
        (4, True, "an exception in a step or a flush"),
        (5, True, "a flush whose transaction took too long"),
    ],
)
def test_which_ends_a_message_may_have_caused(code: int, is_suspicious: bool, text: str) -> None:
    end = WorkerExit(0, 4711, code, booted=True, was_stuck=False, was_frozen=False, restart_delay=0.5)
    assert (end.is_suspicious, str(end)) == (is_suspicious, text)


def end_after(slot: Slot, seconds: float, *, delivered: bool = False) -> int:
    """Let a process end in the slot; return how many failures in a row that makes."""
    slot.process = process()
    slot.process.delivered = delivered
    slot.empty(seconds)
    return slot.failures


def test_failures_in_a_row_count_until_a_worker_lasts_or_delivers() -> None:
    slot = Slot(0)
    assert [end_after(slot, seconds) for seconds in (1, 1, 59, 60)] == [1, 2, 3, 1]
    assert end_after(slot, 1) == 2
    assert end_after(slot, 1, delivered=True) == 1


def test_boots_fail_in_a_row_only_while_none_has_succeeded() -> None:
    slot = Slot(0, trouble="teams are old")
    for expected in (1, 2):
        end_after(slot, 1)
        assert slot.failed_boots == expected
    slot.proven = True
    end_after(slot, 1)
    assert slot.failed_boots == 0
    assert slot.trouble == "", "the next worker reads them again"
