"""Compression of the blocks of one file, each on its own, so that each can be read on its own."""

from typing import Protocol

import cramjam
import zstandard

from recording_worker._native import LineBuffer
from recording_worker.settings import Codec


class BlockCompressor(Protocol):
    """Compresses blocks. Not for two threads at once."""

    def compress(self, lines: LineBuffer) -> list[memoryview]:
        """The compressed blocks, one for each segment of `lines`, in order. At least one segment, none empty."""


class ZstdBlocks:
    """Each block one zstd frame with its content size and a checksum.

    All blocks are compressed in one call with the GIL released. One thread: a host runs a worker a core,
    so further threads here would take their time from other workers.
    """

    def __init__(self, level: int) -> None:
        self._compressor = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=True)

    def compress(self, lines: LineBuffer) -> list[memoryview]:
        source = zstandard.BufferWithSegments(memoryview(lines), lines.segments)
        frames = self._compressor.multi_compress_to_buffer(source, threads=1)
        # zstandard's stubs don't know that a segment is a buffer
        return [memoryview(frames[number]) for number in range(len(frames))]  # type: ignore[arg-type]


class SnappyBlocks:
    """Each block raw snappy (no framing), compressed with the GIL released."""

    def compress(self, lines: LineBuffer) -> list[memoryview]:
        view = memoryview(lines)
        segments = memoryview(lines.segments).cast("Q")
        return [
            memoryview(cramjam.snappy.compress_raw(view[start : start + length]))
            for start, length in zip(segments[::2], segments[1::2], strict=True)
        ]


def block_compressor(codec: Codec, zstd_level: int) -> BlockCompressor:
    """The compressor of a codec."""
    return ZstdBlocks(zstd_level) if codec is Codec.ZSTD else SnappyBlocks()
