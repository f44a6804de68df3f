"""Erases blocks that are stored in the clear: puts zeros in their place, in a file that is replaced as a whole.

No other block moves. So the metadata of the other sessions stays right, which nobody could take back: it is on a topic,
and in tables that only add up.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

import orjson

from recording_worker.formats.batch_file import BatchFileError, NoIndexError, index_frame
from recording_worker.formats.block import ERASED, erased_block
from recording_worker.operations.deletion.known import KnownBlock
from recording_worker.reading.batch_files import read_frame
from recording_worker.storage.base import Inventory, RangedFile

_COPIED_BYTES = 8 * 1024 * 1024


def erase(file: RangedFile, blocks: Collection[KnownBlock], inventory: Inventory) -> None:
    """Erase these blocks of a file. It may be stopped and run again at any time. Raises WorkerError."""
    inventory.replace(file, _without(file, {block.start: block.length for block in blocks}))


def _without(file: RangedFile, ranges: dict[int, int]) -> Iterator[bytes]:
    """Give the content of the file, with nothing in these ranges, start → length. The index says that they are erased.

    Nothing is read before it is asked for: then nobody else replaces the file.
    """
    _, size = file.read_tail(1)
    try:
        frame = read_frame(file)
    except NoIndexError:
        yield from _blocks(file, ranges, size)
        return
    index = frame.parse()
    yield from _blocks(file, ranges, frame.start)
    entries = [
        replace(entry, distinct_id="", encryption=ERASED) if entry.start in ranges else entry for entry in index.blocks
    ]
    yield index_frame(
        batch_id=index.batch_id,
        codec=index.codec,
        retention=index.retention,
        created_ms=index.created_ms,
        blocks=orjson.dumps(entries),
        dictionary=index.dictionary,
    )


def _blocks(file: RangedFile, ranges: dict[int, int], end: int) -> Iterator[bytes]:
    at = 0
    for start, length in [*sorted(ranges.items()), (end, 0)]:
        while at < start:
            copied = file.read(at, min(_COPIED_BYTES, start - at))
            if not copied:
                raise BatchFileError(f"{file.name}: the file ends at byte {at}, before its index said")
            yield copied
            at += len(copied)
        if length:
            yield erased_block(length)
            at = start + length
