"""SupervisorLoop: one turn tends the workers, takes part in the group, places partitions and commits offsets."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import structlog

from recording_worker.clock import Clock
from recording_worker.dependencies import KAFKA, DependencyWatch
from recording_worker.kafka.group_member import GroupMember
from recording_worker.kafka.topic_id import TopicWatch
from recording_worker.metrics import Metrics
from recording_worker.processes.control import Discard, Membership, Revoke, Stop
from recording_worker.processes.supervisor.balance import Balancer
from recording_worker.processes.supervisor.board import DependencyBoard, DependencyStatus
from recording_worker.processes.supervisor.memory import PartitionMemory
from recording_worker.processes.supervisor.paced import Paced
from recording_worker.processes.supervisor.pool import WorkerMain, WorkerPool
from recording_worker.processes.supervisor.signals import StopSignals
from recording_worker.processes.supervisor.slot import WorkerExit, WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, RecentError, Status, WorkerStatus
from recording_worker.processes.supervisor.systemd import SystemdNotifier
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_TURN_SECONDS = 0.1
_SHARE = 0.01
"""The share of the time that the status may take, and the look for a move. Each takes some milliseconds for a thousand
partitions."""
_LONGEST_SECONDS = 1.0
"""How long either may wait for that, even if the machine is slow."""
_ERRORS = 20
"""How many of the last errors are shown."""
_RETRY_SECONDS = 1.0
_COMMIT_SECONDS = 2.0
"""What a stop, or a revoke, leaves for the last commit, however long the drain took."""
_LEAVE_SECONDS = 6.0
"""What a stop leaves for leaving the group. librdkafka itself mostly gives up after 5 s."""
_ABANDON_SECONDS = 1.0
"""The same, if the service exits at once."""


class SupervisorLoop:
    """The supervisor's work, turn by turn. Only one thread calls it; `status` may be read by others."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        worker_main: WorkerMain,
        metrics: Metrics,
        signals: StopSignals,
        systemd: SystemdNotifier,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._signals = signals
        self._systemd = systemd
        workers = range(settings.workers)
        self._memory = PartitionMemory(workers, clock)
        self._table, self._offsets = self._memory.table, self._memory.offsets
        self._member = GroupMember(settings, self, self._offsets)
        self._kafka = DependencyWatch(KAFKA, clock)
        self._topic = TopicWatch(settings, clock, self._kafka)
        self._board = DependencyBoard(clock, self._remember)
        host = settings.group_instance_id or uuid4().hex
        self._pool = WorkerPool(settings, worker_main, clock, host, self._memory)
        self._balancer = Balancer(clock)
        self._memberships: dict[int, bytes] = {}
        """Worker → the membership it was last sent."""
        self._restarts = dict.fromkeys(workers, 0)
        self._joined = False
        self._assigned = False
        """Whether the group has given us our share, even an empty one."""
        self._committed: dict[int, int | None] = {}
        """Partition → what was committed in the last turn."""
        self._committed_at: float | None = None
        self._worker_committed_at: dict[int, float] = {}
        self._without_share_since: float | None = None
        """When this host lost a share, or joined; None if it has its share."""
        self._errors: deque[RecentError] = deque(maxlen=_ERRORS)
        self._place_after = 0.0
        self._publishing = Paced(clock, self._publish_status, share=_SHARE, longest=_LONGEST_SECONDS)
        self._balancing = Paced(clock, self._balance, share=_SHARE, longest=_LONGEST_SECONDS)
        self._failures: list[str] = []
        """What went wrong while stopping."""
        self.status = Status(clock.monotonic(), ("starting",))
        """As of the last turn; replaced, never changed."""

    def begin(self) -> None:
        """Find out which topic is read. Raises BootError."""
        self._topic.begin()

    def turn(self) -> None:
        """Do one turn. Raises WorkerError if the supervisor can't go on, SecondSignal."""
        self._signals.take()
        self._tend_workers()
        self._pool.spawn_missing()
        self._watch_topic()
        self._watch_log_ends()
        if not self._joined and len(self._pool.ready) == self._settings.workers:
            self._member.join()
            self._joined = True
            self._without_share_since = self._clock.monotonic()
        self._member.poll()
        self._share_membership()
        self._end_isolation()
        self._balancing.turn()
        self._place_partitions()
        self._member.commit_soon()
        self._publishing.turn()

    def stop(self) -> list[str]:
        """Have the workers flush and exit, commit, leave the group. Return what went wrong. Raises SecondSignal."""
        self._systemd.stopping()
        self._publish_status()
        deadline = self._clock.monotonic() + self._settings.drain_deadline
        self._pool.kill_unready()
        for worker in self._pool.ready:
            self._pool.send(worker, Stop())
        while self._pool.alive and self._clock.monotonic() < deadline:
            self._wait_for_workers()
        if late := self._pool.alive:
            self._failures.append(f"workers {sorted(late)} did not flush within drain_deadline")
            self._pool.kill_all()
            self._tend_workers()
        deadline = max(deadline, self._clock.monotonic() + _COMMIT_SECONDS)
        while self._offsets.pending() and self._clock.monotonic() < deadline:
            self._signals.take()
            self._member.commit_soon()
            self._member.poll(_TURN_SECONDS)
        if pending := self._offsets.pending():
            self._failures.append(f"offsets not committed: {pending}")
        self._member.close(_LEAVE_SECONDS, self._signals.take)
        return self._failures

    def abandon(self) -> None:
        """End without a flush: what is not committed is read again. Raises nothing, whatever has failed before."""
        with _whatever_fails():
            self._pool.kill_all()
        with _whatever_fails():
            self._table.remove([*self._table.numbers])
        with _whatever_fails():
            self._member.close(_ABANDON_SECONDS)

    def on_assign(self, partitions: list[int]) -> None:
        """Take partitions that the group gives us; they are placed in the next turn."""
        self._assigned = True
        self._metrics.rebalances.inc()
        if self._without_share_since is not None:
            self._metrics.rebalance_seconds.inc(self._clock.monotonic() - self._without_share_since)
            self._without_share_since = None
        self._table.add(partitions)

    def on_revoke(self, partitions: list[int]) -> None:
        """Flush and commit what is held for these; they are given back when this returns."""
        log.info("partitions revoked", partitions=partitions)
        self._without_share_since = self._clock.monotonic()
        self._share_membership()  # what is flushed now is committed under it
        self._ask_for(partitions)
        deadline = self._clock.monotonic() + self._settings.drain_deadline
        while held := self._table.holders(partitions):
            if self._clock.monotonic() >= deadline:
                log.error("drain deadline passed: what is not flushed yet is read again elsewhere", held=dict(held))
                self._discard(held)
                break
            self._wait_for_workers()
        self._member.commit_now(_COMMIT_SECONDS)
        self._memory.remove(partitions)

    def on_lost(self, partitions: list[int]) -> None:
        """Drop partitions that another host owns already."""
        log.error("partitions lost: the group took this host for dead", partitions=partitions)
        self._assigned = False
        self._without_share_since = self._clock.monotonic()
        self._discard(self._table.holders(partitions))
        self._memory.remove(partitions)

    def _wait_for_workers(self) -> None:
        """Do the part of a turn that goes on while the workers drain."""
        self._signals.take()
        self._tend_workers()
        self._share_membership()
        self._publishing.turn()

    def _tend_workers(self) -> None:
        """Hear the workers, reap the dead, kill the stuck."""
        self._pool.hear(_TURN_SECONDS)
        for end in self._pool.reap():
            self._note_end(end)
        self._pool.kill_stuck()
        self._metrics.workers.set(len(self._pool.alive))

    def _note_end(self, end: WorkerExit) -> None:
        stopping = self._signals.stopping
        self._memory.worker_ended(end, blame=end.is_suspicious and not stopping)
        self._memberships.pop(end.worker, None)
        self._metrics.worker_ended(end.worker)
        if not stopping:
            self._restarts[end.worker] += 1
            self._metrics.worker_restarts.labels(end.reason).inc()
            delay = round(end.restart_delay, 1)
            why = self._pool.slots[end.worker].last_error
            log.error("worker ended", worker=end.worker, pid=end.pid, how=str(end), why=why, restart_in_seconds=delay)
            self._remember(f"worker {end.worker} ended with {end}" + (f": {why}" if why else ""))
        elif end.code and end.booted:
            self._failures.append(f"worker {end.worker} ended with {end}")

    def _share_membership(self) -> None:
        """Send the workers this host's membership of the group if it has changed: their transactions need it.

        A lost partition is discarded first, so no worker knows the newer membership while it still holds one.
        """
        membership = self._member.membership()
        if membership is None:
            return
        for worker in self._pool.ready:
            if self._memberships.get(worker) != membership:
                self._memberships[worker] = membership
                self._pool.send(worker, Membership(membership))

    def _watch_topic(self) -> None:
        """If the topic was created again, have all discarded that is held, and place all partitions at their beginning.

        What is held may be of the old topic or of the new one, and nothing tells which.
        """
        if self._topic.turn():
            partitions = [*self._table.numbers]
            log.error("the topic was deleted and created again: it is read from its beginning", partitions=partitions)
            self._discard(self._table.holders(partitions))
            self._memory.remove(partitions)
            self._table.add(partitions)

    def _watch_log_ends(self) -> None:
        found = self._topic.ends.turn(self._table.numbers)
        if found is not None:
            self._memory.on_ends(found)

    def _end_isolation(self) -> None:
        """Ask for partitions whose isolation is over: they are placed again, to be read as any other."""
        recovered = self._memory.take_recovered()
        if recovered:
            log.info("isolation ended", partitions=recovered)
            self._ask_for(recovered)

    def _balance(self) -> None:
        """Move a partition from a worker that lags to an idle one, when it is time for that."""
        move = self._balancer.next_move(self._table.lags(self._pool.ready), self._memory.pinned())
        if move is not None:
            log.info("partition moves to an idle worker", partition=move.partition, giver=move.giver, taker=move.taker)
            self._metrics.partitions_moved.inc()
            self._table.rehome(move.partition, move.taker)

    def _place_partitions(self) -> None:
        """Give partitions that nobody holds to their homes, and ask for those that are held elsewhere."""
        self._ask_for(self._table.to_move())
        # no worker reads before it knows under which membership it commits
        waiting = self._memory.to_place(self._pool.ready & self._memberships.keys())
        # a commit that is under way, or tried again, might come after the worker's
        if not waiting or self._member.is_committing or self._clock.monotonic() < self._place_after:
            return
        is_known = self._topic.is_still_the_same()
        starts = self._member.start_offsets(waiting, self._topic.topic_id) if is_known else {}
        if len(starts) < len(waiting):
            self._place_after = self._clock.monotonic() + _RETRY_SECONDS
        for worker, order in self._memory.place(starts, self._topic.topic_id).items():
            self._pool.send(worker, order)
            offsets = {at.partition: at.offset for at in order.placements}
            log.info("partitions placed", worker=worker, offsets=offsets)

    def _ask_for(self, partitions: Iterable[int]) -> None:
        """Order the workers that hold these to flush and release them."""
        for worker, numbers in self._table.ask_for(partitions).items():
            self._pool.send(worker, Revoke(numbers))

    def _discard(self, held: Mapping[int, tuple[int, ...]]) -> None:
        for worker, numbers in held.items():
            self._pool.send(worker, Discard(numbers))

    def _remember(self, error: str) -> None:
        self._errors.append(RecentError(self._clock.now_ms() / 1000, error))

    def _publish_status(self) -> None:
        now = self._clock.monotonic()
        board = self._board.turn([self._kafka.state], {slot.worker: slot.dependencies for slot in self._pool.slots})
        partitions = self._memory.status()
        self._note_commits(partitions)
        self.status = Status(
            at=now,
            reasons=tuple(self._reasons(board)),
            dependencies=board,
            workers=tuple(
                WorkerStatus(
                    number=slot.worker,
                    pid=slot.process.pid if slot.process else None,
                    state=slot.state,
                    restarts=self._restarts[slot.worker],
                    last_flush=slot.last_flush,
                    read_at=slot.read_at,
                    committed_at=self._worker_committed_at.get(slot.worker),
                    silent_seconds=slot.silent_seconds(now),
                    trouble=slot.trouble or slot.refusal,
                    last_error=slot.last_error,
                )
                for slot in self._pool.slots
            ),
            partitions=partitions,
            brokers_known=self._member.statistics.brokers_known,
            brokers_connected=self._member.statistics.brokers_connected,
            committed_at=self._committed_at,
            errors=tuple(self._errors),
            memory_budget=self._settings.memory_bytes,
        )
        self._systemd.turned(started=self._joined, status="; ".join(self.status.reasons) or "ready")

    def _note_commits(self, partitions: Iterable[PartitionStatus]) -> None:
        """Note which committed offsets have moved since the last turn."""
        for at in partitions:
            if at.committed != self._committed.get(at.number, at.committed):
                self._committed_at = self._clock.now_ms() / 1000
                if at.worker is not None:
                    self._worker_committed_at[at.worker] = self._committed_at
        self._committed = {at.number: at.committed for at in partitions}

    def _reasons(self, board: Iterable[DependencyStatus]) -> Iterator[str]:
        """Yield why this host does not record now; nothing if it does."""
        if self._signals.stopping:
            yield "stopping"
        missing = [slot.worker for slot in self._pool.slots if slot.state is not WorkerState.RUNNING]
        if missing:
            refusals = {slot.worker: slot.refusal for slot in self._pool.slots if slot.refusal}
            yield f"workers not up: {missing}" + (f", can't be spawned: {refusals}" if refusals else "")
        for each in board:
            if each.dependency.needed and each.failing_seconds >= self._settings.not_ready_after:
                yield f"{each.dependency.title}: {each}"
        if not self._assigned and not missing:
            yield "waiting for the consumer group"
        halted = sorted(at.number for at in self._table if at.halted)
        if halted:
            yield f"partitions halted, too many of their messages are for the DLQ: {halted}"
        yield from (f"worker {slot.worker}: {slot.trouble}" for slot in self._pool.slots if slot.trouble)


@contextmanager
def _whatever_fails() -> Iterator[None]:
    """Log an error, and go on."""
    try:
        yield
    except Exception:
        log.exception("clean-up failed")
