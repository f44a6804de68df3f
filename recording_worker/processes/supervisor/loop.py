"""Supervisor: one loop that takes signals, tends the workers, takes part in the group, places partitions, commits."""

import faulthandler
import signal
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from types import FrameType
from uuid import uuid4

import structlog

from recording_worker.clock import Clock
from recording_worker.kafka.group_member import GroupMember
from recording_worker.kafka.offsets import OffsetStore, Position
from recording_worker.metrics import Metrics
from recording_worker.processes.control import (
    Assign,
    Decoded,
    Decoding,
    Discard,
    Flushed,
    FromWorker,
    Membership,
    PartitionStopped,
    Placement,
    Progress,
    Released,
    Revoke,
    Stop,
)
from recording_worker.processes.supervisor.balance import Balancer
from recording_worker.processes.supervisor.crashes import CRASH_SIGNALS, CrashLog, Death
from recording_worker.processes.supervisor.partitions import OwnedPartition, PartitionTable
from recording_worker.processes.supervisor.pool import WorkerExit, WorkerMain, WorkerPool
from recording_worker.processes.supervisor.status import Status
from recording_worker.processes.supervisor.status_board import StatusBoard
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_TURN_SECONDS = 0.1
_RETRY_SECONDS = 1.0
_HANGING_SECONDS = 240.0
"""What a turn of the loop may take beside a drain: much longer than `/healthz` gives it."""
_COMMIT_SECONDS = 2.0
"""What a stop, or a revoke, leaves for the last commit, however long the drain took."""
_LEAVE_SECONDS = 6.0
"""What a stop leaves for the farewell to the group; librdkafka itself mostly gives up after 5 s."""
_ABANDON_SECONDS = 1.0
"""The same where there is haste."""


class _SecondSignal(Exception):  # noqa: N818 - not an error
    """Exit at once."""


class Supervisor:
    """The supervisor of one host. `run` is called once."""

    def __init__(self, settings: Settings, clock: Clock, worker_main: WorkerMain, metrics: Metrics) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._offsets = OffsetStore()
        self._member = GroupMember(settings, self, self._offsets)
        self._pool = WorkerPool(settings, worker_main, clock, host=settings.group_instance_id or uuid4().hex)
        self._table = PartitionTable(range(settings.workers))
        self._crashes = CrashLog(clock)
        self._balancer = Balancer(clock)
        self._decoding: dict[int, Placement] = {}
        """Worker → the message it has told of and is not through with."""
        self._signals: deque[int] = deque()
        self._stopping = False
        self._joined = False
        self._assigned = False
        """Whether the group has given us our part, be it empty."""
        self._place_after = 0.0
        self._failures: list[str] = []
        """What went wrong while stopping."""
        self._told: dict[int, bytes] = {}
        """Worker → the membership it was told last."""
        self._board = StatusBoard(clock)

    @property
    def status(self) -> Status:
        """As of the last turn; other threads may read it."""
        return self._board.status

    def run(self) -> int:
        """Work until a signal; returns the exit code. Raises WorkerError where it can't go on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            while not self._stopping:
                self._watch()
                self._turn()
            self._watch()
            self._stop()
        except _SecondSignal:
            log.warning("second signal: exiting at once; what is not committed is read again")
            self._abandon()
            return 1
        except BaseException:
            self._abandon()
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
        if self._failures:
            log.error("stopped, but not cleanly: what is not committed is read again", causes=self._failures)
            return 1
        log.info("stopped: all that was read is flushed and committed")
        return 0

    def _watch(self) -> None:
        """Have the process end, its stacks written to stderr, should the loop not get back here for a long time.

        No call that is made here may wait so long. If one does so nevertheless, there is no other to notice it.
        """
        faulthandler.dump_traceback_later(_HANGING_SECONDS + self._settings.drain_deadline, exit=True)

    def _turn(self) -> None:
        """One turn of the loop."""
        self._take_signals()
        self._tend_workers()
        self._pool.spawn_missing()
        if not self._joined and len(self._pool.ready) == self._settings.workers:
            self._member.join()
            self._joined = True
        self._member.poll()
        self._share_membership()
        self._end_isolation()
        self._balance()
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
        self._metrics.workers.set(len(self._pool.alive))

    def _note_end(self, end: WorkerExit) -> None:
        decoding = self._decoding.pop(end.worker, None)
        if (end.code < 0 or end.step_failed) and not self._stopping:
            self._crashes.died(self._death(end, decoding))
        self._table.worker_gone(end.worker)
        self._told.pop(end.worker, None)
        self._metrics.worker_ended(end.worker)
        if not self._stopping:
            self._board.worker_gone(end.worker)
            self._metrics.worker_restarts.labels(end.reason).inc()
            delay = round(end.restart_delay, 1)
            log.error("worker ended", worker=end.worker, pid=end.pid, how=str(end), restart_in_seconds=delay)
        elif end.code and end.booted:
            self._failures.append(f"worker {end.worker} ended with {end}")

    def _death(self, end: WorkerExit, decoding: Placement | None) -> Death:
        """A worker's end that may be a message's doing. A partition that stopped before has no part in it."""
        read = [at for at in self._table.held_by(end.worker) if not at.stopped]
        return Death(
            how=str(end),
            by_itself=(end.was_stuck and not end.was_frozen) or -end.code in CRASH_SIGNALS,
            held={at.number: self._offsets.newest(at.number).offset for at in read},
            idle={at.number for at in read if self._is_idle(at)},
            decoding=(decoding.partition, decoding.offset) if decoding is not None else None,
        )

    def _is_idle(self, at: OwnedPartition) -> bool:
        """Whether there was nothing to read of a partition when its holder was last heard."""
        return at.state is not None and 0 <= at.state.high <= self._offsets.newest(at.number).offset

    def _hear(self, worker: int, message: FromWorker) -> None:
        match message:
            case Flushed():
                for placement in message.placements:
                    if self._table.is_current(worker, placement):
                        self._note_offset(placement, committed=message.committed)
                self._board.flushed(worker, message)
            case Progress(partitions):
                self._table.progress(worker, partitions)
                self._board.stale(worker, message.stale)
            case Released(placements):
                self._table.released(worker, placements)
            case Decoding(placement):
                if self._table.is_current(worker, placement):
                    self._decoding[worker] = placement
            case Decoded():
                self._decoding.pop(worker, None)
            case PartitionStopped(placement, text, halted):
                log.error(text)
                self._table.stop(worker, placement, text, halted=halted)

    def _note_offset(self, placement: Placement, *, committed: bool) -> None:
        position = Position(placement.offset, placement.account)
        if committed:
            self._offsets.committed({placement.partition: position})
        else:
            self._offsets.advance(placement.partition, position)
        self._crashes.delivered(placement.partition, placement.offset)

    def _share_membership(self) -> None:
        """Tell the workers as what this host is in the group, when that changes: their transactions need it.

        A partition that is lost is discarded first: no worker knows the newer membership while it holds such a one.
        """
        membership = self._member.membership()
        if membership is None:
            return
        for worker in self._pool.ready:
            if self._told.get(worker) != membership:
                self._told[worker] = membership
                self._pool.send(worker, Membership(membership))

    def _end_isolation(self) -> None:
        """Give partitions whose isolation is over to their workers again, to be read as any other."""
        recovered = self._crashes.take_recovered({at.number for at in self._table if self._is_idle(at)})
        if recovered:
            log.info("isolation ended", partitions=recovered)
            self._ask_for(recovered)

    def _balance(self) -> None:
        """Have a partition of a worker that lags go to one that is idle, where it is time for that."""
        pinned = {at.number for at in self._table if at.stopped or at.releasing or self._crashes.is_isolated(at.number)}
        move = self._balancer.next_move(self._table.lags(self._pool.ready), pinned)
        if move is not None:
            log.info("partition moves to an idle worker", partition=move.partition, giver=move.giver, taker=move.taker)
            self._metrics.partitions_moved.inc()
            self._table.rehome(move.partition, move.taker)

    def _ask_for(self, partitions: Iterable[int]) -> None:
        """Have the workers that hold these flush and release them."""
        for worker, numbers in self._table.ask_for(partitions).items():
            self._pool.send(worker, Revoke(numbers))

    def _place_partitions(self) -> None:
        """Give partitions that nobody holds to their homes, and ask for those that are held elsewhere."""
        self._ask_for(self._table.to_move())
        # a first offset that is committed late would overwrite what a worker commits in a transaction
        pending = self._offsets.pending()
        # and no worker reads before it knows under which membership it commits
        takers = self._pool.ready & self._told.keys()
        waiting = [number for number in self._table.to_place(takers) if number not in pending]
        # a commit that is under way, or tried again, might come after those of the worker
        if not waiting or self._member.is_committing or self._clock.monotonic() < self._place_after:
            return
        starts = self._member.start_offsets(waiting)
        for number, start in starts.items():
            self._offsets.begin(number, *start)
        known = {number: self._offsets.newest(number) for number in starts if self._offsets.is_committed(number)}
        if len(starts) < len(waiting):
            self._place_after = self._clock.monotonic() + _RETRY_SECONDS
        for worker, placements in self._table.place(known).items():
            self._pool.send(worker, self._assignment(placements))
            log.info("partitions placed", worker=worker, offsets={at.partition: at.offset for at in placements})

    def _assignment(self, placements: tuple[Placement, ...]) -> Assign:
        """The order to read these, with what is known of crashes over them."""
        for at in placements:
            self._crashes.placed(at.partition, at.offset)
        numbers = [at.partition for at in placements]
        return Assign(
            placements,
            isolated=tuple(number for number in numbers if self._crashes.is_isolated(number)),
            poison={
                (number, offset): how for number in numbers for offset, how in self._crashes.poison(number).items()
            },
        )

    def on_assign(self, partitions: list[int]) -> None:
        """Called by the group member: these are ours now; they are placed in the loop's next turn."""
        self._assigned = True
        self._table.add(partitions)

    def on_revoke(self, partitions: list[int]) -> None:
        """Called by the group member: flush and commit what is held of these, for they are given back on return."""
        log.info("partitions revoked", partitions=partitions)
        self._share_membership()  # what is flushed now is committed under it
        self._ask_for(partitions)
        deadline = self._clock.monotonic() + self._settings.drain_deadline
        while held := self._table.holders(partitions):
            if self._clock.monotonic() >= deadline:
                log.error("drain deadline passed: what is not flushed yet is read again elsewhere", held=dict(held))
                self._discard(held)
                break
            self._take_signals()
            self._tend_workers()
            self._share_membership()
            self._publish_status()
        self._member.commit_now(_COMMIT_SECONDS)
        self._disown(partitions)

    def on_lost(self, partitions: list[int]) -> None:
        """Called by the group member: these are somebody else's already."""
        log.error("partitions lost: the group took this host for dead", partitions=partitions)
        self._assigned = False
        self._discard(self._table.holders(partitions))
        self._disown(partitions)

    def _discard(self, held: Mapping[int, tuple[int, ...]]) -> None:
        for worker, numbers in held.items():
            self._pool.send(worker, Discard(numbers))

    def _disown(self, partitions: Collection[int]) -> None:
        self._table.remove(partitions)
        self._offsets.forget(partitions)
        self._crashes.forget(partitions)

    def _stop(self) -> None:
        """Have the workers flush and exit, commit, leave the group; what goes wrong is noted in `_failures`."""
        deadline = self._clock.monotonic() + self._settings.drain_deadline
        self._pool.kill_unready()
        for worker in self._pool.ready:
            self._pool.send(worker, Stop())
        while self._pool.alive and self._clock.monotonic() < deadline:
            self._take_signals()
            self._tend_workers()
            self._share_membership()
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
        self._member.close(_LEAVE_SECONDS, self._take_signals)

    def _abandon(self) -> None:
        """End without a flush: what is not committed is read again."""
        self._pool.kill_all()
        self._table.remove([at.number for at in self._table])
        self._member.close(_ABANDON_SECONDS)

    def _publish_status(self) -> None:
        self._board.publish(self._pool.slots, self._table, self._offsets, self._crashes, self._not_ready())

    def _not_ready(self) -> str:
        """Why this host does not record now, whatever its workers have; empty where it does."""
        if self._stopping:
            return "stopping"
        missing = [slot.worker for slot in self._pool.slots if not slot.ready]
        if missing:
            return f"workers not up: {missing}"
        if not self._assigned:
            return "waiting for the consumer group"
        halted = sorted(at.number for at in self._table if at.halted)
        return f"partitions halted, too many of their messages are for the DLQ: {halted}" if halted else ""
