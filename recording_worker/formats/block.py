"""Reads a block's bytes: one session's event lines, compressed. `_native/compress.cc` writes them.

Codec zstd: one frame that states its content's size and has a checksum, made with a dictionary or without one. Codec
snappy: raw snappy, without a checksum.
"""

import struct
from collections.abc import Iterator

from recording_worker.formats.dictionary import Dictionary
from recording_worker.settings.choices import Codec

MAX_BLOCK_BYTES = 1 << 30
"""The most bytes of lines that a block is read with, whatever is said of it."""
_MAX_RATIO = 1 << 15
"""The most that zstd makes of a byte: 128 KiB of the four that a block within a frame takes. Snappy makes far less."""

MAX_SNAPPY_RATIO = 32
"""More than snappy makes of a byte: a copy of 64 bytes takes three."""

ERASED = "erased"
"""What the index says, in place of an encryption, of a block that is erased."""
_ERASED_HEADER = struct.Struct("<II")
_ERASED_MAGIC = 0x184D2A5D
"""Begins a zstd skippable frame. Encrypted blocks and the index have other ones."""


def could_hold(stored: int, size: int) -> bool:
    """Return whether a block of `stored` bytes can have `size` bytes of lines, as far as the codecs go."""
    return stored <= size + size // 4 + 1024 and size <= stored * _MAX_RATIO


def check_block_size(stored: int, size: int) -> None:
    """Raise ValueError if a block should not be read: before anybody makes room for it."""
    if not could_hold(stored, size):
        raise ValueError(f"{stored:,} bytes can't hold {size:,} bytes of lines")
    if size > MAX_BLOCK_BYTES:
        raise ValueError(f"it can't be unpacked: it has {size:,} bytes of lines, and {MAX_BLOCK_BYTES:,} are read")


def decompress_block(stored: bytes, codec: str, size: int, dictionary: Dictionary | None = None) -> bytes:
    """Return the block's lines. Raises ValueError if they are not `size` bytes, or don't decompress.

    `dictionary` is the one that the file's index names. A block of codec snappy has none.
    """
    import cramjam  # a worker only writes blocks
    import zstandard

    try:
        if codec == Codec.SNAPPY:
            stated = cramjam.snappy.decompress_raw_len(stored)
        else:
            stated = zstandard.frame_content_size(stored)
        if stated != size:
            raise ValueError(f"it says that it holds {stated} bytes, and should hold {size}")
        check_block_size(len(stored), size)
        if codec == Codec.SNAPPY:
            return bytes(cramjam.snappy.decompress_raw(stored))
        needed = zstandard.get_frame_parameters(stored).dict_id
        if needed and (dictionary is None or dictionary.zstd_id != needed):
            raise ValueError(f"it needs the dictionary that zstd calls {needed}, which its file's index does not name")
        decompressor = zstandard.ZstdDecompressor(dict_data=None if dictionary is None else dictionary.prepared)
        return decompressor.decompress(stored, allow_extra_data=False)
    except (zstandard.ZstdError, cramjam.DecompressionError) as error:
        raise ValueError(f"it does not decompress: {error}") from error


def is_readable(stored: bytes) -> bool:
    """Return whether bytes are what a codec makes of lines, so that anybody who has them can read them."""
    import cramjam  # a worker only writes blocks
    import zstandard

    if stored.startswith(zstandard.FRAME_HEADER):
        return True
    try:
        stated = cramjam.snappy.decompress_raw_len(stored)
        if not 0 < stated <= min(len(stored) * MAX_SNAPPY_RATIO, MAX_BLOCK_BYTES):
            return False
        cramjam.snappy.decompress_raw(stored)
    except cramjam.DecompressionError:
        return False
    return True


def erased_block(length: int) -> bytes:
    """Return what takes the place of a block of this many bytes: zeros, in a frame that zstd passes over."""
    if length < _ERASED_HEADER.size:
        return bytes(length)
    return _ERASED_HEADER.pack(_ERASED_MAGIC, length - _ERASED_HEADER.size) + bytes(length - _ERASED_HEADER.size)


def is_erased(stored: bytes) -> bool:
    """Return whether bytes are what takes the place of a block that is erased."""
    return stored == erased_block(len(stored))


def lines_of(text: bytes) -> Iterator[bytes]:
    """Yield a block's lines, one at a time, without their line breaks. Raises ValueError if the last one has none."""
    at = 0
    while at < len(text):
        end = text.find(b"\n", at)
        if end < 0:
            raise ValueError("its last line has no end")
        yield text[at:end]
        at = end + 1
