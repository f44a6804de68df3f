"""Flusher: writes a session batch to storage and hands its records and offsets to the delivery, beside consuming."""

from dataclasses import dataclass
from typing import Protocol

from recording_worker.batch import OutputRecord
from recording_worker.recording.session_batch import FlushReason


@dataclass(frozen=True, slots=True)
class FlushedBatch:
    """A session batch whose files are stored; its records and offsets are yet to be delivered."""

    batch_id: str
    topic: str
    reason: FlushReason
    records: list[OutputRecord]
    """All that goes to Kafka with this batch: metadata, console logs, warnings, DLQ and overflow records."""
    offsets: dict[int, int]
    """Partition → the offset to go on from."""
    sessions: int
    messages: int
    """Messages whose events are in the files."""
    events: int
    raw_bytes: int
    bytes_written: int
    seconds: float = 0.0


class Delivery(Protocol):
    """What makes a flushed batch count: its records reach Kafka, and its offsets move."""

    def deliver(self, flushed: FlushedBatch) -> None:
        """Produce the records and have the offsets committed. Blocks until acknowledged.

        Called on the flush thread. Raises FlushError, or AssignmentLostError where the partitions
        are not ours any more.
        """
