"""Batch files by their index: what a file holds, and one block of it, by ranged reads alone."""

import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import Protocol

import zstandard
from pydantic import TypeAdapter, ValidationError

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.reading.ahead import read_ahead
from recording_worker.recording.batch_file import (
    FILE_NAME,
    FRAME_HEADER,
    INDEX_VERSION,
    MAGIC,
    SKIPPABLE_MAGIC,
    TRAILER,
    BatchIndex,
    BlockEntry,
)

TAIL_BYTES = 64 * 1024
"""What is read first: for most files the whole index."""

_INDEX = TypeAdapter(BatchIndex)


class BatchFileError(WorkerError):
    """A file is no batch file, or a damaged one. The text names the file."""


class FileMissingError(BatchFileError):
    """The file is not there."""


class RangedFile(Protocol):
    """A file of which ranges can be read: a local one, or an object in a store. Raises BatchFileError."""

    @property
    def name(self) -> str:
        """What the file is called in listings and errors."""

    def read_tail(self, length: int) -> tuple[bytes, int]:
        """The last `length` bytes (fewer where the file is smaller), and the size of the file."""

    def read(self, start: int, length: int) -> bytes:
        """These bytes; fewer where the file ends before."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine. It is open only while it is read."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def read_tail(self, length: int) -> tuple[bytes, int]:
        try:
            with self.path.open("rb", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - length))
                return file.read(length), size
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def read(self, start: int, length: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise _unreadable(self.name, error) from error


def _unreadable(name: str, error: OSError) -> BatchFileError:
    kind = FileMissingError if isinstance(error, FileNotFoundError) else BatchFileError
    return kind(f"{name}: {error.strerror}")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of one file."""

    file: RangedFile
    index: BatchIndex
    entry: BlockEntry

    def read(self) -> bytes:
        """The block's lines. Raises BatchFileError where they are not what the index says."""
        entry = self.entry
        frame = self.file.read(entry.start, entry.length)
        where = f"{self.file.name}: block at byte {entry.start}"
        try:
            if zstandard.frame_content_size(frame) != entry.size:
                raise BatchFileError(f"{where} is damaged: it is not of the size its index gives")
            return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise BatchFileError(f"{where} is damaged: {error}") from error


def find_files(paths: Iterable[str]) -> Iterator[RangedFile]:
    """The files of these paths; of a folder all that are named like batch files, at any depth, sorted.

    Hidden files and folders below a folder are skipped: files being written, or left by a crash. So are
    symbolic links to folders. Raises ConfigError for a path that is not there or can't be listed.
    """
    for path in map(Path, paths):
        try:
            if S_ISDIR(path.stat().st_mode):
                yield from _walk(path)
            else:
                yield LocalFile(path)
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error


def _walk(folder: Path) -> Iterator[RangedFile]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif FILE_NAME.fullmatch(path.name):
            yield LocalFile(path)


def read_index(file: RangedFile) -> BatchIndex:
    """The index of a batch file, by at most two reads from its end. Raises BatchFileError."""
    tail, size = file.read_tail(TAIL_BYTES)
    length, checksum, magic = TRAILER.unpack(tail[-TRAILER.size :]) if size >= TRAILER.size else (0, 0, b"")
    if magic != MAGIC:
        raise BatchFileError(f"{file.name}: {_no_index(file, magic)}")
    framed = FRAME_HEADER.size + length + TRAILER.size
    if framed > size:
        raise BatchFileError(f"{file.name}: the index is damaged: it can't be longer than the file")
    if framed > len(tail):
        tail = file.read(size - framed, framed - len(tail)) + tail
    frame = tail[-framed:]
    text = frame[FRAME_HEADER.size : -TRAILER.size]
    if frame[: FRAME_HEADER.size] != FRAME_HEADER.pack(SKIPPABLE_MAGIC, length + TRAILER.size):
        raise BatchFileError(f"{file.name}: the index is damaged: it does not begin where its trailer says")
    if zlib.crc32(text) != checksum:
        raise BatchFileError(f"{file.name}: the index is damaged: its checksum does not match")
    return _parse(file, text, blocks_end=size - framed)


def _no_index(file: RangedFile, magic: bytes) -> str:
    """Why a file does not end like one this reader knows."""
    if magic[:-1] == MAGIC[:-1]:
        return "a batch file of a later layout than this version reads"
    if file.read(0, len(zstandard.FRAME_HEADER)) == zstandard.FRAME_HEADER:
        return "zstd data without an index at its end: a batch file that was cut off, or no batch file"
    return "no index at its end: not a batch file, or one of codec snappy, which has no index"


def _parse(file: RangedFile, text: bytes, blocks_end: int) -> BatchIndex:
    try:
        index = _INDEX.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BatchFileError(f"{file.name}: the index can't be read: {where}: {first['msg']}") from error
    if index.version != INDEX_VERSION:
        raise BatchFileError(f"{file.name}: index version {index.version}; this version reads {INDEX_VERSION}")
    for entry in index.blocks:
        if entry.start < 0 or entry.length <= 0 or entry.start + entry.length > blocks_end:
            raise BatchFileError(f"{file.name}: the index names a block outside the file (byte {entry.start})")
    return index


def read_blocks(files: Iterable[RangedFile]) -> Iterator[list[Block] | BatchFileError]:
    """File by file the blocks it holds, or what is wrong with it. Reads ahead."""
    return read_ahead(_blocks_of, files)


def _blocks_of(file: RangedFile) -> list[Block] | BatchFileError:
    try:
        index = read_index(file)
    except BatchFileError as problem:
        return problem
    return [Block(file, index, entry) for entry in index.blocks]
