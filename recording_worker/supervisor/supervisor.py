"""Supervisor: one loop that takes signals, tends the workers, takes part in the group, places partitions, commits."""

import signal
import time
from collections import Counter, deque
from collections.abc import Collection
from types import FrameType

import structlog
from confluent_kafka import KafkaException
from prometheus_client.multiprocess import mark_process_dead

from recording_worker import metrics
from recording_worker.clock import Clock
from recording_worker.kafka.clients import check_broker
from recording_worker.kafka.membership import GroupMember, member_config
from recording_worker.kafka.offsets import OffsetStore
from recording_worker.settings import Settings
from recording_worker.supervisor.control import (
    Assign,
    Discard,
    Flushed,
    FromWorker,
    PartitionStopped,
    Progress,
    Released,
    Revoke,
    Stop,
)
from recording_worker.supervisor.partitions import PartitionTable
from recording_worker.supervisor.pool import WorkerExit, WorkerMain, WorkerPool
from recording_worker.supervisor.status import PartitionStatus, Status, WorkerStatus
from recording_worker.worker import process

log = structlog.get_logger()

_BROKER_TIMEOUT = 8.0
_TURN_SECONDS = 0.1
_RETRY_SECONDS = 1.0
_COMMIT_SECONDS = 2.0
"""What a stop leaves for the last commit, however long the drain took."""


class _SecondSignal(Exception):  # noqa: N818 - not an error
    """Exit at once."""


class Supervisor:
    """The supervisor of one host. `run` is called once."""

    def __init__(self, settings: Settings, clock: Clock, worker_main: WorkerMain = process.main) -> None:
        self._settings = settings
        self._clock = clock
        self._offsets = OffsetStore()
        self._member = GroupMember(settings, self, self._offsets)
        self._pool = WorkerPool(settings, worker_main, clock)
        self._table = PartitionTable(range(settings.workers))
        self._signals: deque[int] = deque()
        self._stopping = False
        self._joined = False
        self._assigned = False
        """Whether the group has given us our part, be it empty."""
        self._place_after = 0.0
        self._failures: list[str] = []
        """What went wrong while stopping."""
        self._restarts: Counter[int] = Counter()
        self._last_flush: dict[int, str] = {}
        self.status = Status(clock.monotonic(), "starting")
        """Replaced every turn; other threads may read it."""

    def run(self) -> int:
        """Work until a signal; returns the exit code. Raises WorkerError where it can't go on."""
        check_broker(member_config(self._settings), self._settings.topic, _BROKER_TIMEOUT)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            while not self._stopping:
                self._turn()
            self._stop()
        except _SecondSignal:
            log.warning("second signal: exiting at once; what is not committed is read again")
            self._pool.kill_all()
            return 1
        except BaseException:
            self._pool.kill_all()
            self._table.remove([at.number for at in self._table])
            self._member.close()
            raise
        if self._failures:
            log.error("stopped, but not cleanly: what is not committed is read again", causes=self._failures)
            return 1
        log.info("stopped: all that was read is flushed and committed")
        return 0

    def _turn(self) -> None:
        """One turn of the loop."""
        self._take_signals()
        self._tend_workers()
        self._pool.spawn_missing()
        if not self._joined and len(self._pool.ready) == self._settings.workers:
            self._member.join()
            self._joined = True
        self._member.poll()
        self._place_partitions()
        self._member.commit_soon()
        self._publish_status()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _take_signals(self) -> None:
        while self._signals:
            number = self._signals.popleft()
            if self._stopping:
                raise _SecondSignal
            self._stopping = True
            log.info("stopping", signal=signal.Signals(number).name)

    def _tend_workers(self) -> None:
        """Hear the workers, reap the dead, kill the stuck."""
        for worker, message in self._pool.wait(_TURN_SECONDS):
            self._hear(worker, message)
        for end in self._pool.reap():
            for message in end.last_words:
                self._hear(end.worker, message)
            self._note_end(end)
        self._pool.kill_stuck()
        metrics.WORKERS.set(len(self._pool.alive))

    def _note_end(self, end: WorkerExit) -> None:
        self._table.worker_gone(end.worker)
        mark_process_dead(end.pid)  # type: ignore[no-untyped-call]
        if not self._stopping:
            self._restarts[end.worker] += 1
            metrics.WORKER_RESTARTS.labels(end.reason).inc()
            delay = round(end.restart_delay, 1)
            log.error("worker ended", worker=end.worker, pid=end.pid, how=str(end), restart_in_seconds=delay)
        elif end.code:
            self._failures.append(f"worker {end.worker} ended with {end}")

    def _hear(self, worker: int, message: FromWorker) -> None:
        match message:
            case Flushed():
                for placement in message.placements:
                    if self._table.is_current(worker, placement):
                        self._offsets.advance(placement.partition, placement.offset)
                when = time.strftime("%H:%M:%S", time.gmtime(self._clock.now_ms() / 1000))
                self._last_flush[worker] = f"{when} UTC: {message.sessions} sessions, {message.bytes_written:,} bytes"
            case Progress(partitions):
                self._table.progress(worker, partitions)
            case Released(placements):
                self._table.released(worker, placements)
            case PartitionStopped(placement, text):
                log.error(text)
                self._table.stop(worker, placement, text)

    def _place_partitions(self) -> None:
        """Give partitions that nobody holds to their homes, and ask for those that are held elsewhere."""
        for worker, numbers in self._table.ask_for(self._table.to_move()).items():
            self._pool.send(worker, Revoke(numbers))
        waiting = self._table.to_place(self._pool.ready)
        if not waiting or self._clock.monotonic() < self._place_after:
            return
        try:
            starts = self._member.start_offsets(waiting)
        except KafkaException as problem:
            log.warning("committed offsets can't be read yet", error=problem.args[0].str())
            self._place_after = self._clock.monotonic() + _RETRY_SECONDS
            return
        offsets = {number: self._offsets.begin(number, *start) for number, start in starts.items()}
        for worker, placements in self._table.place(offsets).items():
            self._pool.send(worker, Assign(placements))
            log.info("partitions placed", worker=worker, offsets={at.partition: at.offset for at in placements})

    def on_assign(self, partitions: list[int]) -> None:
        """Called by the group member: these are ours now; they are placed in the loop's next turn."""
        self._assigned = True
        self._table.add(partitions)

    def on_revoke(self, partitions: list[int]) -> None:
        """Called by the group member: flush and commit what is held of these, for they are given back on return."""
        log.info("partitions revoked", partitions=partitions)
        for worker, numbers in self._table.ask_for(partitions).items():
            self._pool.send(worker, Revoke(numbers))
        deadline = self._clock.monotonic() + self._settings.drain_deadline
        while held := self._table.holders(partitions):
            if self._clock.monotonic() >= deadline:
                log.error("drain deadline passed: what is not flushed yet is read again elsewhere", held=dict(held))
                break
            self._take_signals()
            self._tend_workers()
            self._publish_status()
        self._member.commit_now()
        self._disown(partitions)

    def on_lost(self, partitions: list[int]) -> None:
        """Called by the group member: these are somebody else's already."""
        log.error("partitions lost: the group took this host for dead", partitions=partitions)
        for worker, numbers in self._table.holders(partitions).items():
            self._pool.send(worker, Discard(numbers))
        self._disown(partitions)

    def _disown(self, partitions: Collection[int]) -> None:
        self._table.remove(partitions)
        self._offsets.forget(partitions)

    def _stop(self) -> None:
        """Have the workers flush and exit, commit, leave the group; what goes wrong is noted in `_failures`."""
        deadline = self._clock.monotonic() + self._settings.drain_deadline
        for worker in self._pool.alive:
            self._pool.send(worker, Stop())
        while self._pool.alive and self._clock.monotonic() < deadline:
            self._take_signals()
            self._tend_workers()
            self._publish_status()
        if late := self._pool.alive:
            self._failures.append(f"workers {sorted(late)} did not flush within drain_deadline")
            self._pool.kill_all()
            self._tend_workers()
        deadline = max(deadline, self._clock.monotonic() + _COMMIT_SECONDS)
        while self._offsets.pending() and self._clock.monotonic() < deadline:
            self._take_signals()
            self._member.commit_soon()
            self._member.poll(_TURN_SECONDS)
        if pending := self._offsets.pending():
            self._failures.append(f"offsets not committed: {pending}")
        self._member.close()

    def _publish_status(self) -> None:
        self.status = Status(
            at=self._clock.monotonic(),
            not_ready=self._not_ready(),
            workers=tuple(
                WorkerStatus(
                    number=slot.worker,
                    pid=slot.pid,
                    state="running" if slot.ready else "waiting" if slot.pid is None else "starting",
                    restarts=self._restarts[slot.worker],
                    last_flush=self._last_flush.get(slot.worker, ""),
                )
                for slot in self._pool.slots
            ),
            partitions=tuple(
                PartitionStatus(
                    number=at.number,
                    worker=at.holder,
                    committed=self._offsets.committed_offset(at.number),
                    position=at.state.position if at.state else None,
                    high=at.state.high if at.state and at.state.high >= 0 else None,
                    stopped=at.stopped,
                )
                for at in sorted(self._table, key=lambda at: at.number)
            ),
        )

    def _not_ready(self) -> str:
        """Why this host does not record now; empty where it does."""
        if self._stopping:
            return "stopping"
        missing = [slot.worker for slot in self._pool.slots if not slot.ready]
        if missing:
            return f"workers not up: {missing}"
        return "" if self._assigned else "waiting for the consumer group"
