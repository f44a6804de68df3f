"""WorkerPool: the worker processes. Starts them, hears them, notices which are dead or stuck."""

import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import structlog

from recording_worker.backoff import Backoff
from recording_worker.clock import Clock
from recording_worker.errors import BootError, StepError
from recording_worker.processes.control import (
    BootFailed,
    Channel,
    Flushed,
    FromWorker,
    Progress,
    Ready,
    SupervisorChannel,
    ToWorker,
)
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_RESPAWN_BACKOFF = Backoff(first=0.5, longest=30.0)
_STABLE_SECONDS = 60.0
"""A worker that lived this long, or delivered something, starts with the first delay again."""
_BOOT_SECONDS = 60.0
"""Time a worker gets to be ready, where progress_deadline is shorter."""
_BOOT_ATTEMPTS = 5
"""Ends in a row before it was ready, after which a worker is given up."""
_DUMP_SECONDS = 1.0
"""Time a stuck worker gets to write its stacks."""

WorkerMain = Callable[[Settings, str, int, Connection, int], None]
"""A worker's entry point: settings, host, worker number, its end of the pipe, the supervisor's process id."""


@dataclass(slots=True)
class Slot:
    """The place of a worker, and the process in it, if there is one."""

    worker: int
    process: BaseProcess | None = None
    channel: SupervisorChannel | None = None
    ready: bool = False
    """Whether it takes orders."""
    booted: bool = False
    """Whether it ever did."""
    proven: bool = False
    """Whether a worker in this place ever did: what keeps one from it later may pass, as a full disk does."""
    started: float = 0.0
    heard: float = 0.0
    """When it last said anything."""
    flushing_since: float | None = None
    """When the flush in flight was first heard of."""
    excused: float = -math.inf
    """When its silence was last excused."""
    delivered: bool = False
    """Whether it got anything done."""
    failures: int = 0
    """Ends in a row that came too soon."""
    failed_boots: int = 0
    """Ends in a row before it was ready, where none ever was."""
    start_at: float = 0.0
    stuck_since: float | None = None
    """When it was told to dump its stacks."""
    frozen: bool = False
    """Whether it was stuck for being stopped by somebody (SIGSTOP, a debugger)."""

    @property
    def last_progress(self) -> float:
        """When it last got anywhere: a loop that turns does not help a flush that hangs."""
        return self.heard if self.flushing_since is None else min(self.heard, self.flushing_since)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """A worker process that ended."""

    worker: int
    pid: int
    code: int
    """Exit code; negative for the signal that killed it."""
    booted: bool
    """Whether it was ever ready, and so may have held anything."""
    was_stuck: bool
    was_frozen: bool
    """Whether it was stuck for being stopped by somebody."""
    last_words: list[FromWorker]
    """What it had said and nobody had heard yet."""
    restart_delay: float
    """Seconds until another is started in its place."""

    @property
    def step_failed(self) -> bool:
        """Whether it ended of an exception in the pipeline, which a message may have brought about."""
        return self.code == StepError.exit_code

    @property
    def reason(self) -> str:
        """For the metric of restarts."""
        if self.was_stuck:
            return "stuck"
        return "killed" if self.code < 0 else "failed"

    def __str__(self) -> str:
        if self.step_failed:
            return "an exception in a step"
        how = signal.Signals(-self.code).name if self.code < 0 else f"exit code {self.code}"
        if self.was_stuck:
            return f"{how}, after it was {'stopped from outside' if self.was_frozen else 'stuck'}"
        return how


class WorkerPool:
    """As many workers as the settings say, each in its slot. Everything is called from the supervisor's loop."""

    def __init__(self, settings: Settings, worker_main: WorkerMain, clock: Clock, host: str) -> None:
        """`host` tells this supervisor from every other of the group."""
        self._settings = settings
        self._host = host
        self._main = worker_main
        self._clock = clock
        # never forked: librdkafka runs threads
        self._context = multiprocessing.get_context("spawn")
        self.slots = [Slot(worker) for worker in range(settings.workers)]
        self._looked = clock.monotonic()
        """When stuck workers were last looked for."""

    @property
    def ready(self) -> set[int]:
        """Workers that take partitions."""
        return {slot.worker for slot in self.slots if slot.ready}

    @property
    def alive(self) -> set[int]:
        return {slot.worker for slot in self.slots if slot.process is not None}

    def spawn_missing(self) -> None:
        """Start a worker in each empty slot whose delay is over."""
        for slot in self.slots:
            if slot.process is None and self._clock.monotonic() >= slot.start_at:
                self._spawn(slot)

    def wait(self, timeout: float) -> Iterator[tuple[int, FromWorker]]:
        """What the workers say, in order; waits up to `timeout` seconds, or until a worker ends.

        Raises the error of a worker that can't start, where none in its place ever could.
        """
        waitables: list[Connection | int] = []
        for slot in self.slots:
            if slot.process is not None and slot.channel is not None:
                waitables += [slot.process.sentinel, slot.channel.connection]
        wait(waitables, timeout)
        for slot in self.slots:
            yield from self._hear(slot)

    def reap(self) -> list[WorkerExit]:
        """The workers that ended. Their slots are filled again after a delay.

        Raises BootError for one that ended time after time and was never ready.
        """
        return [
            self._empty(slot) for slot in self.slots if slot.process is not None and slot.process.exitcode is not None
        ]

    def send(self, worker: int, message: ToWorker) -> None:
        """Tell a worker; one that has stopped reading is killed, and its partitions go on when it is back."""
        slot = self.slots[worker]
        if slot.channel is None or slot.channel.try_send(message):
            return
        if slot.process is not None and slot.process.exitcode is None:
            log.error("worker does not read its orders", worker=worker, pid=slot.pid)
            slot.stuck_since, slot.frozen = self._clock.monotonic(), _is_frozen(slot.process.pid or 0)
            slot.process.kill()

    def kill_stuck(self) -> None:
        """Workers without progress past the deadline: have them dump their stacks, then kill them."""
        now, progress_deadline = self._clock.monotonic(), self._settings.progress_deadline
        were_stopped = now - self._looked > progress_deadline / 2
        self._looked = now
        for slot in self.slots:
            if slot.process is None:
                continue
            if were_stopped and slot.last_progress > slot.excused:
                # we were stopped ourselves, and it maybe with us: let it say something first. Once: we may be slow, too
                slot.excused = now
            deadline = progress_deadline if slot.booted else max(progress_deadline, _BOOT_SECONDS)
            if slot.stuck_since is not None:
                if now - slot.stuck_since >= _DUMP_SECONDS:
                    slot.process.kill()
            elif now - max(slot.last_progress, slot.excused) > deadline:
                silent = round(now - slot.heard, 1)
                log.error("worker is stuck", worker=slot.worker, pid=slot.pid, silent_seconds=silent)
                slot.stuck_since, slot.frozen = now, _is_frozen(slot.process.pid or 0)
                if slot.booted:  # before that it does not know the signal yet
                    os.kill(slot.process.pid or 0, signal.SIGUSR1)

    def kill_unready(self) -> None:
        """Kill those that are still starting: they hold nothing, and may wait for a broker or a store that is away."""
        for slot in self.slots:
            if slot.process is not None and not slot.booted:
                slot.process.kill()

    def kill_all(self) -> None:
        """Kill whoever is left, and wait for their ends."""
        for slot in self.slots:
            if slot.process is not None:
                slot.process.kill()
                slot.process.join()

    def _spawn(self, slot: Slot) -> None:
        ours, theirs = self._context.Pipe()
        slot.process = self._context.Process(
            target=self._main,
            args=(self._settings, self._host, slot.worker, theirs, os.getpid()),
            name=f"recording-worker {slot.worker}",
        )
        slot.process.start()
        theirs.close()  # so that its end is gone when the worker is
        slot.channel = Channel(ours)
        slot.started = slot.heard = self._clock.monotonic()
        log.info("worker started", worker=slot.worker, pid=slot.pid)

    def _hear(self, slot: Slot) -> Iterator[tuple[int, FromWorker]]:
        if slot.channel is None:
            return
        try:
            for message in slot.channel.receive():
                slot.heard = self._clock.monotonic()
                match message:
                    case Ready():
                        slot.ready = slot.booted = slot.proven = True
                    case BootFailed(error):
                        if not slot.proven:
                            raise error
                        log.error("worker can't start now", worker=slot.worker, error=str(error))
                    case Flushed():
                        slot.delivered, slot.flushing_since = True, None
                    case Progress(flushing=False):
                        slot.flushing_since = None
                    case Progress() if slot.flushing_since is None:
                        slot.flushing_since = slot.heard
                yield slot.worker, message
        except EOFError:
            slot.ready = False  # it is about to be reaped

    def _empty(self, slot: Slot) -> WorkerExit:
        process, now = slot.process, self._clock.monotonic()
        assert process is not None
        assert slot.channel is not None
        last_words = [message for _, message in self._hear(slot)]
        failures = 1 if slot.delivered or now - slot.started >= _STABLE_SECONDS else slot.failures + 1
        delay = _RESPAWN_BACKOFF.pause(failures)
        end = WorkerExit(
            worker=slot.worker,
            pid=process.pid or 0,
            code=process.exitcode or 0,
            booted=slot.booted,
            was_stuck=slot.stuck_since is not None,
            was_frozen=slot.frozen,
            last_words=last_words,
            restart_delay=delay,
        )
        failed_boots = 0 if slot.proven else slot.failed_boots + 1
        slot.channel.close()
        process.close()
        self.slots[slot.worker] = Slot(
            slot.worker, proven=slot.proven, failures=failures, failed_boots=failed_boots, start_at=now + delay
        )
        if failed_boots >= _BOOT_ATTEMPTS:
            raise BootError(f"worker {slot.worker} ended {failed_boots} times before it was ready, last by {end}")
        return end


def _is_frozen(pid: int) -> bool:
    """Whether a process is stopped, by a signal or a debugger; as far as the system tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")  # the name, in brackets, may hold anything
