"""Worker: the tight loop of a worker process. Takes orders, reads messages, runs the pipeline, says how far it is."""

from collections.abc import Collection

import structlog

from recording_worker import metrics
from recording_worker.batch import Message, MessageBatch
from recording_worker.clock import Clock
from recording_worker.kafka.consumer import PartitionConsumer
from recording_worker.pipeline import Pipeline
from recording_worker.recording.flush import Flusher
from recording_worker.recording.session_batch import FlushReason, SessionBatchManager
from recording_worker.settings import Settings
from recording_worker.supervisor.control import (
    Assign,
    Discard,
    PartitionStopped,
    Progress,
    Released,
    Revoke,
    Stop,
    ToWorker,
    WorkerChannel,
)
from recording_worker.worker.holdings import Holdings

log = structlog.get_logger()

_PROGRESS_SECONDS = 1.0
"""How often a worker says how far it is."""


class Worker:
    """One worker. Deadlines are the supervisor's: it kills a worker that takes too long over anything."""

    def __init__(
        self,
        settings: Settings,
        *,
        channel: WorkerChannel,
        consumer: PartitionConsumer,
        pipeline: Pipeline,
        manager: SessionBatchManager,
        flusher: Flusher,
        holdings: Holdings,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._channel = channel
        self._consumer = consumer
        self._pipeline = pipeline
        self._manager = manager
        self._flusher = flusher
        self._holdings = holdings
        self._clock = clock
        self._rest: list[Message] = []
        """Messages the last batch was cut by."""
        self._stopping = False
        self._discarded = False
        """Whether the gauge of revoked sessions shows a number."""
        self._reported = clock.monotonic()

    def run(self) -> None:
        """Work until told to stop. Raises EOFError when the supervisor is gone, WorkerError on faults."""
        while not self._stopping:
            self.turn()
        self._consumer.close()
        self._flusher.close()

    def turn(self) -> None:
        """One turn of the loop: orders, then a batch, or a wait while there is no room for one."""
        for order in self._channel.receive():
            self._obey(order)
        if self._manager.raw_bytes < self._settings.max_batch_bytes:
            self._rest = self._run_batch(self._rest or self._consume())
        elif self._flusher.wait(self._settings.poll_timeout):
            self._run_batch([])  # the full session batch goes to the idle flusher; the rest waits on
        self._report_progress()

    def _obey(self, order: ToWorker) -> None:
        match order:
            case Assign(placements):
                self._holdings.take(placements)
                self._consumer.assign({at.partition: at.offset for at in placements})
            case Revoke(partitions):
                self._stop_reading(partitions)
                self._flush(partitions, FlushReason.REVOKE)
                self._channel.send(Released(self._holdings.placements(dict.fromkeys(partitions, -1))))
                self._holdings.drop(partitions)
            case Discard(partitions):
                self._discard(partitions)
            case Stop():
                everything = self._holdings.partitions
                self._stop_reading(everything)
                self._flush(everything, FlushReason.STOP)
                self._stopping = True

    def _consume(self) -> list[Message]:
        messages = self._consumer.consume(self._settings.poll_messages, self._settings.poll_timeout)
        for fault in self._consumer.take_faults():
            [placement] = self._holdings.placements({fault.partition: fault.offset})
            self._channel.send(PartitionStopped(placement, fault.text))
        return messages

    def _run_batch(self, messages: list[Message]) -> list[Message]:
        """The pipeline over one batch, empty or not: an empty one lets a session batch be flushed when it is due.

        Returns the messages the batch was cut by.
        """
        batch = MessageBatch(self._settings.topic, messages)
        rest = self._pipeline.run(batch)
        if messages and self._discarded:
            metrics.SESSIONS_REVOKED.set(0)
            self._discarded = False
        if self._settings.debug_partition in batch.partitions:
            self._log_batch(batch, self._settings.debug_partition)
        return rest

    def _stop_reading(self, partitions: Collection[int]) -> None:
        self._consumer.unassign(partitions)
        self._rest = [message for message in self._rest if message.partition not in partitions]

    def _flush(self, partitions: Collection[int], reason: FlushReason) -> None:
        """Have all flushed that is held of these partitions, and wait for it."""
        self._wait_for_flush()
        if not self._manager.is_empty and not self._manager.current.offsets.keys().isdisjoint(partitions):
            self._flusher.submit(self._manager.swap(), reason)
            self._wait_for_flush()

    def _discard(self, partitions: Collection[int]) -> None:
        """Forget what is held of partitions that are somebody else's."""
        self._stop_reading(partitions)
        sessions = self._manager.discard_partitions(partitions)
        metrics.SESSIONS_REVOKED.set(sessions)
        self._discarded = True
        log.warning("partitions lost, what was held of them is discarded", partitions=partitions, sessions=sessions)
        self._holdings.drop(partitions)
        # a flush in flight may hold some of these; its offsets must not count for a later hand-over
        self._wait_for_flush()

    def _wait_for_flush(self) -> None:
        """Wait until no flush is in flight. Raises what it failed with."""
        while not self._flusher.wait(_PROGRESS_SECONDS):
            pass
        self._flusher.raise_if_failed()

    def _report_progress(self) -> None:
        now = self._clock.monotonic()
        if now - self._reported >= _PROGRESS_SECONDS:
            self._channel.send(Progress(self._consumer.states(), self._flusher.busy))
            self._reported = now

    def _log_batch(self, batch: MessageBatch, partition: int) -> None:
        rows = [row for row, number in enumerate(batch.partitions) if number == partition]
        log.debug(
            "batch",
            partition=partition,
            messages=len(rows),
            first_offset=batch.offsets[rows[0]],
            last_offset=batch.offsets[rows[-1]],
            bytes=sum(len(batch.values[row] or b"") for row in rows),
            ended=[(batch.offsets[row], *batch.errors[row]) for row in rows if row in batch.errors],
        )
