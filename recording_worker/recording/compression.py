"""Compression of the blocks of one file, each on its own, so that each can be read on its own."""

import struct
from collections.abc import Iterator
from typing import Protocol

import cramjam
import zstandard

from recording_worker._native import LineBuffer
from recording_worker.settings.model import Codec

SLICE_BYTES = 4 * 1024 * 1024
"""Lines compressed in one call, bytes, or one block that is larger: little enough that what comes out can be
uploaded meanwhile, enough that a call costs nothing beside it."""
_SEGMENT = struct.Struct("=QQ")


class BlockCompressor(Protocol):
    """Compresses blocks. Not for two threads at once."""

    def compress(self, lines: LineBuffer) -> Iterator[memoryview]:
        """The compressed blocks, one for each segment of `lines`, in order. At least one segment, none empty.

        They are compressed as they are taken. `lines` is let go once all are.
        """


class ZstdBlocks:
    """Each block one zstd frame with its content size and a checksum.

    Many blocks are compressed in one call with the GIL released. One thread: a host runs a worker a core,
    so further threads here would take their time from other workers.
    """

    def __init__(self, level: int) -> None:
        self._compressor = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=True)

    def compress(self, lines: LineBuffer) -> Iterator[memoryview]:
        for segments in _slices(lines.segments):
            source = zstandard.BufferWithSegments(memoryview(lines), segments)
            frames = self._compressor.multi_compress_to_buffer(source, threads=1)
            for number in range(len(frames)):
                # zstandard's stubs don't know that a segment is a buffer
                yield memoryview(frames[number])  # type: ignore[arg-type]


class SnappyBlocks:
    """Each block raw snappy (no framing), compressed with the GIL released."""

    def compress(self, lines: LineBuffer) -> Iterator[memoryview]:
        view = memoryview(lines)
        for start, length in _SEGMENT.iter_unpack(lines.segments):
            yield memoryview(cramjam.snappy.compress_raw(view[start : start + length]))


def _slices(segments: bytes) -> Iterator[bytes]:
    """The segments in groups of about SLICE_BYTES."""
    first, size = 0, 0
    for number, (_, length) in enumerate(_SEGMENT.iter_unpack(segments), 1):
        size += length
        if size >= SLICE_BYTES:
            yield segments[first : number * _SEGMENT.size]
            first, size = number * _SEGMENT.size, 0
    if first < len(segments):
        yield segments[first:]


def block_compressor(codec: Codec, zstd_level: int) -> BlockCompressor:
    """The compressor of a codec."""
    return ZstdBlocks(zstd_level) if codec is Codec.ZSTD else SnappyBlocks()
