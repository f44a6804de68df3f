"""BatchWriter: makes one batch file out of the sessions of one retention period."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby

from recording_worker._native import (
    UUID_RANDOM_BYTES,
    CompressedBlocks,
    Compressor,
    FileBlocks,
    PackedRecords,
    SessionBlock,
)
from recording_worker.formats.batch_file import file_key, file_metadata, index_frame
from recording_worker.formats.retention import RETENTION_DAYS, RETENTIONS
from recording_worker.formats.session_keys import Session
from recording_worker.recording.compression import compress_all
from recording_worker.settings.choices import Codec, FileNames
from recording_worker.storage.base import Part

Timed = Callable[[], AbstractContextManager[None]]


class BatchWriter:
    """One batch file in the making. `size` is whole once all parts are taken."""

    def __init__(
        self,
        file: FileBlocks,
        *,
        batch_id: str,
        created_ms: int,
        codec: Codec,
        names: FileNames,
        dictionary_id: str | None,
        sources: Mapping[int, str],
        keys: Mapping[Session, bytes | None] | None = None,
    ) -> None:
        """`created_ms`: when the flush began, milliseconds since 1970. `sources`: partition → its source.

        `dictionary_id`: the dictionary of the compressor that `parts` will get. `keys`: session → the key of its block;
        None in place of a key: the block is stored in the clear. Without `keys` all blocks are.
        """
        self.file = file
        self._batch_id = batch_id
        self._retention = RETENTIONS[file.retention]
        self._created_ms = created_ms
        self._codec = codec
        self._names = names
        self._dictionary_id = dictionary_id
        self._offsets = file.offsets()
        self._sources = {partition: sources[partition] for partition in self._offsets}
        self._keys = keys
        self.size = 0
        """Bytes of the parts given so far."""
        self.session_sizes: list[int] = []
        """Bytes of the lines of each block, once `parts` is called."""
        self.block_sizes: list[int] = []
        """Bytes of each block given so far."""

    def key(self, prefix: str) -> str:
        """Return the file's key below a prefix."""
        return file_key(prefix, self._retention, self._created_ms, self._batch_id, self._names)

    def file_metadata(self, topic: str) -> dict[str, str]:
        """Return what a store can say about the file without reading it."""
        return file_metadata(self._batch_id, self._codec, topic, self._offsets)

    def parts(self, compressor: Compressor, encrypting: Timed = nullcontext) -> Iterator[Part]:
        """Give the file: blocks, compressed when they are asked for, and the index. To be called once.

        The lines of blocks are freed once they are compressed. `encrypting` is entered while blocks are encrypted.
        """
        blocks = self.file.session_blocks()
        self.session_sizes = [block.size for block in blocks]
        parts = (
            self._in_the_clear(compress_all(compressor, blocks))
            if self._keys is None
            else self._encrypted(compressor, blocks, self._keys, encrypting)
        )
        for stored in parts:
            self.size += len(stored)
            yield stored
        frame = index_frame(
            batch_id=self._batch_id,
            codec=self._codec,
            retention=self._retention,
            created_ms=self._created_ms,
            blocks=self.file.index_entries(self._sources),
            dictionary=self._dictionary_id,
        )
        self.size += len(frame)
        yield frame

    def _in_the_clear(self, parts: Iterator[CompressedBlocks]) -> Iterator[memoryview]:
        for part in parts:
            self.file.store(part.lengths)
            self.block_sizes += part.lengths
            yield memoryview(part)

    def _encrypted(
        self,
        compressor: Compressor,
        blocks: list[SessionBlock],
        keys: Mapping[Session, bytes | None],
        encrypting: Timed,
    ) -> Iterator[memoryview]:
        """Give the blocks, each encrypted with the key of its session. A session without an entry raises KeyError."""
        from recording_worker.formats.secretbox import FRAME_HEADER_BYTES, OVERHEAD_BYTES, seal_all  # an extra's

        sessions = iter([session for number in self._offsets for session in self.file.sessions(number)])
        framed = self._codec is Codec.ZSTD
        header_bytes = FRAME_HEADER_BYTES if framed else 0
        gap = header_bytes + OVERHEAD_BYTES
        for part in compress_all(compressor, blocks, gap):
            content, start = memoryview(part), 0
            for is_encrypted, run in groupby(((length, keys[next(sessions)]) for length in part.lengths), _has_key):
                lengths, keys_of_run = zip(*run, strict=True)
                if not is_encrypted:
                    self.file.store(lengths)
                    self.block_sizes += lengths
                    for length in lengths:
                        yield content[start + gap : start + gap + length]
                        start += gap + length
                    continue
                stored = content[start : start + len(lengths) * gap + sum(lengths)]
                start += len(stored)
                with encrypting():
                    seal_all(stored, lengths, keys_of_run, framed=framed)
                for length in lengths:
                    self.file.store_encrypted(header_bytes, OVERHEAD_BYTES + length)
                    self.block_sizes.append(OVERHEAD_BYTES + length)
                yield stored

    def block_metadata(self, file_url: str) -> dict[int, PackedRecords]:
        """Return partition → the metadata of its blocks, once the file is stored under its URL."""
        return self.file.metadata(
            batch_id=self._batch_id,
            codec=self._codec.value,
            url=file_url,
            retention_days=RETENTION_DAYS[self._retention],
            now_ms=self._created_ms,
            random=os.urandom(len(self.file) * UUID_RANDOM_BYTES),
        )


def _has_key(block: tuple[int, bytes | None]) -> bool:
    return block[1] is not None
