"""Compression of a file's blocks. Each block is compressed by itself, so that a reader can read one alone."""

from collections.abc import Iterator

from recording_worker._native import CompressedBlocks, Compressor, SessionBlock


def compress_all(compressor: Compressor, blocks: list[SessionBlock], gap: int = 0) -> Iterator[CompressedBlocks]:
    """Give the blocks compressed, in order, several in a part, with `gap` bytes before each. None may be empty.

    A part is compressed when the caller takes it. Then its blocks are taken out of the list, so that their lines can be
    freed.
    """
    while blocks:
        part = compressor.compress(blocks, gap)
        del blocks[: len(part.lengths)]
        yield part
    compressor.finish()
