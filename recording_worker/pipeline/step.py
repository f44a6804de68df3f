"""Step: what all steps of the pipeline have in common."""

from collections.abc import Collection
from typing import Protocol

from recording_worker.pipeline.batch import MessageBatch


class Step(Protocol):
    """One step of the pipeline. A step runs over the whole batch and calls no other step."""

    name: str
    """Named after what it does, as its module is."""

    def run(self, batch: MessageBatch) -> None:
        """Do the step for all rows that are still ok. A bad message gets a disposition; an exception is a fault."""

    def forget(self, partitions: Collection[int]) -> None:  # noqa: ARG002 - most steps have nothing to forget
        """Drop what the step knows about the messages of these partitions.

        They are read no longer, or from another offset.
        """
        return
