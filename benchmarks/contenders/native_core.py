"""The job as the worker does it: batches of messages through the native core, rows into session blocks."""

from collections.abc import Iterator

from benchmarks.contenders.serve import Counts, serve
from benchmarks.wire import Encoding, WireMessage
from recording_worker._native import DecodedBatch, Decoder, SessionBlock, gather
from recording_worker.recording.console_logs import ConsoleLogRecorder
from recording_worker.settings import Settings

_SETTINGS = Settings()
_TEAM = 1


class Session:
    """One session of the session batch: what the worker's SessionRecorder holds."""

    __slots__ = ("block", "console_logs")

    def __init__(self) -> None:
        self.block = SessionBlock()
        self.console_logs = ConsoleLogRecorder()


class NativePass:
    """One pass over all messages, a poll at a time."""

    decoder = Decoder(max_batch_bytes=_SETTINGS.max_decoded_bytes)
    """Lives through all passes, as in the worker."""

    def __init__(self, messages: list[WireMessage]) -> None:
        self.sessions: dict[tuple[int, str], Session] = {}
        self.ok = 0
        self.bytes = 0
        start = 0
        while start < len(messages):
            poll = _poll(messages, start)
            dispositions = bytearray(len(poll))
            decoded = self.decoder.decode(
                [message.value for message in poll],
                ["lz4" if message.encoding is Encoding.LZ4 else None for message in poll],
                [message.session_id for message in poll],
                [message.distinct_id for message in poll],
                [message.timestamp_ms for message in poll],
                None,
                dispositions,
                bytearray(len(poll)),
            )
            self.bytes += decoded.uncompressed_bytes
            for row in range(decoded.rows):
                if not dispositions[row]:
                    self._record(decoded, row, start + row)
            start += decoded.rows

    def _record(self, decoded: DecodedBatch, row: int, offset: int) -> None:
        key = (_TEAM, decoded.session_id(row))
        session = self.sessions.get(key)
        if session is None:
            session = self.sessions[key] = Session()
        session.block.record(decoded, row, offset)
        session.console_logs.record(decoded.console_logs(row))
        self.ok += 1

    def counts(self) -> Counts:
        counts = Counts(ok=self.ok, bytes=self.bytes, sessions=len(self.sessions))
        for session in self.sessions.values():
            block = session.block
            counts.events += block.event_count
            counts.clicks += block.click_count
            counts.keypresses += block.keypress_count
            counts.mouse_activity += block.mouse_activity_count
            counts.full_snapshots += block.has_full_snapshot
            counts.urls += len(block.urls)
            counts.active_milliseconds += block.active_milliseconds()
            counts.console_events += sum(session.console_logs.counts.values())
            counts.console_logs += len(session.console_logs.entries)
        return counts

    def lines(self) -> Iterator[tuple[str, bytes]]:
        for (_, session_id), session in self.sessions.items():
            yield session_id, bytes(gather([session.block]))


def _poll(messages: list[WireMessage], start: int) -> list[WireMessage]:
    """The messages a poll gives from `start` on: as many as the settings let it take, by number and by bytes."""
    poll = messages[start : start + _SETTINGS.poll_messages]
    room = _SETTINGS.fetch_queue_bytes
    for number, message in enumerate(poll, start=1):
        room -= len(message.value)
        if room <= 0:
            return poll[:number]
    return poll


if __name__ == "__main__":
    serve(NativePass)
