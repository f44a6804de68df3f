"""IngestCounts: the figures of an ingest, and the summary made from them."""

from collections import Counter
from dataclasses import dataclass, field

from recording_worker.errors import WorkerError
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.recording.flush import FlushedBatch


@dataclass(slots=True)
class IngestCounts:
    """What was read and what was written. `add` sums up several workers' counts."""

    ended: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Messages by the codes of disposition and reason, as the pipeline ended them."""
    bytes_in: int = 0
    """Bytes of message values as carried."""
    bytes_uncompressed: int = 0
    """Bytes of message values after decompression."""
    recorded: int = 0
    """Messages whose events are in written blocks."""
    discarded: int = 0
    """Messages that were recorded and taken out again, because their session passed the event limit."""
    events: int = 0
    blocks: int = 0
    bytes_written: int = 0
    """Bytes of batch files."""
    sessions: set[tuple[int, str]] = field(default_factory=set)
    """(team id, session id) of all blocks."""

    def read(self, batch: MessageBatch) -> None:
        """Count a batch after the pipeline has run it."""
        self.ended.update(zip(batch.dispositions, batch.reasons, strict=True))
        self.bytes_in += batch.messages.values.total
        if batch.decoded is not None:
            self.bytes_uncompressed += batch.decoded.uncompressed_bytes

    def flushed(self, flushed: FlushedBatch) -> None:
        """Count a session batch that was written."""
        self.recorded += flushed.messages
        self.events += flushed.events
        self.blocks += flushed.sessions
        self.bytes_written += flushed.bytes_written

    def add(self, other: "IngestCounts") -> None:
        self.ended.update(other.ended)
        self.sessions |= other.sessions
        self.bytes_in += other.bytes_in
        self.bytes_uncompressed += other.bytes_uncompressed
        self.recorded += other.recorded
        self.discarded += other.discarded
        self.events += other.events
        self.blocks += other.blocks
        self.bytes_written += other.bytes_written

    def summary(self, seconds: float) -> dict[str, object]:
        """Return the content of summary.json. `messages` = `ok` + all of `dropped`, `dlq` and `redirected`.

        Raises WorkerError if the pipeline took a message that is in no block.
        """
        if lost := self.ended[Disposition.OK, Reason.NONE] - self.recorded - self.discarded:
            raise WorkerError(f"{lost} messages were taken, but are in no block")
        dropped = self._by_reason(Disposition.DROP)
        if self.discarded:
            label = Reason.SESSION_EVENT_LIMIT.label
            dropped[label] = dropped.get(label, 0) + self.discarded
        return {
            "messages": self.ended.total(),
            "ok": self.recorded,
            "dropped": dropped,
            "dlq": self._by_reason(Disposition.DLQ),
            "redirected": self._by_reason(Disposition.REDIRECT),
            "events": self.events,
            "sessions": len(self.sessions),
            "blocks": self.blocks,
            "bytes_in": self.bytes_in,
            "bytes_uncompressed": self.bytes_uncompressed,
            "bytes_written": self.bytes_written,
            "seconds": round(seconds, 3),
        }

    def _by_reason(self, disposition: Disposition) -> dict[str, int]:
        return {
            Reason(reason).label: count
            for (ended_as, reason), count in sorted(self.ended.items())
            if ended_as == disposition
        }
