"""Erases blocks that are stored in the clear: puts zeros in their place, in a file that is replaced as a whole.

No other block moves. So the metadata of the other sessions stays right, which nobody could take back: it is on a topic,
and in tables that only add up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson

from recording_worker.formats.batch_file import BatchFileError, index_frame
from recording_worker.formats.block import ERASED, erased_block
from recording_worker.formats.session_keys import Session
from recording_worker.reading.batch_files import read_frame
from recording_worker.storage.base import Inventory, RangedFile

_COPIED_BYTES = 8 * 1024 * 1024


def erase(file: RangedFile, blocks: Mapping[int, Session], inventory: Inventory) -> None:
    """Erase the blocks of a file that begin at these bytes, if its index says that they are of these sessions.

    Anyone who can write to the metadata topic decides what a record says, and must not erase blocks of others.
    It may be stopped and run again at any time. Raises WorkerError, and NoIndexError if there is no index to ask.
    """
    inventory.replace(file, _without(file, blocks))


def _without(file: RangedFile, blocks: Mapping[int, Session]) -> Iterator[bytes]:
    """Give the content of the file without these blocks. Its index says that they are erased.

    Nothing is read before it is asked for: then nobody else replaces the file.
    """
    frame = read_frame(file)
    index = frame.parse()
    entries, at = [], 0
    for entry in sorted(index.blocks, key=lambda entry: entry.start):
        if entry.encryption is None and blocks.get(entry.start) == (entry.team_id, entry.session_id):
            yield from _copied(file, at, entry.start)
            yield erased_block(entry.length)
            at = entry.start + entry.length
            entries.append(replace(entry, distinct_id="", encryption=ERASED))
        else:
            entries.append(entry)
    yield from _copied(file, at, frame.start)
    yield index_frame(
        batch_id=index.batch_id,
        codec=index.codec,
        retention=index.retention,
        created_ms=index.created_ms,
        blocks=orjson.dumps(entries),
        dictionary=index.dictionary,
    )


def _copied(file: RangedFile, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        content = file.read(start, min(_COPIED_BYTES, end - start))
        if not content:
            raise BatchFileError(f"{file.name}: the file ends at byte {start}, before its index said")
        yield content
        start += len(content)
