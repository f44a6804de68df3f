"""set_poison_messages_aside: sends messages that killed a worker to the DLQ before they are decoded again."""

from collections.abc import Collection, Mapping

from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step

PoisonMessages = Mapping[tuple[int, int], str]
"""(partition, offset) → how the worker ended that read the message."""


class SetPoisonMessagesAside(Step):
    """Ends the rows of poison messages: DLQ. Comes before the native core sees a value, and after restrictions.

    Never blocks.
    """

    name = "set_poison_messages_aside"

    def __init__(self) -> None:
        self._poison: dict[tuple[int, int], str] = {}

    def add(self, poison: PoisonMessages) -> None:
        """Set these messages aside when they come."""
        self._poison.update(poison)

    def run(self, batch: MessageBatch) -> None:
        if not self._poison:
            return
        for row in batch.ok_rows():
            how = self._poison.get((batch.partitions[row], batch.offsets[row]))
            if how is not None:
                text = f"a worker that read this message ended by {how}"
                batch.end(row, Disposition.DLQ, Reason.WORKER_CRASHED, self.name, text)

    def forget(self, partitions: Collection[int]) -> None:
        self._poison = {at: how for at, how in self._poison.items() if at[0] not in partitions}
