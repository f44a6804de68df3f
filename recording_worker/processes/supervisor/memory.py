"""PartitionMemory: all that the supervisor knows about the partitions it owns. No processes, no Kafka."""

from collections.abc import Collection, Iterable, Mapping

import structlog

from recording_worker.clock import Clock
from recording_worker.kafka.consumer import PartitionState
from recording_worker.kafka.log_ends import FoundEnds
from recording_worker.kafka.offsets import OffsetStore, Position
from recording_worker.processes.control import Assign, PartitionStopped, Placement
from recording_worker.processes.supervisor.crashes import CRASH_SIGNALS, CrashLog, Death
from recording_worker.processes.supervisor.partitions import OwnedPartition, PartitionTable
from recording_worker.processes.supervisor.slot import WorkerExit
from recording_worker.processes.supervisor.status import PartitionStatus

log = structlog.get_logger()


class PartitionMemory:
    """Who holds each partition, how far it is, and which workers died over it.

    An event that concerns more than one of the three is reported here, so that all of them learn about it.
    """

    def __init__(self, workers: Collection[int], clock: Clock) -> None:
        self.table = PartitionTable(workers)
        self.offsets = OffsetStore()
        self._clock = clock
        self._crashes = CrashLog(clock)
        self._decoding: dict[int, Placement] = {}
        """Worker → the message it has reported and not finished."""
        self._flushing: dict[int, dict[int, int]] = {}
        """Worker → partition in the flush in flight → the offset before which its messages are."""

    def remove(self, partitions: Collection[int]) -> None:
        """Forget partitions that are not ours any more."""
        self.table.remove(partitions)
        self.offsets.forget(partitions)
        self._crashes.forget(partitions)

    def to_place(self, takers: Collection[int]) -> list[int]:
        """Return partitions that nobody holds and one of these workers should.

        A partition whose first offset is not committed yet waits: that commit would overwrite what the worker commits
        in a transaction.
        """
        waiting = self.table.to_place(takers)
        pending = self.offsets.pending() if waiting else {}
        return [number for number in waiting if number not in pending]

    def place(self, starts: Mapping[int, tuple[Position | None, int]], topic_id: str = "") -> dict[int, Assign]:
        """Give partitions to their workers; return worker → the order that says so.

        `starts`: partition → (what is committed or None, where to begin if nothing is), of the topic of this id. A
        partition whose start must be committed first is not placed yet.
        """
        for number, start in starts.items():
            self.offsets.begin(number, *start, topic_id)
        known = {number: self.offsets.newest(number) for number in starts if self.offsets.is_committed(number)}
        return {worker: self._assign(placements) for worker, placements in self.table.place(known).items()}

    def worker_ended(self, end: WorkerExit, *, blame: bool) -> None:
        """Note that a worker holds nothing any more. `blame`: its end may be the fault of a message."""
        decoding, flushing = self._decoding.pop(end.worker, None), self._flushing.pop(end.worker, {})
        if blame:
            self._crashes.died(self._death(end, decoding, flushing))
        self.table.worker_gone(end.worker)

    def on_flushing(self, worker: int, placements: Iterable[Placement]) -> None:
        self._flushing[worker] = {at.partition: at.offset for at in placements if self.table.is_current(worker, at)}

    def on_flushed(
        self, worker: int, placements: Iterable[Placement], until: Mapping[int, int], *, committed: bool
    ) -> None:
        self._flushing.pop(worker, None)
        for at in placements:
            if self.table.is_current(worker, at):
                self.table.recorded(at.partition, until.get(at.partition, 0))
                position = Position(at.offset, at.account, at.topic_id)
                if committed:
                    self.offsets.committed({at.partition: position})
                else:
                    self.offsets.advance(at.partition, position)
                self._crashes.delivered(at.partition, at.offset)

    def on_progress(self, worker: int, states: Mapping[int, PartitionState]) -> None:
        self.table.progress(worker, states)
        now = self._now()
        for at in self.table.of(worker, states):
            if self._is_idle(at):
                at.caught_up_at = now

    def on_ends(self, found: FoundEnds) -> None:
        """Note how far the logs go, whatever the workers say."""
        self.table.found_ends(found.offsets)
        for at in self.table:
            end, committed = found.offsets.get(at.number), self.offsets.committed_offset(at.number)
            if end is not None and committed is not None and end <= committed:
                at.caught_up_at = max(at.caught_up_at, found.asked_at)

    def on_released(self, worker: int, placements: Iterable[Placement]) -> None:
        self.table.released(worker, placements)

    def on_decoding(self, worker: int, placement: Placement) -> None:
        if self.table.is_current(worker, placement):
            self._decoding[worker] = placement

    def on_decoded(self, worker: int) -> None:
        self._decoding.pop(worker, None)

    def on_stopped(self, worker: int, stop: PartitionStopped) -> None:
        log.error(stop.text)
        self.table.stop(worker, stop.placement, stop.text, halted=stop.halted)

    def take_recovered(self) -> list[int]:
        """Return the partitions whose isolation ended since the last call."""
        return self._crashes.take_recovered(
            {at.number for at in self.table.some(self._crashes.partitions) if self._is_idle(at)}
        )

    def pinned(self) -> set[int]:
        """Return the partitions that must not move to another worker now."""
        return {at.number for at in self.table if at.stopped or at.releasing or self._crashes.is_isolated(at.number)}

    def status(self) -> tuple[PartitionStatus, ...]:
        """Return what to show of each partition, in the order of their numbers."""
        return tuple(
            PartitionStatus(
                number=at.number,
                worker=at.holder,
                committed=self.offsets.committed_offset(at.number),
                position=at.state.position if at.state else None,
                high=at.known_end,
                stopped=at.stopped,
                isolated=self._crashes.is_isolated(at.number),
                recorded_until=at.recorded_until,
                behind_since=max(at.recorded_until, at.caught_up_at) or None,
            )
            for at in sorted(self.table, key=lambda at: at.number)
        )

    def _assign(self, placements: tuple[Placement, ...]) -> Assign:
        """Return the order to read these, with what is known about crashes over them."""
        for at in placements:
            self._crashes.placed(at.partition, at.offset)
        numbers = [at.partition for at in placements]
        return Assign(
            placements,
            isolated=tuple(number for number in numbers if self._crashes.is_isolated(number)),
            poison={
                (number, offset): how for number in numbers for offset, how in self._crashes.poison(number).items()
            },
            alone_before={number: end for number in numbers if (end := self._crashes.alone_before(number))},
        )

    def _death(self, end: WorkerExit, decoding: Placement | None, flushing: Mapping[int, int]) -> Death:
        """Return an end that a message may have caused. A partition that had stopped before has no part in it.

        A worker that was stuck in a flush may have waited for storage or a broker, whatever the message.
        """
        hung = end.was_stuck and not end.was_frozen and not flushing
        read = [at for at in self.table.held_by(end.worker) if not at.stopped]
        return Death(
            how=str(end),
            by_itself=hung or -end.code in CRASH_SIGNALS,
            held={at.number: self.offsets.newest(at.number).offset for at in read},
            idle={at.number for at in read if self._is_idle(at)},
            decoding=(decoding.partition, decoding.offset) if decoding is not None else None,
            flushing=flushing,
        )

    def _now(self) -> float:
        """Return the seconds since 1970."""
        return self._clock.now_ms() / 1000

    def _is_idle(self, at: OwnedPartition) -> bool:
        """Return whether the partition had nothing to read when its holder last reported."""
        return at.state is not None and 0 <= at.state.high <= self.offsets.newest(at.number).offset
