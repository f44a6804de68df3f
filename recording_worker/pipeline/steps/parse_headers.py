"""parse_headers: turns the message headers that other steps read into columns."""

from recording_worker._native import TextColumn
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import Ending, MessageBatch
from recording_worker.pipeline.step import Step

_NAMES = ("token", "session_id", "distinct_id", "event", "uuid", "lib_version", "content-encoding", "now")


class ParseHeaders(Step):
    """Reads the headers; sets the header columns. Ends rows without a token: dlq `no_token_in_header`.

    With `require_ids`, as PostHog's consumer does, it also ends rows without a session id or a distinct id: dlq
    `no_session_id_in_header`, `no_distinct_id_in_header`.

    Keys and values are read as UTF-8. Invalid bytes become U+FFFD, and NUL characters are removed. A header whose value
    is null counts as absent. If a header comes twice, the last one counts.
    """

    name = "parse_headers"

    def __init__(self, *, require_ids: bool = False) -> None:
        self._require_ids = require_ids

    def run(self, batch: MessageBatch) -> None:
        (
            batch.tokens,
            batch.session_id_headers,
            batch.distinct_id_headers,
            batch.event_names,
            batch.event_uuids,
            batch.lib_versions,
            batch.content_encodings,
            captured,
        ) = batch.messages.headers.texts(_NAMES)
        batch.captured_ms = captured.times()
        self._end_without(batch, batch.tokens, "token", Reason.NO_TOKEN_IN_HEADER)
        if self._require_ids:
            self._end_without(batch, batch.session_id_headers, "session_id", Reason.NO_SESSION_ID_IN_HEADER)
            self._end_without(batch, batch.distinct_id_headers, "distinct_id", Reason.NO_DISTINCT_ID_IN_HEADER)

    def _end_without(self, batch: MessageBatch, column: TextColumn, header: str, reason: Reason) -> None:
        """End the rows whose text in this column is missing or empty."""
        ending = Ending(Disposition.DLQ, reason, self.name, f"the message has no {header} header")
        batch.end_all(column.codes, {code: ending for code, text in enumerate(column.distinct) if not text})
