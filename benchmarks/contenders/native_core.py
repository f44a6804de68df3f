"""The job as the worker does it: batches of messages through the native core, rows into session blocks."""

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from benchmarks.contenders.serve import Counts, serve
from benchmarks.wire import Encoding, WireMessage
from recording_worker._native import UUID_RANDOM_BYTES, ByteColumn, Decoder, FileBlocks, SessionBatch, TextColumn
from recording_worker.settings.model import Settings

_SETTINGS = Settings()
_TEAMS = array("q", [1])


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
            room = _SETTINGS.budget.fetch_bytes
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


class NativePass:
    """One pass over all messages, a poll at a time."""

    decoder = Decoder(max_decoded_bytes=_SETTINGS.budget.poll_bytes, unpack_client_compression=False)
    """It lives through all passes, as in the worker. It unpacks nothing, since the other contenders don't."""

    def __init__(self, messages: list[Poll]) -> None:
        self.batch = SessionBatch()
        self.ok = 0
        self.bytes = 0
        self.offset = 0
        for poll in messages:
            rest = poll
            while rest.values:
                rest = rest.after(self._decode(rest))

    def _decode(self, poll: Poll) -> int:
        """Decode and record a poll. Returns how many of its rows were decoded."""
        dispositions, reasons = bytearray(len(poll.values)), bytearray(len(poll.values))
        decoded = self.decoder.decode(
            ByteColumn(poll.values),
            TextColumn(poll.content_encodings),
            TextColumn(poll.session_id_headers),
            TextColumn(poll.distinct_id_headers),
            array("q", poll.timestamps_ms),
            None,
            dispositions,
            reasons,
        )
        rows = decoded.rows
        recorded = self.batch.record(
            decoded,
            array("q", bytes(8 * rows)),
            array("q", range(self.offset, self.offset + rows)),
            dispositions[:rows],
            reasons[:rows],
            array("i", bytes(4 * rows)),
            _TEAMS,
            b"\1",
            bytes(rows),
        )
        self.bytes += decoded.uncompressed_bytes
        self.ok += dispositions[:rows].count(0) - len(recorded.ended)
        self.offset += rows
        return rows

    @cached_property
    def file(self) -> FileBlocks:
        """All sessions, once everything is recorded."""
        (file,) = self.batch.take()
        return file

    def counts(self) -> Counts:
        size = len(self.file)
        self.file.store([1] * size)
        random = bytes(size * UUID_RANDOM_BYTES)
        records = self.file.metadata(batch_id="", codec="", url="", retention_days=0, now_ms=0, random=random)[0]
        counts = Counts(ok=self.ok, bytes=self.bytes, sessions=size)
        for number in range(size):
            block = json.loads(records[number][1])
            counts.events += block["event_count"]
            counts.clicks += block["click_count"]
            counts.keypresses += block["keypress_count"]
            counts.mouse_activity += block["mouse_activity_count"]
            counts.full_snapshots += block["has_full_snapshot"]
            counts.urls += len(block["urls"])
            counts.active_milliseconds += block["active_milliseconds"]
            counts.console_events += sum(block[f"console_{level}_count"] for level in ("log", "warn", "error"))
        counts.console_logs = sum(map(len, self.file.console_logs(0, "")))
        return counts

    def lines(self) -> Iterator[tuple[str, bytes]]:
        entries = json.loads(self.file.index_entries({0: ""}))
        for entry, block in zip(entries, self.file.session_blocks(), strict=True):
            yield entry["session_id"], block.lines()


if __name__ == "__main__":
    serve(NativePass, prepare=polls)
