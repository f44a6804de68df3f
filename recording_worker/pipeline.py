"""The pipeline: the steps a batch of messages goes through, in order."""

from collections.abc import Sequence
from typing import Protocol

from recording_worker.batch import Message, MessageBatch


class Step(Protocol):
    """One step of the pipeline. A step runs over the whole batch and calls no other step."""

    name: str

    def run(self, batch: MessageBatch) -> None:
        """Do the step for all rows that are still ok. A bad message is a disposition; an exception is a fault."""


class Pipeline:
    """Runs the steps over batches, and times each step."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def run(self, batch: MessageBatch) -> list[Message]:
        """Run all steps; returns the messages the batch was cut by, which are to be the start of the next batch.

        An empty batch is run as well: it lets the session batch be flushed by its age.
        """
        raise NotImplementedError
