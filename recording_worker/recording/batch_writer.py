"""BatchWriter: makes one batch file out of the sessions of one retention period."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from recording_worker._native import BlockSummary, Compressor, RecordedSession
from recording_worker.formats.batch_file import (
    INDEX_VERSION,
    BatchIndex,
    BlockEntry,
    block_url,
    file_key,
    file_metadata,
    index_frame,
)
from recording_worker.formats.block_metadata import block_metadata_value
from recording_worker.recording.compression import compress_all
from recording_worker.settings.model import Codec
from recording_worker.storage.base import Part


class BlockMetadata(NamedTuple):
    """The metadata of a stored block, to be produced with the offsets of its partition."""

    partition: int
    key: bytes
    value: bytes


class BatchWriter:
    """One batch file in the making.

    After the constructor, only the blocks of the session batch are needed. `parts` lets go of each block once it is
    compressed. `size` and the ranges in `entries` are whole once all parts are taken.
    """

    def __init__(
        self,
        sessions: Sequence[RecordedSession],
        *,
        batch_id: str,
        retention: str,
        created_ms: int,
        codec: Codec,
        dictionary_id: str | None,
        source_of: Callable[[int], str],
    ) -> None:
        """`created_ms`: when the flush began, milliseconds since 1970. `source_of` names the source of a partition.

        `dictionary_id`: the dictionary of the compressor that `parts` will get.
        """
        self._batch_id = batch_id
        self._retention = retention
        self._created_ms = created_ms
        self._codec = codec
        self._dictionary_id = dictionary_id
        self._summaries = [session.block.summary() for session in sessions]
        self._console = [session.console_counts for session in sessions]
        self.entries = [
            _entry(session, summary, source_of(session.partition))
            for session, summary in zip(sessions, self._summaries, strict=True)
        ]
        """What the index says of each block."""
        self._blocks = [session.block for session in sessions]
        self.raw_bytes = sum(block.size for block in self._blocks)
        """Bytes of the lines, uncompressed."""
        self.size = 0
        """Bytes of the parts given so far."""

    def key(self, prefix: str) -> str:
        """Return the file's key below a prefix."""
        return file_key(prefix, self._retention, self._created_ms, self._batch_id)

    def file_metadata(self, topic: str) -> dict[str, str]:
        """Return what a store can say about the file without reading it."""
        return file_metadata(self._batch_id, self._codec, topic, self.entries)

    def parts(self, compressor: Compressor) -> Iterator[Part]:
        """Give the file: its blocks, several in a part, compressed when the part is asked for, and the index.

        To be called once.
        """
        assert self.size == 0, "the parts were given before"
        entries = iter(self.entries)
        for part in compress_all(compressor, self._blocks):
            for entry, length in zip(islice(entries, len(part.lengths)), part.lengths, strict=True):
                entry.start, entry.length = self.size, length
                self.size += length
            yield memoryview(part)
        if self._codec is Codec.ZSTD:
            index = BatchIndex(
                INDEX_VERSION,
                self._batch_id,
                self._codec,
                self._retention,
                self._created_ms,
                self.entries,
                self._dictionary_id,
            )
            frame = index_frame(index)
            self.size += len(frame)
            yield frame

    def block_metadata(self, file_url: str) -> Iterator[BlockMetadata]:
        """Give the metadata of each block, once the file is stored under its URL."""
        for entry, summary, console in zip(self.entries, self._summaries, self._console, strict=True):
            value = block_metadata_value(
                session_id=entry.session_id,
                team_id=entry.team_id,
                partition=entry.partition,
                retention=self._retention,
                batch_id=self._batch_id,
                codec=self._codec,
                block_url=block_url(file_url, entry),
                console=console,
                summary=summary,
            )
            yield BlockMetadata(entry.partition, entry.session_id.encode(), value)


def _entry(session: RecordedSession, summary: BlockSummary, source: str) -> BlockEntry:
    return BlockEntry(
        team_id=session.team_id,
        session_id=session.session_id,
        distinct_id=summary.distinct_id,
        source=source,
        partition=session.partition,
        first_offset=summary.first_offset,
        last_offset=summary.last_offset,
        messages=session.block.messages(),
        events=summary.event_count,
        first_timestamp=summary.first_timestamp,
        last_timestamp=summary.last_timestamp,
        has_full_snapshot=summary.has_full_snapshot,
        size=summary.size,
        first_full_snapshot_position=summary.first_full_snapshot_position,
        first_full_snapshot_timestamp=summary.first_full_snapshot_timestamp,
        out_of_order_count=summary.out_of_order_count,
        gap_count=summary.gap_count,
    )
