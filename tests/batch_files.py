"""Batch files for tests, made of given lines without the native core."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import orjson
import uuid_utils
import zstandard

from recording_worker._native import event_timestamp
from recording_worker.formats.batch_file import BatchIndex, BlockEntry, file_key, index_frame
from recording_worker.formats.dictionary import Dictionary, dictionary_key
from tests.builders import NOW_MS

Messages = Sequence[tuple[int, Sequence[bytes]]]
"""Source offset and lines, without line breaks, of each message."""


def line(timestamp: float, window_id: str = "w", **data: Any) -> bytes:
    """A block line, without its line break."""
    return json.dumps([window_id, {"type": 3, "timestamp": timestamp, "data": data}]).encode()


def block(
    messages: Messages, session_id: str = "session-1", team_id: int = 1, source: str = "recordings/0"
) -> tuple[BlockEntry, bytes]:
    """A block of these messages, and its lines."""
    lines = b"".join(text + b"\n" for _, texts in messages for text in texts)
    times = _times(text for _, texts in messages for text in texts)
    entry = BlockEntry(
        team_id=team_id,
        session_id=session_id,
        distinct_id="user-1",
        source=source,
        partition=0,
        first_offset=min(offset for offset, _ in messages),
        last_offset=max(offset for offset, _ in messages),
        messages=[(offset, len(texts)) for offset, texts in messages],
        events=lines.count(b"\n"),
        first_timestamp=min(times),
        last_timestamp=max(times),
        has_full_snapshot=False,
        size=len(lines),
    )
    return entry, lines


def _times(lines: Iterable[bytes]) -> list[float]:
    """The timestamps of these lines; NOW_MS if they are not all events."""
    try:
        return [event_timestamp(text) for text in lines]
    except ValueError:
        return [float(NOW_MS)]


def batch_file(blocks: Sequence[tuple[BlockEntry, bytes]], dictionary: Dictionary | None = None, **index: Any) -> bytes:
    """The content of a batch file, its blocks compressed with the dictionary, if there is one."""
    prepared = None if dictionary is None else dictionary.prepared
    compress = zstandard.ZstdCompressor(write_checksum=True, dict_data=prepared).compress
    frames = [compress(lines) for _, lines in blocks]
    entries, start = [entry for entry, _ in blocks], 0
    for entry, frame in zip(entries, frames, strict=True):
        entry.start, entry.length = start, len(frame)
        start += len(frame)
    given: dict[str, Any] = {
        "batch_id": str(uuid_utils.uuid7()),
        "codec": "zstd",
        "retention": "30d",
        "created_ms": NOW_MS,
        "dictionary": None if dictionary is None else dictionary.id,
        **index,
    }
    return b"".join(frames) + index_frame(**given, blocks=orjson.dumps(entries))


def frame_of(index: BatchIndex, blocks: object = None) -> bytes:
    """The frame that ends a batch file, with an index that was read and changed, or with these blocks instead."""
    return index_frame(
        batch_id=index.batch_id,
        codec=index.codec,
        retention=index.retention,
        created_ms=index.created_ms,
        blocks=orjson.dumps(index.blocks if blocks is None else blocks),
        dictionary=index.dictionary,
    )


def offset_ranges(entries: Iterable[BlockEntry]) -> dict[int, tuple[int, int]]:
    """Partition → its first and last source offset."""
    ranges: dict[int, tuple[int, int]] = {}
    for entry in entries:
        first, last = ranges.get(entry.partition, (entry.first_offset, entry.last_offset))
        ranges[entry.partition] = min(first, entry.first_offset), max(last, entry.last_offset)
    return ranges


def block_url(file_url: str, entry: BlockEntry) -> str:
    return f"{file_url}?range=bytes={entry.start}-{entry.start + entry.length - 1}"


def undamaged(problem: Exception) -> None:
    """For readers that tell what can't be read: here there is nothing of the kind."""
    raise problem


def make_dictionary(seed: int = 0, zstd_id: int = 0) -> Dictionary:
    """A small dictionary of made-up lines; another one for each seed. Without a `zstd_id`, zstd chooses it."""
    words = [f"word{seed}-{number}" for number in range(200)]
    random = Random(seed)
    samples: list[bytes | bytearray | memoryview[int]] = [
        line(number, text=" ".join(random.choices(words, k=30))) for number in range(300)
    ]
    return Dictionary.parse(zstandard.train_dictionary(4096, samples, k=64, d=8, dict_id=zstd_id).as_bytes())


def store_dictionary(folder: Path, dictionary: Dictionary) -> Path:
    """Store a dictionary for the files that `write_batch_file` writes below this folder."""
    path = folder / dictionary_key("blocks", dictionary.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dictionary.content)
    return path


def write_batch_file(
    folder: Path, *blocks: tuple[BlockEntry, bytes], dictionary: Dictionary | None = None, **index: Any
) -> Path:
    """Write a batch file below a folder, under a name like the worker's. Its dictionary has to be stored apart."""
    path = folder / file_key("blocks", "30d", NOW_MS, str(uuid_utils.uuid7()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(batch_file(blocks, dictionary, **index))
    return path
