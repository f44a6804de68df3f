"""Reads a batch file by its index: what the file holds, and one block at a time, by ranged reads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import zstandard

from recording_worker.formats.batch_file import (
    BatchFileError,
    BatchIndex,
    BlockDamagedError,
    BlockEntry,
    NoIndexError,
    index_frame_length,
    parse_index_frame,
)
from recording_worker.formats.block import check_block_size, decompress_block
from recording_worker.reading.decryption import Decryption, NoKeyError
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
    """The file's index, whose own blocks may be left out."""
    entry: BlockEntry
    dictionaries: Dictionaries = field(default_factory=Dictionaries)
    """Blocks that are read together share it."""
    decryption: Decryption = field(default_factory=Decryption)
    """The same."""

    @property
    def weight(self) -> int:
        """The bytes that reading it takes."""
        return self.entry.length + self.entry.size

    def read(self) -> bytes:
        """Read the block's lines. Raises BatchFileError if they are not what the index says, or are deleted."""
        entry = self.entry
        try:
            check_block_size(entry.length, entry.size)
            dictionary = self.dictionaries.of(self.file, self.index.dictionary)
            return decompress_block(self.read_compressed(), self.index.codec, entry.size, dictionary)
        except ValueError as error:
            raise self._damaged(error) from error

    def read_compressed(self) -> bytes:
        """Read what the codec of the index made of the lines. Raises BatchFileError if it can't be read."""
        entry = self.entry
        stored = self.file.read(entry.start, entry.length)
        if len(stored) != entry.length:
            raise self._damaged("the file ends within it")
        try:
            return self.decryption.opened(stored, (entry.team_id, entry.session_id), entry.encryption)
        except NoKeyError as error:
            raise BlockDamagedError(f"{self._name} can't be decrypted: {error}") from error
        except ValueError as error:
            raise self._damaged(error) from error

    @property
    def _name(self) -> str:
        return f"{self.file.name}: block at byte {self.entry.start}"

    def _damaged(self, why: object) -> BlockDamagedError:
        return BlockDamagedError(f"{self._name} is damaged: {why}")


class IndexFrame(NamedTuple):
    """The end of a batch file, as it is stored."""

    file: RangedFile
    content: bytes
    start: int
    """Where it begins in the file, bytes."""

    def parse(self) -> BatchIndex:
        """Raises BatchFileError."""
        return parse_index_frame(self.file.name, self.content, blocks_end=self.start)


def read_index(file: RangedFile) -> BatchIndex:
    """Read the index of a batch file, with at most two reads from its end. Raises BatchFileError, and NoIndexError."""
    return read_frame(file).parse()


def read_frame(file: RangedFile) -> IndexFrame:
    """Read the end of a batch file, with at most two reads. Raises BatchFileError, and NoIndexError."""
    tail, size = file.read_tail(TAIL_BYTES)
    length = index_frame_length(file.name, tail, size)
    if length is None:
        raise NoIndexError(f"{file.name}: {_without_index(file)}")
    start = size - length
    if length > len(tail):
        tail = file.read(start, length - len(tail)) + tail
    return IndexFrame(file, tail[-length:], start)


def _without_index(file: RangedFile) -> str:
    """Say what a file without an index may be."""
    if file.read(0, len(zstandard.FRAME_HEADER)) == zstandard.FRAME_HEADER:
        return "zstd data without an index at its end: a batch file that was cut off, or no batch file"
    return "no index at its end: not a batch file, or one that was cut off, or snappy blocks of PostHog's consumer"


def read_blocks(
    files: Iterable[RangedFile], decryption: Decryption | None = None
) -> Iterator[list[Block] | BatchFileError]:
    """Yield the blocks of each file, or what is wrong with the file.

    Reads several files ahead, but takes apart one index at a time: that takes many times as much memory.
    """
    dictionaries, decryption = Dictionaries(), decryption or Decryption()
    for frame in prefetch(_frame_or_problem, files):
        if isinstance(frame, BatchFileError):
            yield frame
            continue
        try:
            index = frame.parse()
        except BatchFileError as problem:
            yield problem
        else:
            alone = replace(index, blocks=[])  # who keeps a block does not keep the index of its file
            yield [Block(frame.file, alone, entry, dictionaries, decryption) for entry in index.blocks]


def _frame_or_problem(file: RangedFile) -> IndexFrame | BatchFileError:
    try:
        return read_frame(file)
    except BatchFileError as problem:
        return problem
