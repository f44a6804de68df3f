"""Reads a block's bytes: one session's event lines, compressed. `_native/compress.cc` writes them.

Codec zstd: one frame that states its content's size and has a checksum, made with a dictionary or without one. Codec
snappy: raw snappy, without a checksum.
"""

import cramjam
import zstandard

from recording_worker.formats.dictionary import Dictionary
from recording_worker.settings.model import Codec

_MAX_SIZE = 1 << 34
"""The most bytes a block may decompress to, whatever is said of it."""


def decompress_block(stored: bytes, codec: str, size: int, dictionary: Dictionary | None = None) -> bytes:
    """Return the block's lines. Raises ValueError if they are not `size` bytes, or don't decompress.

    `dictionary` is the one that the file's index names. A block of codec snappy has none.
    """
    try:
        if codec == Codec.SNAPPY:
            stated = cramjam.snappy.decompress_raw_len(stored)
        else:
            stated = zstandard.frame_content_size(stored)
        if stated != size or stated > _MAX_SIZE:
            raise ValueError(f"it holds {stated} bytes, and should hold {size}")
        if codec == Codec.SNAPPY:
            return bytes(cramjam.snappy.decompress_raw(stored))
        needed = zstandard.get_frame_parameters(stored).dict_id
        if needed and (dictionary is None or dictionary.zstd_id != needed):
            raise ValueError(f"it needs the dictionary that zstd calls {needed}, which its file's index does not name")
        decompressor = zstandard.ZstdDecompressor(dict_data=None if dictionary is None else dictionary.prepared)
        return decompressor.decompress(stored, allow_extra_data=False)
    except (zstandard.ZstdError, cramjam.DecompressionError) as error:
        raise ValueError(f"it does not decompress: {error}") from error
