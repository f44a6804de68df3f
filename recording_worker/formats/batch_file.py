"""The batch file: names, index and trailer, all but the compression of its blocks. See docs/data/batch-files.md.

A batch file is a sequence of blocks, each a zstd frame or raw snappy, and one zstd skippable frame with the index. The
index is JSON in a zstd frame of its own, followed by a trailer of 16 bytes. With the trailer a reader finds the index
from the end of the file.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, NamedTuple

import orjson
import zstandard
from pydantic import FailFast, Field, TypeAdapter, ValidationError

from recording_worker.errors import WorkerError
from recording_worker.formats.block import could_hold
from recording_worker.formats.dictionary import DICTIONARY_ID
from recording_worker.formats.ranges import Count, EventTimeMs, Offset, Partition, TeamId
from recording_worker.formats.timestamps import LATEST_MS
from recording_worker.settings.choices import FileNames

INDEX_VERSION = 1
MAGIC = b"RWBATCH2"
"""Last bytes of a batch file. The digit changes with the layout of the trailer, or of what is before it."""
MAGIC_PLAIN = b"RWBATCH1"
"""Last bytes of a file of an earlier version, whose index is JSON that is not compressed."""
TRAILER = struct.Struct("<II8s")
"""Length of the index as it is stored, CRC-32 of that, MAGIC; little endian."""
SKIPPABLE_MAGIC = 0x184D2A57
FRAME_HEADER = struct.Struct("<II")
"""The header of a zstd skippable frame: magic number, length of what follows; little endian."""
_MAX_OFFSETS_LENGTH = 1500
"""Characters. S3 takes 2,048 bytes of metadata in all."""
FILE_NAME = re.compile(
    r"([0-9a-f]{4}-(?P<created_ms>[0-9]{1,16})-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?P<posthog_created_ms>[0-9]{1,16})-[0-9a-f]{16})"
)
"""What the last part of a batch file's key looks like: see FileNames. PostHog's own files are named like the latter."""
MAX_INDEX_BYTES = 64 * 1024 * 1024
"""The longest index that is read, bytes of JSON. In memory it takes some ten times as much."""
_INDEX_LEVEL = 3
_RANGE = re.compile(r"(?P<file>[^?]+)\?range=bytes=(?P<first>[0-9]{1,19})-(?P<last>[0-9]{1,19})")
_LAST_BYTE = 2**63 - 2
"""The last byte that a range may name, so that its length is a number of 63 bits too."""


class BatchFileError(WorkerError):
    """A file is not a batch file, or it is damaged. The text names the file."""


class NoIndexError(BatchFileError):
    """The file does not end in an index: it was cut, or written with codec snappy by an earlier version or PostHog."""


class FileMissingError(BatchFileError):
    """The file does not exist."""


class BlockDamagedError(BatchFileError):
    """A block is not what the index says of it, however often it is read."""


@dataclass(slots=True)
class BlockEntry:
    """The index entry of one block: one session's events from one source partition."""

    team_id: TeamId
    session_id: str
    distinct_id: str
    source: str
    """What the offsets belong to: `{topic}/{partition}`, or the name given to an input file. Two entries with the same
    (source, offset) hold the same message."""
    partition: Partition
    first_offset: Offset
    last_offset: Offset
    messages: Annotated[list[tuple[Offset, Annotated[int, Field(ge=1, lt=2**63)]]], FailFast()]
    """(source offset, line count) of each message, in the order of its lines in the block."""
    events: Count
    """Events, and so lines, in the block."""
    first_timestamp: EventTimeMs
    """The smallest event timestamp, milliseconds since 1970."""
    last_timestamp: EventTimeMs
    has_full_snapshot: bool
    size: Count
    """Bytes of the lines, uncompressed."""
    start: Count = 0
    """Where the block begins in the file, bytes."""
    length: Count = 0
    """Bytes of the block in the file."""
    # Earlier files lack the following figures.
    first_full_snapshot_position: Count | None = None
    """The line of the block with the earliest full snapshot, from 0; None if there is no full snapshot."""
    first_full_snapshot_timestamp: EventTimeMs | None = None
    """Its time, milliseconds since 1970: the block can be played from there on."""
    out_of_order_count: Count | None = None
    """Events that are earlier than the line before theirs."""
    gap_count: Count | None = None
    """Silences of more than 10 s between events in order of their time."""
    snapshot_source: str | None = None
    """What recorded the session: `web`, or `mobile`, whose snapshots are wireframes or screenshots."""
    encryption: str | None = None
    """How the block is encrypted: `secretbox`; `erased` if nothing of it is there any more; None if it is in the clear.
    Without None the entry has no distinct id."""

    def contradiction(self) -> str | None:
        """Return what can't be true of a block; None if its figures agree with each other."""
        offsets = [offset for offset, _ in self.messages]
        if not offsets or min(offsets) != self.first_offset or max(offsets) != self.last_offset:
            return "its messages are not from its first offset to its last"
        if sum(count for _, count in self.messages) != self.events:
            return "the line counts of its messages don't add up to its events"
        if self.first_timestamp > self.last_timestamp:
            return "it ends before it begins"
        if self.size < self.events:
            return "it has more lines than bytes"
        if not could_hold(self.length, self.size):
            return f"{self.length:,} bytes can't hold {self.size:,} bytes of lines"
        counts = (self.out_of_order_count, self.gap_count, self.first_full_snapshot_position)
        if any(count is not None and count >= self.events for count in counts):
            return "it counts more than it has events"
        at = self.first_full_snapshot_timestamp
        if at is not None and not self.first_timestamp <= at <= self.last_timestamp:
            return "its full snapshot is not between its first event and its last"
        return None


@dataclass(frozen=True, slots=True)
class BatchIndex:
    """The index of one batch file."""

    version: int
    batch_id: str
    codec: str
    retention: str
    created_ms: Annotated[int, Field(ge=0, le=LATEST_MS)]
    """Milliseconds since 1970 (UTC) when the batch was flushed."""
    blocks: Annotated[list[BlockEntry], FailFast()]
    dictionary: str | None = None
    """The id of the dictionary that the blocks were compressed with; None if there was none. Earlier files lack it."""


@cache
def _index() -> TypeAdapter[BatchIndex]:
    """Made when it is first needed: a worker only writes files."""
    return TypeAdapter(BatchIndex)


def file_key(prefix: str, retention: str, created_ms: int, batch_id: str, names: FileNames = FileNames.BATCH_ID) -> str:
    """Return the key of a batch file: `{prefix}/{retention}/{4 hex of a hash}-{utc ms}-{batch_id}`.

    The retention period comes first, so that a life-cycle rule can expire the file. The hash spreads names over an
    object store's partitions. With `names` of PostHog: `{prefix}/{retention}/{utc ms}-{16 hex of a hash}`; its reader
    refuses other keys (validateS3Key in nodejs/src/session-replay/recording-api/recording-service.ts).
    """
    if names is FileNames.POSTHOG:
        name = f"{created_ms}-{_hash(batch_id, 8)}"
    else:
        name = f"{_hash(batch_id, 2)}-{created_ms}-{batch_id}"
    return "/".join(filter(None, (prefix.strip("/"), retention, name)))


def _hash(batch_id: str, size: int) -> str:
    return hashlib.blake2b(batch_id.encode(), digest_size=size).hexdigest()


def file_key_of(url: str) -> str:
    """Return what a file's URL and its path have in common: retention and name. No two batches share a name."""
    return "/".join(url.rsplit("/", 2)[-2:])


def is_surely_ours(name: str) -> bool:
    """Return whether a file has a name that PostHog's consumer does not give: see FileNames."""
    found = FILE_NAME.fullmatch(name)
    return found is not None and found["created_ms"] is not None


def created_ms_of(name: str) -> int:
    """Read from a batch file's name when it was flushed, in milliseconds since 1970. Raises ValueError."""
    found = FILE_NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"not the name of a batch file: {name}")
    return int(found["created_ms"] or found["posthog_created_ms"])


def file_metadata(batch_id: str, codec: str, topic: str, ranges: Mapping[int, tuple[int, int]]) -> dict[str, str]:
    """Return what a store can say about a batch file without reading it: names and values in ASCII, less than 2 KB.

    `ranges`: partition → its first and last source offset in the file.

    `offsets` has the first and last source offset of each partition, `3:120-179,5:8-99`. If there are too many, an
    ellipsis `...` ends it. The index has them all.
    """
    offsets = ",".join(f"{partition}:{first}-{last}" for partition, (first, last) in sorted(ranges.items()))
    if len(offsets) > _MAX_OFFSETS_LENGTH:
        offsets = offsets[: offsets.rindex(",", 0, _MAX_OFFSETS_LENGTH) + 1] + "..."
    return {"batch-id": batch_id, "codec": codec, "topic": topic, "offsets": offsets}


def index_frame(
    *,
    batch_id: str,
    codec: str,
    retention: str,
    created_ms: int,
    blocks: bytes,
    dictionary: str | None = None,
    version: int = INDEX_VERSION,
) -> bytes:
    """Return the skippable frame that ends a batch file. The arguments are as in BatchIndex.

    `blocks` is the JSON array of the blocks' entries: the core writes it (`_native.FileBlocks.index_entries`).
    """
    index = {
        "version": version,
        "batch_id": batch_id,
        "codec": codec,
        "retention": retention,
        "created_ms": created_ms,
        "blocks": orjson.Fragment(blocks),
        "dictionary": dictionary,
    }
    stored = zstandard.ZstdCompressor(level=_INDEX_LEVEL).compress(orjson.dumps(index))
    header = FRAME_HEADER.pack(SKIPPABLE_MAGIC, len(stored) + TRAILER.size)
    return header + stored + TRAILER.pack(len(stored), zlib.crc32(stored), MAGIC)


def index_frame_length(name: str, tail: bytes, size: int) -> int | None:
    """Return how many bytes the index frame takes at the end of a file; None if the file has no index.

    `tail` is the end of the file, `size` bytes in all. Raises BatchFileError, with `name`, if the trailer is wrong.
    """
    length, _checksum, magic = TRAILER.unpack(tail[-TRAILER.size :]) if size >= TRAILER.size else (0, 0, b"")
    if magic not in (MAGIC, MAGIC_PLAIN):
        if magic[:-1] == MAGIC[:-1]:
            raise BatchFileError(f"{name}: a batch file of a later layout than this version reads")
        return None
    framed = FRAME_HEADER.size + int(length) + TRAILER.size
    if framed > size:
        raise BatchFileError(f"{name}: the index is damaged: it can't be longer than the file")
    _check_length(name, length)
    return framed


def _check_length(name: str, length: int) -> None:
    if length > MAX_INDEX_BYTES:
        raise BatchFileError(f"{name}: the index of {length:,} bytes is too long: {MAX_INDEX_BYTES:,} are read")


def parse_index_frame(name: str, frame: bytes, blocks_end: int) -> BatchIndex:
    """Read the skippable frame that ends a batch file.

    `frame` begins at byte `blocks_end` of the file. Raises BatchFileError, with `name`, if the frame is damaged or
    of another version, or if what it says can't be true. Anyone who can write the file decides what it says.
    """
    stored = frame[FRAME_HEADER.size : -TRAILER.size]
    length, checksum, magic = TRAILER.unpack(frame[-TRAILER.size :])
    if frame[: FRAME_HEADER.size] != FRAME_HEADER.pack(SKIPPABLE_MAGIC, length + TRAILER.size):
        raise BatchFileError(f"{name}: the index is damaged: it does not begin where its trailer says")
    if zlib.crc32(stored) != checksum:
        raise BatchFileError(f"{name}: the index is damaged: its checksum does not match")
    text = stored if magic == MAGIC_PLAIN else _unpacked(name, stored)
    try:
        index = _index().validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BatchFileError(f"{name}: the index can't be read: {where}: {first['msg']}") from error
    if index.version != INDEX_VERSION:
        raise BatchFileError(f"{name}: index version {index.version}; this version reads {INDEX_VERSION}")
    if index.dictionary is not None and not DICTIONARY_ID.fullmatch(index.dictionary):
        shown = repr(index.dictionary[:80])
        raise BatchFileError(f"{name}: the index names a dictionary by what is no id of one: {shown}")
    for entry in index.blocks:
        if entry.length == 0 or entry.start + entry.length > blocks_end:
            raise BatchFileError(f"{name}: the index names a block outside the file (byte {entry.start})")
        if problem := entry.contradiction():
            raise BatchFileError(f"{name}: the index contradicts itself: block at byte {entry.start}: {problem}")
    end = 0
    for entry in sorted(index.blocks, key=lambda entry: entry.start):
        if entry.start < end:
            raise BatchFileError(f"{name}: the index contradicts itself: two blocks have byte {entry.start}")
        end = entry.start + entry.length
    return index


def _unpacked(name: str, stored: bytes) -> bytes:
    """Return the JSON of an index. Raises BatchFileError, before anybody makes room for too much of it."""
    try:
        _check_length(name, zstandard.frame_content_size(stored))
        return zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BatchFileError(f"{name}: the index is damaged: it does not decompress: {error}") from error


class BlockRange(NamedTuple):
    """A block URL, taken apart."""

    file: str
    """The file's URL."""
    start: int
    length: int


def parse_block_url(url: str) -> BlockRange:
    """Take a block URL apart: its file's URL, and the range of its bytes, first and last inclusive.

    The core writes it. Raises ValueError if the text is not a block URL.
    """
    found = _RANGE.fullmatch(url)
    if found is None or not int(found["first"]) <= int(found["last"]) <= _LAST_BYTE:
        raise ValueError(f"not a block URL: {url}")
    return BlockRange(found["file"], int(found["first"]), int(found["last"]) - int(found["first"]) + 1)
