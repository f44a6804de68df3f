"""flush_batch: moves the offsets past this poll, and starts the flush of a session batch that is due."""

import time
from collections.abc import Iterable
from typing import Protocol

from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step
from recording_worker.recording.session_batch import (
    Advance,
    FlushReason,
    SessionBatchManager,
    SessionBatchRecorder,
    Since,
)


class FlushThread(Protocol):
    """What the step needs of the Flusher."""

    @property
    def busy(self) -> bool: ...
    def raise_if_failed(self) -> None: ...
    def submit(self, session_batch: SessionBatchRecorder, reason: FlushReason) -> None: ...


class FlushBatch(Step):
    """Hands the records and offsets of the poll to the session batch. Offsets advance in this place only.

    Then hands a session batch that is due to the flush thread. If a flush is in flight, the batch waits, and the worker
    stops polling while the batch is over its size. Raises the error of a flush that failed: then nothing of this poll
    is committed.
    """

    name = "flush_batch"

    def __init__(self, manager: SessionBatchManager, flusher: FlushThread, metrics: Metrics) -> None:
        self._manager = manager
        self._flusher = flusher
        self._metrics = metrics

    def run(self, batch: MessageBatch) -> None:
        self._flusher.raise_if_failed()
        if batch.session_batch is not None:
            advances = batch.advances()
            batch.session_batch.take(batch.records, advances)
            self._observe_lag(advances.values())
        reason = self._manager.due()
        if reason is not None and not self._flusher.busy:
            self._flusher.submit(self._manager.swap(), reason)
        self._metrics.sessions_handled.set(self._manager.session_count)
        self._metrics.session_batch_bytes.set(self._manager.raw_bytes)

    def _observe_lag(self, advances: Iterable[Advance]) -> None:
        """Observe how old the messages are. Their times are known to the second."""
        now = time.time()
        self._metrics.read_lag_seconds.observe_many(
            (max(0.0, now - second - 0.5), messages)
            for advance in advances
            for (since, second), messages in advance.seconds.items()
            if since is Since.RECEIVED
        )
