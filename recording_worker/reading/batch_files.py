"""Reads a batch file by its index: what the file holds, and one block at a time, by ranged reads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import zstandard

from recording_worker.formats.batch_file import (
    BatchFileError,
    BatchIndex,
    BlockEntry,
    index_frame_length,
    parse_index_frame,
)
from recording_worker.formats.block import decompress_block
from recording_worker.reading.dictionaries import Dictionaries
from recording_worker.reading.prefetch import prefetch
from recording_worker.storage.base import RangedFile

TAIL_BYTES = 64 * 1024
"""How much of a file's end to read first. For most files this is the whole index."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of one file."""

    file: RangedFile
    index: BatchIndex
    entry: BlockEntry
    dictionaries: Dictionaries = field(default_factory=Dictionaries)
    """Blocks that are read together share it."""

    def read(self) -> bytes:
        """Read the block's lines. Raises BatchFileError if they are not what the index says."""
        entry = self.entry
        dictionary = self.dictionaries.of(self.file, self.index.dictionary)
        frame = self.file.read(entry.start, entry.length)
        try:
            return decompress_block(frame, self.index.codec, entry.size, dictionary)
        except ValueError as error:
            where = f"{self.file.name}: block at byte {entry.start}"
            raise BatchFileError(f"{where} is damaged: {error}") from error


def read_index(file: RangedFile) -> BatchIndex:
    """Read the index of a batch file, with at most two reads from its end. Raises BatchFileError."""
    tail, size = file.read_tail(TAIL_BYTES)
    length = index_frame_length(file.name, tail, size)
    if length is None:
        raise BatchFileError(f"{file.name}: {_without_index(file)}")
    start = size - length
    if length > len(tail):
        tail = file.read(start, length - len(tail)) + tail
    return parse_index_frame(file.name, tail[-length:], blocks_end=start)


def _without_index(file: RangedFile) -> str:
    """Say what a file without an index may be."""
    if file.read(0, len(zstandard.FRAME_HEADER)) == zstandard.FRAME_HEADER:
        return "zstd data without an index at its end: a batch file that was cut off, or no batch file"
    return "no index at its end: not a batch file, or one of codec snappy, which has no index"


def read_blocks(files: Iterable[RangedFile]) -> Iterator[list[Block] | BatchFileError]:
    """Yield the blocks of each file, or what is wrong with the file. Reads several files ahead."""
    return prefetch(partial(_blocks_of, Dictionaries()), files)


def _blocks_of(dictionaries: Dictionaries, file: RangedFile) -> list[Block] | BatchFileError:
    try:
        index = read_index(file)
    except BatchFileError as problem:
        return problem
    return [Block(file, index, entry, dictionaries) for entry in index.blocks]
