"""A worker's loop and everything it needs, for its tests."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from math import inf
from multiprocessing import Pipe
from typing import Any

from recording_worker._native import Decoder
from recording_worker.kafka.consumer import OffsetGap, PartitionFault, PartitionState
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.messages import Message, MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import Pipeline, build_pipeline
from recording_worker.processes.control import Assign, Channel, FromWorker, Placement, SupervisorChannel, ToWorker
from recording_worker.processes.worker.assignment import Assignment
from recording_worker.processes.worker.loop import Worker
from recording_worker.processes.worker.pauses import LoopPauses
from recording_worker.processes.worker.session_batches import SessionBatches
from recording_worker.recording.session_batch import (
    FlushReason,
    SessionBatchManager,
    SessionBatchRecorder,
    SessionLimits,
)
from recording_worker.settings.model import Settings
from recording_worker.tracing.base import NoTracing
from tests import builders
from tests.builders import FakeClock, FixedRestrictions
from tests.memory_keys import MemoryKeys
from tests.session_files import take_sessions

EVENT = builders.event(source=1, positions=[], filler="x" * 50_000)
MESSAGE_BYTES = len(json.dumps(EVENT)) + len('["window-1",]\n')
"""Bytes of lines that a message decodes to. What a session costs without its lines is little."""

message = partial(builders.message, value=builders.value([EVENT]))

Held = dict[int, list[int]]
"""Partition → the offsets of the messages whose events are held."""


def take_offsets(session_batch: SessionBatchRecorder) -> Held:
    held: Held = {}
    for session in take_sessions(session_batch.sessions):
        held.setdefault(session.entry["partition"], []).extend(offset for offset, _ in session.messages)
    return held


class FakeConsumer:
    def __init__(self) -> None:
        self.assigned: dict[int, int] = {}
        self.coming: list[Message] = []
        self.faults: list[PartitionFault] = []
        self.gaps: list[OffsetGap] = []
        self.polls = 0
        self.closed = False

    def assign(self, offsets: Mapping[int, int]) -> None:
        self.assigned.update(offsets)

    def unassign(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self.assigned.pop(partition, None)

    def consume(self, limit: int, _timeout: float) -> MessageColumns:
        self.polls += 1
        batch, self.coming = self.coming[:limit], self.coming[limit:]
        return MessageColumns.of(batch)

    def take_faults(self) -> list[PartitionFault]:
        faults, self.faults = self.faults, []
        return faults

    def take_gaps(self) -> list[OffsetGap]:
        gaps, self.gaps = self.gaps, []
        return gaps

    def states(self) -> dict[int, PartitionState]:
        return {partition: PartitionState(offset, 100) for partition, offset in self.assigned.items()}

    def close(self) -> None:
        self.closed = True


class FakeFlusher:
    """Ends a flush when it is waited for, or after a number of waits; or fails."""

    def __init__(self) -> None:
        self.flushed: list[tuple[Held, FlushReason]] = []
        self.busy = False
        self.raw_bytes = 0
        self.takes_waits = 0
        self.on_wait: Callable[[], object] | None = None
        self.fault: Exception | None = None
        self.closed = False

    def submit(self, session_batch: SessionBatchRecorder, reason: FlushReason) -> None:
        assert not self.busy
        self.flushed.append((take_offsets(session_batch), reason))
        self.busy = True

    def wait(self, _timeout: float) -> bool:
        self.takes_waits -= 1
        if self.on_wait is not None:
            self.on_wait()
        self.busy = self.takes_waits > 0
        return not self.busy

    def raise_if_failed(self) -> None:
        if self.fault:
            raise self.fault

    def close(self) -> None:
        self.closed = True


class WatchedPipeline:
    """The real pipeline. `runs` has the offsets of each batch it was run over."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.runs: list[list[int]] = []
        self.set_aside = pipeline.set_aside
        self.forget = pipeline.forget

    def run(self, batch: MessageBatch) -> float:
        seconds = self._pipeline.run(batch)
        self.runs.append(list(batch.offsets))
        return seconds


class Bench:
    """A worker with a real pipeline, a fake consumer and a fake flusher, and the supervisor's end of its pipe.

    Five messages fill a session batch.
    """

    def __init__(
        self,
        cut_after: int = 1000,
        large_bytes: int = 1 << 20,
        held_bytes: int = 1 << 30,
        encrypts: bool = False,
        **settings: Any,
    ) -> None:
        """`cut_after`: the pipeline cuts batches after this many good messages.

        `large_bytes`: messages that decode to more are large. `held_bytes`: what session batches may take.
        `encrypts`: with `keys`.
        """
        ours, theirs = Pipe()
        self.supervisor: SupervisorChannel = Channel(ours)
        self.theirs: Any = Channel(theirs)
        self.clock, self.metrics = FakeClock(), Metrics()
        self.settings = Settings(**{"max_batch_bytes": 5 * MESSAGE_BYTES, **settings})
        budget = replace(self.settings.budget, held_bytes=held_bytes)
        decoder = Decoder(max_decoded_bytes=cut_after * MESSAGE_BYTES - 1, large_bytes=large_bytes)
        self.consumer, self.flusher, self.assignment = FakeConsumer(), FakeFlusher(), Assignment()
        self.manager = SessionBatchManager(self.settings.topic, self.clock, budget.batch_bytes, inf, SessionLimits())
        self.keys = MemoryKeys()
        self.pipeline = WatchedPipeline(
            build_pipeline(
                self.settings,
                decoder=decoder,
                teams=AnyTokenTeams(),
                restrictions=FixedRestrictions(),
                manager=self.manager,
                flusher=self.flusher,
                clock=self.clock,
                metrics=self.metrics,
                keys=self.keys if encrypts else None,
            )
        )
        self.pauses = LoopPauses(self.metrics)
        flusher: Any = self.flusher
        fakes: dict[str, Any] = {"consumer": self.consumer, "pipeline": self.pipeline}
        self.worker = Worker(
            self.settings,
            channel=self.theirs,
            batches=SessionBatches(self.manager, flusher, decoder, budget, self.metrics),
            assignment=self.assignment,
            trouble=lambda: "",
            clock=self.clock,
            pauses=self.pauses,
            tracing=NoTracing(),
            **fakes,
        )

    def take_held(self) -> Held:
        """Take everything out of the session batch, and say what it was."""
        return take_offsets(self.manager.current)

    def turn(self, *orders: ToWorker) -> list[FromWorker]:
        """Turn the loop once with these orders. Return what the worker says."""
        for order in orders:
            assert self.supervisor.try_send(order)
        self.worker.turn()
        return list(self.supervisor.receive())

    def comes(self, *messages: Message) -> None:
        self.consumer.coming += messages

    def close(self) -> None:
        self.pauses.close()
        self.supervisor.close()
        self.theirs.close()


def assigned(*partitions: int, epoch: int = 1, offset: int = 0) -> Assign:
    return Assign(tuple(Placement(partition, epoch, offset) for partition in partitions))
