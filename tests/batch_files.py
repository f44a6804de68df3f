"""Batch files for tests, made of given lines without the native core."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import uuid_utils
import zstandard

from recording_worker.formats.batch_file import INDEX_VERSION, BatchIndex, BlockEntry, file_key, index_frame
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
    entry = BlockEntry(
        team_id=team_id,
        session_id=session_id,
        distinct_id="user-1",
        source=source,
        partition=0,
        first_offset=messages[0][0],
        last_offset=messages[-1][0],
        messages=[(offset, len(texts)) for offset, texts in messages],
        events=lines.count(b"\n"),
        first_timestamp=float(NOW_MS),
        last_timestamp=float(NOW_MS),
        has_full_snapshot=False,
        size=len(lines),
    )
    return entry, lines


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
        "version": INDEX_VERSION,
        "batch_id": str(uuid_utils.uuid7()),
        "codec": "zstd",
        "retention": "30d",
        "created_ms": NOW_MS,
        "blocks": entries,
        "dictionary": None if dictionary is None else dictionary.id,
        **index,
    }
    return b"".join(frames) + index_frame(BatchIndex(**given))


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
