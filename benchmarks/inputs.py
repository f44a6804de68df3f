"""Messages for the benchmarks: generated from a seed, and the sample of real recordings.

Generated ones hold the events of the demo's visitors: full snapshots, mutations, mouse, input, console.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import orjson
import zstandard

from recording_worker._native import CompressedBlocks, DecodedBatch, Decoder, SessionBlock
from recording_worker.demo.page import PATHS, Page
from recording_worker.demo.traffic import Draft
from recording_worker.demo.visitor import Visitor
from recording_worker.formats.message_file import read_messages
from recording_worker.formats.rrweb import Event
from recording_worker.messages import Message, MessageColumns
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders

SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "sample.jsonl.zst"
SIZES = {"2KB": 2_000, "28KB": 28_000, "280KB": 280_000, "1.2MB": 1_200_000}
"""A small message; the median, the 90th percentile and the largest of real traffic. Bytes, uncompressed."""
ENCODINGS = ("plain", "gzip", "lz4", "zstd")
TOPIC = "benchmark"
_START_MS = 1_795_000_000_000
_BATCH_BYTES = 5_000_000


def made_up(seed: int, size: int, encoding: str) -> list[Message]:
    """Return messages of about `size` bytes each and 5 MB together, uncompressed. A session has five messages."""
    events = _events(Random(seed))
    return [
        _message(events, offset, f"{seed}-{offset // 5}", size, encoding)
        for offset in range(max(1, _BATCH_BYTES // size))
    ]


@cache
def real() -> tuple[Message, ...]:
    """Return the sample of real recordings: 82 messages, most of them plain, the others gzip and lz4."""
    return tuple(read_messages(SAMPLE, partition=0))


def _message(events: Iterator[Event], offset: int, session: str, size: int, encoding: str) -> Message:
    draft = Draft(
        session_id=str(uuid.uuid5(uuid.NAMESPACE_URL, session)),
        distinct_id="visitor-1",
        token="phc_benchmark",
        lib_version="1.449.2",
        encoding="plain" if encoding == "zstd" else encoding,
        time_ms=_START_MS,
        items=[],
        value=zstandard.ZstdCompressor().compress if encoding == "zstd" else None,
    )
    room = size - len(draft.message(offset).value or b"")
    draft.items = list(_fill(events, room))
    return draft.message(offset)


def _events(random: Random) -> Iterator[Event]:
    """Yield the events of one visit after the other, without end."""
    pages = [Page(path, random) for path in PATHS]
    while True:
        yield from Visitor(random, _START_MS - 3_600_000, pages).events()


def _fill(events: Iterator[Event], room: int) -> Iterator[Event]:
    """Yield events until the next one does not fit. At the beginning, skip events that do not fit."""
    used = 0
    for event in events:
        length = len(orjson.dumps(orjson.dumps(event).decode())) - 1
        if used + length <= room:
            used += length
            yield event
        elif used > room // 2:
            return


@dataclass(frozen=True, slots=True)
class Columns:
    """The arguments of a decode call."""

    batch: MessageBatch
    bytes: int
    """Of all values, uncompressed."""

    def check(self, decoded: DecodedBatch) -> None:
        """Raise AssertionError unless all messages are decoded, and each has events."""
        assert decoded.rows == len(self.batch)
        assert decoded.uncompressed_bytes == self.bytes
        assert all(decoded.event_count(row) for row in range(decoded.rows))

    def decode(self, decoder: Decoder) -> DecodedBatch:
        """Decode all messages."""
        batch = self.batch
        return decoder.decode(
            batch.messages.values,
            batch.content_encodings,
            batch.session_id_headers,
            batch.distinct_id_headers,
            batch.timestamps_ms,
            None,
            bytearray(len(batch)),
            bytearray(len(batch)),
        )


def columns(messages: Sequence[Message]) -> Columns:
    """Return the messages with their headers parsed. Raises AssertionError if one can't be recorded."""
    batch = MessageBatch(TOPIC, MessageColumns.of(messages))
    ParseHeaders().run(batch)
    decoded = Columns(batch, 0).decode(Decoder())
    found = Columns(batch, decoded.uncompressed_bytes)
    found.check(decoded)
    return found


def record(decoded: DecodedBatch) -> list[SessionBlock]:
    """Record all rows into the blocks of their sessions, and return the blocks."""
    blocks: dict[str, SessionBlock] = {}
    for row in range(decoded.rows):
        session_id = decoded.session_id(row)
        block = blocks.get(session_id)
        if block is None:
            block = blocks[session_id] = SessionBlock()
        block.record(decoded, row, row)
    return list(blocks.values())


def check_blocks(parts: Sequence[CompressedBlocks], raw_bytes: int) -> None:
    """Raise AssertionError unless the compressed blocks hold this many bytes together, by what they say themselves."""
    found = 0
    for part in parts:
        view, start = memoryview(part), 0
        for length in part.lengths:
            found += _raw_size(view[start : start + length])
            start += length
    assert found == raw_bytes
    assert 0 < sum(map(len, parts)) < raw_bytes


def _raw_size(block: memoryview) -> int:
    """Return the uncompressed size that a zstd frame or a raw snappy block begins with."""
    start = bytes(block[:18])  # the longest header of a zstd frame
    if start.startswith(zstandard.FRAME_HEADER):
        return zstandard.frame_content_size(start)
    size = 0
    for number, byte in enumerate(start):
        size |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            break
    return size
