"""Worker: the tight loop of a worker process. Takes orders, reads messages, runs the pipeline, reports its progress."""

import time
from collections import deque
from collections.abc import Callable, Collection

import structlog

from recording_worker.clock import Clock
from recording_worker.errors import StepError, WorkerError
from recording_worker.kafka.consumer import PartitionConsumer
from recording_worker.messages import NO_MESSAGES, MessageColumns
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import Pipeline
from recording_worker.processes.control import (
    Assign,
    Decoded,
    Decoding,
    Discard,
    Membership,
    PartitionStopped,
    Progress,
    Released,
    Revoke,
    Stop,
    ToWorker,
    WorkerChannel,
)
from recording_worker.processes.worker.assignment import Assignment
from recording_worker.processes.worker.pauses import LoopPauses
from recording_worker.processes.worker.session_batches import SessionBatches
from recording_worker.recording.session_batch import FlushReason
from recording_worker.settings.model import Settings
from recording_worker.tracing.base import Tracing

log = structlog.get_logger()

_PROGRESS_SECONDS = 1.0
"""How often a worker reports its progress."""
_ISOLATED_MESSAGES = 100
"""Messages that are flushed together while a partition is isolated. If their flush ends the worker, each of them is
flushed alone."""
_WAIT_SECONDS = 0.1
"""The pause before a batch that waits is tried again."""
_ORDER_SECONDS = 0.05
"""How often a worker looks for orders while it waits for a flush."""


class Worker:
    """One worker. It keeps no deadlines: the supervisor kills a worker that takes too long."""

    def __init__(
        self,
        settings: Settings,
        *,
        channel: WorkerChannel,
        consumer: PartitionConsumer,
        pipeline: Pipeline,
        batches: SessionBatches,
        assignment: Assignment,
        trouble: Callable[[], str],
        clock: Clock,
        pauses: LoopPauses,
        tracing: Tracing,
    ) -> None:
        """`trouble`: see Progress."""
        self._settings = settings
        self._channel = channel
        self._consumer = consumer
        self._pipeline = pipeline
        self._batches = batches
        self._assignment = assignment
        self._trouble = trouble
        self._clock = clock
        self._pauses = pauses
        self._tracing = tracing
        self._orders: deque[ToWorker] = deque()
        """Orders that are received, and not obeyed yet."""
        self._rest = NO_MESSAGES
        """Messages that were cut off the last batch."""
        self._waiting: MessageBatch | None = None
        """A batch that a step lets wait. Nothing is read until it is done."""
        self._isolated: set[int] = set()
        """Partitions to read message by message. While there is one, all are read so."""
        self._large_waits = False
        """Whether the next message is a large one, which waits until no session batch is held."""
        self._alone_before: dict[int, int] = {}
        """Isolated partition → the offset before which each message is flushed alone."""
        self._unflushed = 0
        """Messages read in isolation since the last flush for it."""
        self._idle = False
        """Whether the last poll brought no message."""
        self._stopping = False
        self._reported = clock.monotonic()

    def run(self, after_turn: Callable[[bool], None]) -> None:
        """Work until an order to stop. Raises EOFError if the supervisor is gone, WorkerError on faults.

        A StepError is a WorkerError that a message may have caused. `after_turn` is called after each turn, with
        whether the last poll brought no message.
        """
        while not self._stopping:
            self.turn()
            after_turn(self._idle)
            self._pauses.end_turn(self._idle)
        self._consumer.close()
        self._batches.close()

    def turn(self) -> None:
        """Obey the orders, then run a batch, or wait while there is no room for one."""
        self._take_orders()
        while self._orders:
            self._obey(self._orders.popleft())
        if self._large_waits or self._batches.take_too_much:
            self._free_memory()
        elif self._waiting is not None and not self._batches.is_full:
            self._run_waiting(self._waiting)
        elif self._isolated and self._waiting is None:
            self._run_isolated()
        elif not self._batches.is_full:
            self._run_batch(self._next(self._settings.poll_messages))
        elif self._flush_ends():
            self._run_batch(NO_MESSAGES)  # hands the full session batch to the idle flush thread; the rest waits
        self._report_progress()

    def _free_memory(self) -> None:
        """Have session batches flushed until there is memory for the next messages."""
        if not self._flush_ends():
            return
        if self._batches.is_empty:
            self._large_waits = False
        elif self._large_waits or self._batches.take_too_much:
            self._batches.flush_all(FlushReason.MEMORY)

    def _take_orders(self) -> None:
        """Queue the orders that have come. Membership and discards take effect at once: the flush thread needs them.

        Assignment and membership change in the order that the supervisor sent: see Assignment.
        """
        for order in self._channel.receive():
            match order:
                case Membership(metadata):
                    self._assignment.join(metadata)
                case Discard(partitions):
                    self._assignment.drop(partitions)
                    self._orders.append(order)
                case _:
                    self._orders.append(order)

    def _obey(self, order: ToWorker) -> None:
        match order:
            case Assign(placements, isolated, poison, alone_before):
                self._assignment.take(placements)
                self._isolated.update(isolated)
                self._alone_before.update(alone_before)
                self._pipeline.set_aside(poison)
                self._consumer.assign({at.partition: at.offset for at in placements})
            case Revoke(partitions):
                self._stop_reading(partitions)
                self._flush(partitions, FlushReason.REVOKE)
                self._channel.send(Released(self._assignment.placements(partitions)))
                self._assignment.drop(partitions)
            case Discard(partitions):
                self._discard(partitions)
            case Stop():
                everything = self._assignment.partitions
                self._stop_reading(everything)
                self._flush(everything, FlushReason.STOP)
                self._stopping = True

    def _next(self, limit: int) -> MessageColumns:
        """Return up to `limit` messages: the ones that wait, or if none wait, a poll."""
        if not len(self._rest):
            return self._consume(limit)
        messages, self._rest = self._rest[:limit], self._rest[limit:]
        return messages

    def _consume(self, limit: int) -> MessageColumns:
        with self._pauses.busy("poll"):
            messages = self._consumer.consume(limit, self._settings.poll_timeout)
        self._idle = not len(messages)
        for fault in self._consumer.take_faults():
            self._isolated.discard(fault.partition)
            if placements := self._assignment.placements([fault.partition]):
                self._channel.send(PartitionStopped(placements[0], fault.text))
        return messages

    def _run_isolated(self) -> None:
        """Run the pipeline over one message. Report the message to the supervisor before and after.

        No other message is decoded or flushed at the same time. So if the process dies or hangs between the reports,
        the message is the cause. A flush of several messages that dies says which ones must be flushed alone.
        """
        if not self._flush_ends():
            return
        messages = self._next(1)
        alone = any(map(self._is_alone, messages.partitions, messages.offsets))
        if alone or self._unflushed >= _ISOLATED_MESSAGES:
            self._flush_in_isolation()
        held = self._assignment.placements(messages.partitions)
        for placement, offset in zip(held, messages.offsets, strict=False):
            self._channel.send(Decoding(placement._replace(offset=offset)))
        self._run_batch(messages)
        self._unflushed += len(messages)
        if alone:
            self._flush_in_isolation()
        if held:
            self._channel.send(Decoded())

    def _is_alone(self, partition: int, offset: int) -> bool:
        """Return whether a message must be flushed alone."""
        return offset < self._alone_before.get(partition, 0)

    def _flush_in_isolation(self) -> None:
        self._flush(self._assignment.partitions, FlushReason.ISOLATION)
        self._unflushed = 0

    def _run_batch(self, messages: MessageColumns) -> None:
        """Run the pipeline over one batch. An empty batch lets it flush a session batch that is due."""
        self._run(MessageBatch(self._settings.topic, messages, self._assignment.topic_id))

    def _run_waiting(self, batch: MessageBatch) -> None:
        """Go on with the batch that waits. Let the session batch, which holds none of it, be flushed by its age."""
        self._run_steps(MessageBatch(self._settings.topic, NO_MESSAGES, self._assignment.topic_id))
        self._run(batch)
        if self._waiting is not None:
            time.sleep(_WAIT_SECONDS)
        elif self._isolated:
            self._flush_in_isolation()

    def _run_steps(self, batch: MessageBatch) -> None:
        try:
            with self._pauses.active("steps"), self._tracing.poll(batch.topic, batch.messages.headers) as attributes:
                self._pauses.busy_for(self._pipeline.run(batch))
                if batch.session_batch is not None:
                    attributes["recording.batch_id"] = batch.session_batch.batch_id
        except WorkerError:
            raise
        except Exception as error:
            raise StepError(f"a step of the pipeline raised {error!r}") from error

    def _run(self, batch: MessageBatch) -> None:
        self._run_steps(batch)
        self._waiting = batch if batch.waits else None
        if batch.waits:
            return
        self._rest = batch.rest.followed_by(self._rest)
        self._large_waits = batch.large_waits
        for partition, why in batch.halts.items():
            self._halt(partition, why)
        if not len(self._rest):  # all messages before the gap are recorded
            for gap in self._consumer.take_gaps():
                self._batches.skip(gap)

    def _halt(self, partition: int, why: str) -> None:
        """Stop reading a partition. The pipeline has discarded everything of it that is not flushed."""
        self._stop_reading([partition])
        for placement in self._assignment.placements([partition]):
            self._channel.send(PartitionStopped(placement, why, halted=True))

    def _stop_reading(self, partitions: Collection[int]) -> None:
        self._consumer.unassign(partitions)
        self._rest = self._rest.without(partitions)
        if self._waiting is not None:
            self._waiting.leave(partitions)
        self._isolated.difference_update(partitions)
        for partition in partitions:
            self._alone_before.pop(partition, None)
        self._pipeline.forget(partitions)

    def _flush(self, partitions: Collection[int], reason: FlushReason) -> None:
        """Flush everything held for these partitions, and wait."""
        self._wait_for_flush()
        self._batches.flush(partitions, reason)
        self._wait_for_flush()

    def _discard(self, partitions: Collection[int]) -> None:
        """Drop what is held for partitions that belong to another worker now."""
        self._stop_reading(partitions)
        sessions = self._batches.discard(partitions)
        log.warning("partitions lost: discarded what was held for them", partitions=partitions, sessions=sessions)
        self._assignment.drop(partitions)
        # a flush in flight may hold some of these; its offsets must not count under a later epoch
        self._wait_for_flush()

    def _flush_ends(self) -> bool:
        """Wait until no flush is in flight, for as long as a poll may take. Return whether none is."""
        with self._pauses.busy("flush"):
            return self._batches.wait(self._settings.poll_timeout)

    def _wait_for_flush(self) -> None:
        """Wait until no flush is in flight. Raises the error of a flush that failed.

        Takes orders meanwhile, because the flush may wait for a newer membership.
        """
        while not self._batches.wait(_ORDER_SECONDS):
            self._take_orders()

    def _report_progress(self) -> None:
        now = self._clock.monotonic()
        if now - self._reported >= _PROGRESS_SECONDS:
            self._channel.send(Progress(self._consumer.states(), self._batches.flushing, self._trouble()))
            self._reported = now
