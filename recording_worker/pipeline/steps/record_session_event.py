"""record_session_event: adds the events of each message to the block of its session."""

from array import array

import structlog

from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step

log = structlog.get_logger()

_OVER_LIMIT = "the session has more events in this batch than max_events_per_session_per_batch"


class RecordSessionEvent(Step):
    """Reads `decoded`, `teams`; adds to `session_batch`. Ends rows of sessions over the event limit: drop.

    Such a session is taken out of the session batch again, and its events are counted. Logs each batch of the
    `debug_partition`.
    """

    name = "record_session_event"

    def __init__(self, metrics: Metrics, debug_partition: int | None = None) -> None:
        self._metrics = metrics
        self._debug_partition = debug_partition

    def run(self, batch: MessageBatch) -> None:
        session_batch, decoded = batch.session_batch, batch.decoded
        if session_batch is None or decoded is None:
            return
        self._metrics.sessions_revoked.set(0)  # recording goes on
        teams = batch.teams
        recorded = session_batch.sessions.record(
            decoded,
            batch.partitions,
            batch.offsets,
            batch.dispositions,
            batch.reasons,
            batch.tokens.codes,
            array("q", [0 if team is None else team.id for team in teams]),
            bytes(team is not None and team.console_logs for team in teams),
            batch.retentions,
        )
        for row in recorded.ended:
            batch.end(row, Disposition.DROP, Reason.SESSION_EVENT_LIMIT, self.name, _OVER_LIMIT)
        self._metrics.events_recorded.inc(recorded.events)
        if self._debug_partition is not None and self._debug_partition in batch.partitions:
            self._log(batch, self._debug_partition)

    def _log(self, batch: MessageBatch, partition: int) -> None:
        rows = [row for row, number in enumerate(batch.partitions) if number == partition]
        log.debug(
            "batch",
            partition=partition,
            messages=len(rows),
            first_offset=batch.offsets[rows[0]],
            last_offset=batch.offsets[rows[-1]],
            bytes=sum(map(batch.messages.values.size, rows)),
            ended=[(batch.offsets[row], *batch.why(row)) for row in rows if batch.reasons[row]],
        )
