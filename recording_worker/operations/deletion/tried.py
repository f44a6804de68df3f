"""Tries to read the blocks of deleted sessions, as somebody would who has the files and the key store."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import FileMissingError
from recording_worker.formats.block import MAX_BLOCK_BYTES, is_erased, is_readable
from recording_worker.formats.session_keys import Session
from recording_worker.operations.deletion.known import KnownBlock
from recording_worker.reading.decryption import Decryption, SessionDeletedError
from recording_worker.reading.prefetch import prefetch


class Verdict(StrEnum):
    """What became of a try."""

    UNREADABLE = "unreadable"
    """It is encrypted, and the key store has no key for it."""
    ERASED = "erased"
    """There are zeros in its place."""
    GONE = "gone"
    """The file is not there any more."""
    IN_THE_CLEAR = "in the clear"
    """Who has the file can read it."""
    READABLE = "readable"
    """The key store still has its key."""
    NOT_TRIED = "not tried"


class TriedBlock(NamedTuple):
    """A block, and whether it can still be read."""

    block: KnownBlock
    verdict: Verdict
    why: str = ""
    """Why it was not tried."""


def try_blocks(session: Session, blocks: Iterable[KnownBlock], decryption: Decryption | None) -> Iterator[TriedBlock]:
    """Try to read each block, several at a time. `decryption` asks the key store only now; None without one."""
    return prefetch(partial(_tried, session, decryption), blocks, attrgetter("length"))


def _tried(session: Session, decryption: Decryption | None, block: KnownBlock) -> TriedBlock:
    if block.file is None:
        return TriedBlock(block, Verdict.NOT_TRIED, block.problem)
    if block.length > MAX_BLOCK_BYTES:
        return TriedBlock(block, Verdict.NOT_TRIED, f"it has {block.length:,} bytes")
    try:
        stored = block.file.read(block.start, block.length)
    except FileMissingError:
        return TriedBlock(block, Verdict.GONE)
    except WorkerError as error:
        return TriedBlock(block, Verdict.NOT_TRIED, str(error))
    if len(stored) < block.length:
        return TriedBlock(block, Verdict.NOT_TRIED, "the file ends within it")
    if is_erased(stored):
        return TriedBlock(block, Verdict.ERASED)
    if is_readable(stored):
        return TriedBlock(block, Verdict.IN_THE_CLEAR)
    if decryption is None:
        return TriedBlock(block, Verdict.NOT_TRIED, "it is encrypted: say where its key is (--key-store)")
    try:
        decryption.opened_by_key(stored, session)
    except SessionDeletedError:
        return TriedBlock(block, Verdict.UNREADABLE)
    except (ValueError, WorkerError) as error:
        return TriedBlock(block, Verdict.NOT_TRIED, str(error))
    return TriedBlock(block, Verdict.READABLE)
