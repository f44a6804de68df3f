"""WorkerPool: the worker processes. Starts them, hears them, notices which are dead or stuck."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from selectors import EVENT_READ, PollSelector
from typing import Protocol

import structlog

from recording_worker.clock import Clock
from recording_worker.errors import BootError
from recording_worker.kafka.consumer import PartitionState
from recording_worker.processes.control import (
    BootFailed,
    Channel,
    Decoded,
    Decoding,
    DependencyReport,
    Failed,
    Flushed,
    Flushing,
    FromWorker,
    PartitionStopped,
    Placement,
    Progress,
    Ready,
    Released,
    ToWorker,
)
from recording_worker.processes.supervisor.slot import LastFlush, Slot, WorkerExit, WorkerProcess, WorkerState
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_BOOT_SECONDS = 60.0
"""Time a worker gets to be ready, if progress_deadline is shorter."""
_BOOT_ATTEMPTS = 5
"""Ends in a row before it was ready, after which a worker is given up."""
_DUMP_SECONDS = 1.0
"""Time a stuck worker gets to write its stacks."""
_KILL_SECONDS = 5.0
"""Time that killed workers get to end. One that waits for a disk or a network mount may take for ever."""

_URGENT = (Ready, Released)
"""Messages after which the loop has something to do at once. The rest is seen in its next turn."""

WorkerMain = Callable[[Settings, str, int, Connection, int], None]
"""A worker's entry point: settings, host, worker number, its end of the pipe, the supervisor's process id."""


class Listener(Protocol):
    """Learns what the workers say about partitions."""

    def on_flushed(
        self, worker: int, placements: Iterable[Placement], until: Mapping[int, int], *, committed: bool
    ) -> None:
        """Everything before these offsets is delivered. `committed`: in a transaction, with its offsets."""

    def on_flushing(self, worker: int, placements: Iterable[Placement]) -> None:
        """The worker begins to flush what it holds before these offsets."""

    def on_progress(self, worker: int, states: Mapping[int, PartitionState]) -> None:
        """The worker has read its partitions this far."""

    def on_released(self, worker: int, placements: Iterable[Placement]) -> None:
        """The worker holds nothing for these any more."""

    def on_decoding(self, worker: int, placement: Placement) -> None:
        """The worker is about to decode the message at the placement's offset."""

    def on_decoded(self, worker: int) -> None:
        """The worker has finished that message."""

    def on_stopped(self, worker: int, stop: PartitionStopped) -> None:
        """The worker has stopped reading a partition."""


class WorkerPool:
    """As many workers as the settings say, each in its slot. Only the supervisor's loop calls it."""

    def __init__(
        self, settings: Settings, worker_main: WorkerMain, clock: Clock, host: str, listener: Listener
    ) -> None:
        """`host` distinguishes this supervisor from the others in the group."""
        self._settings = settings
        self._host = host
        self._main = worker_main
        self._clock = clock
        self._listener = listener
        # never forked: librdkafka runs threads
        self._context = multiprocessing.get_context("spawn")
        self.slots = [Slot(worker) for worker in range(settings.workers)]
        self._sources = PollSelector()
        """The pipes of the workers, each with its slot and process, and what shows that a process has ended."""
        self._last_check = clock.monotonic()
        """When `kill_stuck` was last called."""

    @property
    def ready(self) -> set[int]:
        """Workers that take partitions."""
        return {slot.worker for slot in self.slots if slot.state is WorkerState.RUNNING}

    @property
    def alive(self) -> set[int]:
        return {slot.worker for slot in self.slots if slot.process is not None}

    def spawn_missing(self) -> None:
        """Start a worker in each empty slot whose delay is over. If the system refuses one, try again later."""
        for slot in self.slots:
            if slot.process is None and self._clock.monotonic() >= slot.start_at:
                self._spawn(slot)

    def hear(self, timeout: float) -> None:
        """Handle what the workers say, in order, for `timeout` seconds, or until one ends or says what is urgent.

        Otherwise many workers would leave no pause between two turns. Raises the error of a worker that can't start,
        if no worker in its place was ever ready.
        """
        deadline = time.monotonic() + timeout
        while True:
            ready = self._sources.select(max(0.0, deadline - time.monotonic()))
            urgent = [source.data is None or self._hear(*source.data) for source, _ in ready]
            if any(urgent) or time.monotonic() >= deadline:
                return

    def reap(self) -> list[WorkerExit]:
        """Return the workers that ended, after handling what they said last. Their slots are filled after a delay.

        Raises BootError for a worker that ended again and again and was never ready.
        """
        ended = [(slot, process) for slot, process in self._processes() if process.handle.exitcode is not None]
        return [self._reap(slot, process) for slot, process in ended]

    def send(self, worker: int, message: ToWorker) -> None:
        """Send an order. A worker that has stopped reading is killed; its partitions go on with the next one."""
        process = self.slots[worker].process
        if process is None or process.channel.try_send(message):
            return
        if process.handle.exitcode is None:
            log.error("worker does not read its orders", worker=worker, pid=process.pid)
            process.declare_stuck(self._clock.monotonic())
            process.handle.kill()

    def kill_stuck(self) -> None:
        """Have workers without progress within the deadline dump their stacks, then kill them."""
        now, progress_deadline = self._clock.monotonic(), self._settings.progress_deadline
        were_stopped = now - self._last_check > progress_deadline / 2
        self._last_check = now
        for slot, process in self._processes():
            if were_stopped and process.last_progress > process.excused:
                # we were stopped ourselves, and it may have been too: let it say something first. Only once, because
                # we may be slow as well
                process.excused = now
            deadline = progress_deadline if process.booted else max(progress_deadline, _BOOT_SECONDS)
            if process.state is WorkerState.STUCK:
                if now - process.stuck_since >= _DUMP_SECONDS:
                    process.handle.kill()
            elif now - max(process.last_progress, process.excused) > deadline:
                silent = round(now - process.heard, 1)
                log.error("worker is stuck", worker=slot.worker, pid=process.pid, silent_seconds=silent)
                process.declare_stuck(now)
                process.ask_for_stacks()

    def kill_unready(self) -> None:
        """Kill those that are still starting: they hold nothing, and may wait for a broker or a store that is away."""
        for _, process in self._processes():
            if not process.booted:
                process.handle.kill()

    def kill_all(self, timeout: float = _KILL_SECONDS) -> None:
        """Kill those that are left, and wait up to `timeout` seconds for their ends."""
        for _, process in self._processes():
            process.handle.kill()
        deadline = time.monotonic() + timeout
        for slot, process in self._processes():
            process.handle.join(max(0.0, deadline - time.monotonic()))
            if process.handle.exitcode is None:
                log.error("worker can't be killed", worker=slot.worker, pid=process.pid)

    def _processes(self) -> Iterator[tuple[Slot, WorkerProcess]]:
        for slot in self.slots:
            if slot.process is not None:
                yield slot, slot.process

    def _spawn(self, slot: Slot) -> None:
        try:
            process = self._start(slot.worker)
        except OSError as error:  # no descriptors, processes or memory are left, which mostly passes
            delay = slot.postpone(self._clock.monotonic(), str(error))
            log.error("worker can't be spawned", worker=slot.worker, error=str(error), retry_in_seconds=round(delay, 1))
            return
        slot.fill(process)
        self._sources.register(process.channel.connection, EVENT_READ, (slot, process))
        self._sources.register(process.handle.sentinel, EVENT_READ)
        log.info("worker started", worker=slot.worker, pid=process.pid)

    def _start(self, worker: int) -> WorkerProcess:
        ours, theirs = self._context.Pipe()
        with theirs:  # closed here, so that its end is gone when the worker is
            handle = self._context.Process(
                target=self._main,
                args=(self._settings, self._host, worker, theirs, os.getpid()),
                name=f"recording-worker {worker}",
            )
            try:
                handle.start()
            except OSError:
                ours.close()
                raise
        now = self._clock.monotonic()
        return WorkerProcess(handle, Channel(ours), started=now, heard=now)

    def _hear(self, slot: Slot, process: WorkerProcess) -> bool:
        """Handle what a worker has said. Return whether any of it was urgent, or the last it says."""
        urgent = False
        try:
            for message in process.channel.receive():
                if not isinstance(message, DependencyReport):
                    process.heard = self._clock.monotonic()
                self._handle(slot, process, message)
                urgent = urgent or isinstance(message, _URGENT)
        except EOFError:
            process.enter(WorkerState.ENDING)
            self._leave(process.channel.connection)  # a closed pipe is readable for ever
            return True
        return urgent

    def _leave(self, source: Connection | int) -> None:
        """Wait for this source no more, if it still is waited for."""
        with suppress(KeyError):
            self._sources.unregister(source)

    def _handle(self, slot: Slot, process: WorkerProcess, message: FromWorker) -> None:
        """Handle what a worker says. This is the only place that tells these messages apart."""
        match message:
            case Ready():
                process.booted = slot.proven = True
                process.enter(WorkerState.RUNNING)
            case BootFailed(error):
                if not slot.proven:
                    raise error
                slot.last_error = str(error)
                log.error("worker can't start now", worker=slot.worker, error=str(error))
            case Failed(text):
                slot.last_error = text
            case Progress(states, flushing, trouble):
                slot.read({number: state.position for number, state in states.items()}, self._now())
                process.report_flush(flushing)
                slot.trouble = trouble
                self._listener.on_progress(slot.worker, states)
            case DependencyReport(states):
                slot.learn(states)
            case Flushing(placements):
                process.report_flush(True)
                self._listener.on_flushing(slot.worker, placements)
            case Flushed(placements, committed):
                process.delivered = True
                process.report_flush(False)
                slot.last_flush = LastFlush(self._now(), message.sessions, message.bytes_written)
                self._listener.on_flushed(slot.worker, placements, message.until, committed=committed)
            case Released(placements):
                self._listener.on_released(slot.worker, placements)
            case Decoding(placement):
                self._listener.on_decoding(slot.worker, placement)
            case Decoded():
                self._listener.on_decoded(slot.worker)
            case PartitionStopped():
                self._listener.on_stopped(slot.worker, message)

    def _now(self) -> float:
        return self._clock.now_ms() / 1000

    def _reap(self, slot: Slot, process: WorkerProcess) -> WorkerExit:
        self._hear(slot, process)
        self._leave(process.channel.connection)
        self._leave(process.handle.sentinel)
        end = slot.empty(self._clock.monotonic())
        if slot.failed_boots >= _BOOT_ATTEMPTS:
            raise BootError(f"worker {slot.worker} ended {slot.failed_boots} times before it was ready, last by {end}")
        return end
