"""SessionBatches: what a worker has read and not delivered yet."""

from collections.abc import Collection

from recording_worker._native import Decoder
from recording_worker.kafka.consumer import OffsetGap
from recording_worker.metrics import Metrics
from recording_worker.recording.flush import Flusher
from recording_worker.recording.session_batch import FlushReason, SessionBatchManager
from recording_worker.settings.memory import MemoryBudget


class SessionBatches:
    """The session batch that a worker fills, and the one that is being flushed.

    The pipeline fills it, and flushes it when it is due. This flushes and discards what is held of given partitions.
    """

    def __init__(
        self, manager: SessionBatchManager, flusher: Flusher, decoder: Decoder, budget: MemoryBudget, metrics: Metrics
    ) -> None:
        """`decoder` knows how much memory their lines take."""
        self._manager = manager
        self._flusher = flusher
        self._decoder = decoder
        self._most_bytes = budget.held_bytes
        self._metrics = metrics

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be read before the session batch is flushed."""
        return self._manager.is_full

    @property
    def take_too_much(self) -> bool:
        """Whether the session batches take all the memory that they may. If there is none, they don't."""
        held = max(self._decoder.held_bytes, self._manager.raw_bytes + self._flusher.raw_bytes)
        return held >= self._most_bytes and (self.flushing or not self.is_empty)

    @property
    def is_empty(self) -> bool:
        """Whether the batch that is filled holds nothing."""
        return self._manager.is_empty

    @property
    def flushing(self) -> bool:
        """Whether a flush is in flight."""
        return self._flusher.busy

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until no flush is in flight. Return whether none is.

        Raises the error of a flush that failed.
        """
        if not self._flusher.wait(timeout):
            return False
        self._flusher.raise_if_failed()
        return True

    def flush(self, partitions: Collection[int], reason: FlushReason) -> None:
        """Begin to flush the session batch, if it holds anything of these partitions. No flush may be in flight."""
        if not self._manager.is_empty and not self._manager.current.offsets.keys().isdisjoint(partitions):
            self.flush_all(reason)

    def flush_all(self, reason: FlushReason) -> None:
        """Begin to flush the session batch. No flush may be in flight."""
        self._flusher.submit(self._manager.swap(), reason)

    def discard(self, partitions: Collection[int]) -> int:
        """Drop these partitions from the session batch. Return how many sessions that drops."""
        sessions = self._manager.discard_partitions(partitions)
        self._metrics.sessions_revoked.set(sessions)
        return sessions

    def skip(self, gap: OffsetGap) -> None:
        """Move a partition past offsets that are gone from the log."""
        self._manager.current.partition(gap.partition).skip(gap.start, gap.end)

    def close(self) -> None:
        """End the flush thread, after the flush in flight."""
        self._flusher.close()
