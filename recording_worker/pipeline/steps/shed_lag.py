"""shed_lag: sends messages that waited too long to the backfill topic, so that live replays stay live."""

from zlib import crc32

from recording_worker.clock import Clock
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step


class ShedLag(Step):
    """Reads Kafka timestamps and the session header. Ends rows that are too old: redirect. Never blocks.

    With a share below 1, this applies to that share of all sessions. The session's id alone decides, so all workers
    agree at any time. If a message has no session header, its key decides.
    """

    name = "shed_lag"

    def __init__(self, after_seconds: float, share: float, clock: Clock) -> None:
        self._after_ms = after_seconds * 1000
        self._below = round(share * 2**32)
        self._clock = clock

    def run(self, batch: MessageBatch) -> None:
        oldest = self._clock.now_ms() - self._after_ms
        if min(batch.timestamps_ms, default=oldest) >= oldest:
            return
        for row in batch.ok_rows():
            # a message without a timestamp has -1
            if 0 <= batch.timestamps_ms[row] < oldest and self._is_of_the_share(batch, row):
                text = "the message is older than lag_shed_after"
                batch.end(row, Disposition.REDIRECT, Reason.LAG_SHED, self.name, text)

    def _is_of_the_share(self, batch: MessageBatch, row: int) -> bool:
        session_id = batch.session_id_headers[row]
        return crc32(session_id.encode() if session_id else batch.messages.keys[row] or b"") < self._below
