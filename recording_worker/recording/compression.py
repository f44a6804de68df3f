"""Compression of a file's blocks. Each block is compressed by itself, so that a reader can read one alone."""

import struct
from collections.abc import Iterator
from typing import Protocol

import cramjam
import zstandard

from recording_worker._native import LineBuffer
from recording_worker.settings.model import Codec

SLICE_BYTES = 4 * 1024 * 1024
"""Bytes of lines compressed in one call, unless one block is larger. A slice is small enough to upload one while the
next is compressed, and large enough that the call itself costs nothing."""
_SEGMENT = struct.Struct("=QQ")


class BlockCompressor(Protocol):
    """Compresses blocks. One thread at a time may use it."""

    def compress(self, lines: LineBuffer) -> Iterator[memoryview]:
        """Give the compressed blocks, one for each segment of `lines`, in order. No segment may be empty.

        A block is compressed when the caller takes it. After the last one `lines` is freed.
        """


class ZstdBlocks:
    """Each block becomes one zstd frame with its content size and a checksum.

    One call compresses many blocks with the GIL released. It uses one thread: a host runs one worker a core, so further
    threads would take their time from other workers.
    """

    def __init__(self, level: int, slice_bytes: int = SLICE_BYTES) -> None:
        self._slice_bytes = slice_bytes
        self._compressor = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=True)

    def compress(self, lines: LineBuffer) -> Iterator[memoryview]:
        for segments in _slices(lines.segments, self._slice_bytes):
            source = zstandard.BufferWithSegments(memoryview(lines), segments)
            frames = self._compressor.multi_compress_to_buffer(source, threads=1)
            for number in range(len(frames)):
                # zstandard's stubs don't know that a segment is a buffer
                yield memoryview(frames[number])  # type: ignore[arg-type]


class SnappyBlocks:
    """Each block becomes raw snappy (no framing), compressed with the GIL released."""

    def compress(self, lines: LineBuffer) -> Iterator[memoryview]:
        view = memoryview(lines)
        for start, length in _SEGMENT.iter_unpack(lines.segments):
            yield memoryview(cramjam.snappy.compress_raw(view[start : start + length]))


def _slices(segments: bytes, slice_bytes: int) -> Iterator[bytes]:
    """Cut the segments into groups of about `slice_bytes` bytes of lines."""
    first, size = 0, 0
    for number, (_, length) in enumerate(_SEGMENT.iter_unpack(segments), 1):
        size += length
        if size >= slice_bytes:
            yield segments[first : number * _SEGMENT.size]
            first, size = number * _SEGMENT.size, 0
    if first < len(segments):
        yield segments[first:]


def block_compressor(codec: Codec, zstd_level: int) -> BlockCompressor:
    """Return the compressor of a codec."""
    return ZstdBlocks(zstd_level) if codec is Codec.ZSTD else SnappyBlocks()
