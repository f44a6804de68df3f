"""Slot: the place of one worker, and the states that the process in it goes through."""

import math
import os
import signal
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.process import BaseProcess
from pathlib import Path

from recording_worker.backoff import Backoff
from recording_worker.dependencies import DependencyState
from recording_worker.errors import StepError, TransactionTimeoutError
from recording_worker.processes.control import SupervisorChannel

_RESPAWN_BACKOFF = Backoff(first=0.5, longest=30.0)
_STABLE_SECONDS = 60.0
"""After a worker that lived this long, or delivered something, the next one starts with the first delay again."""


class WorkerState(StrEnum):
    """What the process in a slot is doing, as the status page shows it."""

    WAITING = "waiting"
    """There is no process; the next one starts after a delay."""
    STARTING = "starting"
    """It builds what it needs, and takes no orders yet."""
    RUNNING = "running"
    """It takes orders."""
    ENDING = "ending"
    """It has closed its pipe and will exit."""
    STUCK = "stuck"
    """It made no progress in time. It was told to dump its stacks, and is killed a moment later."""


_TRANSITIONS: Mapping[WorkerState, Set[WorkerState]] = {
    WorkerState.STARTING: {WorkerState.RUNNING, WorkerState.ENDING, WorkerState.STUCK},
    WorkerState.RUNNING: {WorkerState.ENDING, WorkerState.STUCK},
    WorkerState.ENDING: {WorkerState.STUCK},
    WorkerState.STUCK: set(),
}
"""Which states may follow a state of a process. WAITING follows each of them once the process is reaped."""

_SUSPICIOUS_CODES: Mapping[int, str] = {
    StepError.exit_code: "an exception in a step or a flush",
    TransactionTimeoutError.exit_code: "a flush whose transaction took too long",
}
"""Exit code that a message may have caused → what it says, for people."""


@dataclass(slots=True)
class WorkerProcess:
    """One worker process, from its start until it is reaped. Times are monotonic seconds."""

    handle: BaseProcess
    channel: SupervisorChannel
    started: float
    heard: float
    """When it last said anything; at first, when it was started."""
    state: WorkerState = WorkerState.STARTING
    booted: bool = False
    """Whether it was ever ready, and so may have held partitions."""
    delivered: bool = False
    """Whether it flushed anything."""
    flushing_since: float | None = None
    """When it first reported the flush that is in flight."""
    excused: float = -math.inf
    """When its silence was last excused."""
    stuck_since: float = math.inf
    frozen: bool = False
    """Whether it was stuck because somebody had stopped it (SIGSTOP, a debugger)."""

    @property
    def pid(self) -> int:
        return self.handle.pid or 0

    @property
    def last_progress(self) -> float:
        """When it last got anywhere. A loop that turns does not count while a flush hangs."""
        return self.heard if self.flushing_since is None else min(self.heard, self.flushing_since)

    def enter(self, state: WorkerState) -> None:
        """Go to another state. If it can't follow, nothing changes: a stuck worker stays so, whatever it still says."""
        if state in _TRANSITIONS[self.state]:
            self.state = state

    def report_flush(self, in_flight: bool) -> None:
        """Note whether a flush is in flight."""
        if not in_flight:
            self.flushing_since = None
        elif self.flushing_since is None:
            self.flushing_since = self.heard

    def declare_stuck(self, now: float) -> None:
        self.enter(WorkerState.STUCK)
        self.stuck_since, self.frozen = now, _is_frozen(self.pid)

    def ask_for_stacks(self) -> None:
        """Have it write its stacks to stderr, if it has got as far as listening for that."""
        if self.booted:
            os.kill(self.pid, signal.SIGUSR1)


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """A worker process that ended."""

    worker: int
    pid: int
    code: int
    """Exit code, or minus the number of the signal that killed it."""
    booted: bool
    """Whether it was ever ready, and so may have held partitions."""
    was_stuck: bool
    was_frozen: bool
    """Whether it was stuck because somebody had stopped it."""
    restart_delay: float
    """Seconds until the next one is started in its place."""

    @property
    def is_suspicious(self) -> bool:
        """Whether a message may have caused it. Faults of storage and of Kafka are no message's."""
        return self.code < 0 or self.code in _SUSPICIOUS_CODES

    @property
    def reason(self) -> str:
        """The label of the metric of restarts."""
        if self.was_stuck:
            return "stuck"
        return "killed" if self.code < 0 else "failed"

    def __str__(self) -> str:
        if self.code in _SUSPICIOUS_CODES:
            return _SUSPICIOUS_CODES[self.code]
        how = signal.Signals(-self.code).name if self.code < 0 else f"exit code {self.code}"
        if self.was_stuck:
            return f"{how}, after it was {'stopped from outside' if self.was_frozen else 'stuck'}"
        return how


@dataclass(frozen=True, slots=True)
class LastFlush:
    """What a worker flushed last."""

    at: float
    """Seconds since 1970."""
    sessions: int
    bytes_written: int


@dataclass(slots=True)
class Slot:
    """The place of one worker: the process in it, if there is one, and what is known from those before."""

    worker: int
    process: WorkerProcess | None = None
    proven: bool = False
    """Whether any worker here was ever ready. If so, what keeps a later one from it may pass, as a full disk does."""
    failures: int = 0
    """Processes in a row that ended too soon."""
    failed_boots: int = 0
    """Processes in a row that ended before they were ready, if none ever was."""
    start_at: float = 0.0
    """When the next process may start, monotonic seconds."""
    refusal: str = ""
    """Why the system refused to spawn the next process the last time; empty if it did not."""
    last_flush: LastFlush | None = None
    """The last flush; None if there was none."""
    read_at: float | None = None
    """When its worker last said that it had read on, seconds since 1970."""
    positions: Mapping[int, int] = field(default_factory=dict)
    """Partition → the next offset to read, as its worker said last."""
    last_error: str = ""
    """Why the last process here ended or could not start; empty once there is another one."""
    trouble: str = ""
    """Which teams or restrictions of the worker are too old, and why; empty if none are."""

    dependencies: dict[str, DependencyState] = field(default_factory=dict)
    """What its worker said last of each. What failed when a process ended stays until a later one has asked it."""

    @property
    def state(self) -> WorkerState:
        return WorkerState.WAITING if self.process is None else self.process.state

    def silent_seconds(self, now: float) -> float:
        """Return for how long the loop of a worker that takes orders has said nothing. `now` is monotonic."""
        return now - self.process.heard if self.process and self.process.state is WorkerState.RUNNING else 0.0

    def fill(self, process: WorkerProcess) -> None:
        """Put a process that was just spawned here."""
        self.process, self.refusal, self.last_error = process, "", ""

    def learn(self, states: Iterable[DependencyState]) -> None:
        """Note what the worker says of its dependencies. What it has not asked yet says nothing."""
        asked = [each for each in states if each.answered_at is not None or each.failing_since is not None]
        self.dependencies.update({each.name: each for each in asked})

    def read(self, positions: Mapping[int, int], now: float) -> None:
        """Note how far its worker has read. `now` is in seconds since 1970."""
        if any(position > self.positions.get(number, position) for number, position in positions.items()):
            self.read_at = now
        self.positions = positions

    def postpone(self, now: float, refusal: str) -> float:
        """Note that no process could be spawned. Return the seconds until the next try."""
        self.failures += 1
        self.refusal = refusal
        delay = _RESPAWN_BACKOFF.pause(self.failures)
        self.start_at = now + delay
        return delay

    def empty(self, now: float) -> WorkerExit:
        """Reap the process, which has ended. The next one may start after a delay."""
        process = self.process
        assert process is not None
        lasted = process.delivered or now - process.started >= _STABLE_SECONDS
        self.failures = 1 if lasted else self.failures + 1
        self.failed_boots = 0 if self.proven else self.failed_boots + 1
        delay = _RESPAWN_BACKOFF.pause(self.failures)
        self.start_at = now + delay
        self.trouble = ""
        self.dependencies = {
            name: state for name, state in self.dependencies.items() if state.failing_since is not None
        }
        end = WorkerExit(
            worker=self.worker,
            pid=process.pid,
            code=process.handle.exitcode or 0,
            booted=process.booted,
            was_stuck=process.state is WorkerState.STUCK,
            was_frozen=process.frozen,
            restart_delay=delay,
        )
        process.channel.close()
        process.handle.close()
        self.process = None
        return end


def _is_frozen(pid: int) -> bool:
    """Return whether a process is stopped, by a signal or a debugger; False if the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")  # the name, in brackets, may hold anything
