"""parse_headers: turns the message headers that other steps read into columns."""

from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step


class ParseHeaders(Step):
    """Reads the headers; sets the header columns. Ends rows without a token: dlq `no_token_in_header`.

    Keys and values are read as UTF-8. Invalid bytes become U+FFFD, and NUL characters are removed. If a header comes
    twice, the last one counts.
    """

    name = "parse_headers"

    def run(self, batch: MessageBatch) -> None:
        columns = {
            "token": batch.tokens,
            "session_id": batch.session_id_headers,
            "distinct_id": batch.distinct_id_headers,
            "event": batch.event_names,
            "uuid": batch.event_uuids,
            "lib_version": batch.lib_versions,
            "content-encoding": batch.content_encodings,
        }
        for row in batch.ok_rows():
            for key, value in batch.headers[row]:
                column = columns.get(key) or columns.get(key.replace("\0", ""))
                if column is not None:
                    column[row] = value.decode(errors="replace").replace("\0", "")
            if not batch.tokens[row]:
                batch.end(row, Disposition.DLQ, Reason.NO_TOKEN_IN_HEADER, self.name, "the message has no token header")
