"""parse_session_recording_message: decodes the whole batch with one call of the native core."""

from collections.abc import Callable

from recording_worker._native import Decoder
from recording_worker.clock import Clock
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import IngestionWarning, MessageBatch
from recording_worker.pipeline.step import Step

_DAY_MS = 86_400_000
_ERRORS = {
    Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY: "the message has no value, or no Kafka timestamp",
    Reason.INVALID_COMPRESSED_DATA: "the value can't be decompressed",
    Reason.PAYLOAD_TOO_LARGE: "the value is too large after decompression",
    Reason.INVALID_JSON: "the value is not JSON, or nested too deeply",
    Reason.INVALID_MESSAGE_PAYLOAD: "the value is not an object with the strings distinct_id and data",
    Reason.RECEIVED_NON_SNAPSHOT_MESSAGE: "data is not a $snapshot_items event with a session id and items",
    Reason.ID_TOO_LONG: "the session id, the window id or the distinct id is too long",
    Reason.SESSION_ID_HEADER_BODY_MISMATCH: "the session id in the header is not the one in the body",
    Reason.DISTINCT_ID_HEADER_BODY_MISMATCH: "the distinct id in the header is not the one in the body",
    Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS: "no item is an event with a valid timestamp",
    Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE: "its events are too far from now",
}


class ParseSessionRecordingMessage(Step):
    """Reads values, timestamps and header columns; sets `decoded`. Ends rows as docs/data/messages.md says.

    Cuts the batch if its rows decode to more than the decoder's limit, and before a large message that has to wait:
    then sets `large_waits`. Never blocks, and releases the GIL while it
    decodes. `clock` is None in offline runs: there the Kafka timestamp of each message counts as now.
    """

    name = "parse_session_recording_message"

    def __init__(
        self,
        decoder: Decoder,
        clock: Clock | None,
        max_timestamp_diff_days: float,
        metrics: Metrics,
        *,
        may_be_large: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_be_large` says whether there is memory for a large message."""
        self._decoder = decoder
        self._clock = clock
        self._max_timestamp_diff_days = max_timestamp_diff_days
        self._metrics = metrics
        self._may_be_large = may_be_large

    def run(self, batch: MessageBatch) -> None:
        if not len(batch):
            return
        now_ms = None if self._clock is None else self._clock.now_ms()
        decoded = self._decoder.decode(
            batch.messages.values,
            batch.content_encodings,
            batch.session_id_headers,
            batch.distinct_id_headers,
            batch.timestamps_ms,
            now_ms,
            batch.dispositions,
            batch.reasons,
            self._may_be_large(),
        )
        batch.decoded = decoded
        batch.large_waits = decoded.stopped_at_large
        if decoded.rows < len(batch):
            batch.cut(decoded.rows)
        for row in decoded.ended_rows:
            self._explain(batch, row)
        for row, first_time, last_time in decoded.far_rows:
            now = batch.timestamps_ms[row] if now_ms is None else now_ms
            batch.warnings.append(self._far_warning(row, first_time - now, last_time - now))
        for encoding, count in decoded.encodings.items():
            self._metrics.encoded_messages.labels(encoding).inc(count)
        self._metrics.uncompressed_bytes.inc(decoded.uncompressed_bytes)
        self._metrics.invalid_items.labels("no_event").inc(decoded.invalid_items)
        self._metrics.invalid_items.labels("too_far_from_now").inc(decoded.far_items)
        for shift_ms in decoded.clock_shifts:
            clock = "slow" if shift_ms > 0 else "fast"
            self._metrics.clock_shift_seconds.labels(clock).observe(abs(shift_ms) / 1000)
        self._metrics.invalid_utf8.inc(decoded.invalid_utf8)
        self._metrics.events_unpacked.inc(decoded.unpacked_events)
        self._metrics.unpack_failures.inc(decoded.unpack_failures)

    def _explain(self, batch: MessageBatch, row: int) -> None:
        """Explain why the core ended a row, and warn its team if no item was an event."""
        reason = Reason(batch.reasons[row])
        batch.end(row, Disposition(batch.dispositions[row]), reason, self.name, _ERRORS[reason])
        if reason is Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS:
            batch.warnings.append(IngestionWarning(row, reason.label, {}))

    def _far_warning(self, row: int, start_diff_ms: float, end_diff_ms: float) -> IngestionWarning:
        """Warn the team that items of a message are too far from now, whether the message was dropped or not."""
        details: dict[str, object] = {
            "startDiffDays": abs(start_diff_ms) / _DAY_MS,
            "endDiffDays": abs(end_diff_ms) / _DAY_MS,
            "thresholdDays": self._max_timestamp_diff_days,
        }
        return IngestionWarning(row, Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE.label, details)
