"""How a flushed session batch is made to count."""

from recording_worker.kafka.producer import RecordProducer
from recording_worker.recording.flush import FlushedBatch
from recording_worker.supervisor.control import Flushed, WorkerChannel
from recording_worker.worker.holdings import Holdings


class AtLeastOnceDelivery:
    """Produces the records, waits for every acknowledgement, then reports the offsets, which the supervisor commits.

    After a crash in between, the batch's messages are read again: doubled, never lost.
    """

    def __init__(self, producer: RecordProducer, holdings: Holdings, channel: WorkerChannel) -> None:
        self._producer = producer
        self._holdings = holdings
        self._channel = channel

    def deliver(self, flushed: FlushedBatch) -> None:
        """Called on the flush thread. Raises FlushError."""
        self._producer.send(flushed.records)
        placements = self._holdings.placements(flushed.offsets)
        self._channel.send(Flushed(placements, flushed.sessions, flushed.events, flushed.bytes_written))
