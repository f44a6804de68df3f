"""parse_headers: turns the message headers that other steps read into columns."""

from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import Ending, MessageBatch
from recording_worker.pipeline.step import Step

_NAMES = ("token", "session_id", "distinct_id", "event", "uuid", "lib_version", "content-encoding")


class ParseHeaders(Step):
    """Reads the headers; sets the header columns. Ends rows without a token: dlq `no_token_in_header`.

    Keys and values are read as UTF-8. Invalid bytes become U+FFFD, and NUL characters are removed. If a header comes
    twice, the last one counts.
    """

    name = "parse_headers"

    def run(self, batch: MessageBatch) -> None:
        (
            batch.tokens,
            batch.session_id_headers,
            batch.distinct_id_headers,
            batch.event_names,
            batch.event_uuids,
            batch.lib_versions,
            batch.content_encodings,
        ) = batch.messages.headers.texts(_NAMES)
        ending = Ending(Disposition.DLQ, Reason.NO_TOKEN_IN_HEADER, self.name, "the message has no token header")
        tokens = enumerate(batch.tokens.distinct)
        batch.end_all(batch.tokens.codes, {code: ending for code, token in tokens if not token})
