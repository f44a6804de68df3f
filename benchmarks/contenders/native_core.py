"""The job as the worker does it: batches of messages through the native core, rows into session blocks."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.contenders.serve import Counts, serve
from benchmarks.wire import Encoding, WireMessage
from recording_worker._native import DecodedBatch, Decoder, SessionBlock, gather
from recording_worker.recording.console_logs import ConsoleLogRecorder
from recording_worker.settings.model import Settings

_SETTINGS = Settings()
_TEAM = 1


@dataclass(frozen=True, slots=True)
class Poll:
    """The messages of one poll as columns, as the earlier steps leave them in the worker."""

    values: list[bytes | None]
    content_encodings: list[str | None]
    session_id_headers: list[str | None]
    distinct_id_headers: list[str | None]
    timestamps_ms: list[int]

    def after(self, rows: int) -> "Poll":
        """Return what is left after the decoder stopped because it holds as many bytes as it may."""
        return Poll(
            self.values[rows:],
            self.content_encodings[rows:],
            self.session_id_headers[rows:],
            self.distinct_id_headers[rows:],
            self.timestamps_ms[rows:],
        )


def polls(messages: list[WireMessage]) -> list[Poll]:
    """Return the messages in polls as large as the worker's settings allow, by number and by bytes."""
    groups: list[list[WireMessage]] = []
    room = 0
    for message in messages:
        if room <= 0 or len(groups[-1]) == _SETTINGS.poll_messages:
            groups.append([])
            room = _SETTINGS.fetch_queue_bytes
        groups[-1].append(message)
        room -= len(message.value)
    return [
        Poll(
            [message.value for message in group],
            ["lz4" if message.encoding is Encoding.LZ4 else None for message in group],
            [message.session_id for message in group],
            [message.distinct_id for message in group],
            [message.timestamp_ms for message in group],
        )
        for group in groups
    ]


class Session:
    """One session of the session batch, as the worker's SessionRecorder holds it."""

    __slots__ = ("block", "console_logs")

    def __init__(self) -> None:
        self.block = SessionBlock()
        self.console_logs = ConsoleLogRecorder()


class NativePass:
    """One pass over all messages, a poll at a time."""

    decoder = Decoder(max_decoded_bytes=_SETTINGS.max_decoded_bytes, unpack_client_compression=False)
    """It lives through all passes, as in the worker. It unpacks nothing, since the other contenders don't."""

    def __init__(self, messages: list[Poll]) -> None:
        self.sessions: dict[tuple[int, str], Session] = {}
        self.ok = 0
        self.bytes = 0
        self.offset = 0
        for poll in messages:
            rest = poll
            while rest.values:
                rest = rest.after(self._decode(rest))

    def _decode(self, poll: Poll) -> int:
        """Decode and record a poll. Returns how many of its rows were decoded."""
        dispositions = bytearray(len(poll.values))
        decoded = self.decoder.decode(
            poll.values,
            poll.content_encodings,
            poll.session_id_headers,
            poll.distinct_id_headers,
            poll.timestamps_ms,
            None,
            dispositions,
            bytearray(len(poll.values)),
        )
        self.bytes += decoded.uncompressed_bytes
        self._record(decoded, dispositions)
        self.offset += decoded.rows
        return decoded.rows

    def _record(self, decoded: DecodedBatch, dispositions: bytearray) -> None:
        """Record the rows that are ok into the blocks of their sessions."""
        sessions, offset = self.sessions, self.offset
        for row in range(decoded.rows):
            if dispositions[row]:
                continue
            key = (_TEAM, decoded.session_id(row))
            session = sessions.get(key)
            if session is None:
                session = sessions[key] = Session()
            session.block.record(decoded, row, offset + row)
            if logs := decoded.console_logs(row):
                session.console_logs.record(logs)
            self.ok += 1

    def counts(self) -> Counts:
        counts = Counts(ok=self.ok, bytes=self.bytes, sessions=len(self.sessions))
        for session in self.sessions.values():
            block = session.block.summary()
            counts.events += block.event_count
            counts.clicks += block.click_count
            counts.keypresses += block.keypress_count
            counts.mouse_activity += block.mouse_activity_count
            counts.full_snapshots += block.has_full_snapshot
            counts.urls += len(block.urls)
            counts.active_milliseconds += block.active_milliseconds
            counts.console_events += sum(session.console_logs.counts.values())
            counts.console_logs += len(session.console_logs.entries)
        return counts

    def lines(self) -> Iterator[tuple[str, bytes]]:
        for (_, session_id), session in self.sessions.items():
            yield session_id, bytes(gather([session.block]))


if __name__ == "__main__":
    serve(NativePass, prepare=polls)
