"""set_culprits_aside: keeps the messages that ended a worker before from being decoded again."""

from collections.abc import Mapping

from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch


class SetCulpritsAside:
    """Ends the rows of `culprits`: DLQ. It comes before the native core sees a value, and after restrictions.

    `culprits`: (partition, offset) → how the worker ended at that message; its owner may change it between batches.
    Never blocks.
    """

    name = "set_culprits_aside"

    def __init__(self, culprits: Mapping[tuple[int, int], str]) -> None:
        self._culprits = culprits

    def run(self, batch: MessageBatch) -> None:
        if not self._culprits:
            return
        for row in batch.ok_rows():
            how = self._culprits.get((batch.partitions[row], batch.offsets[row]))
            if how is not None:
                text = f"a worker that read this message ended by {how}"
                batch.end(row, Disposition.DLQ, Reason.WORKER_CRASHED, self.name, text)
