"""`dictionary train`: makes a zstd dictionary from recordings, and finds out what it saves on others.

Blocks are sampled as they are stored. A session is either trained on or kept apart to measure with, never both.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain, islice
from pathlib import Path

from recording_worker._native import Compressor, Decoder, train_dictionary
from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.formats.dictionary import Dictionary
from recording_worker.formats.message_file import read_messages
from recording_worker.messages import Message, MessageColumns
from recording_worker.private_file import write_private
from recording_worker.reading.batch_files import Block
from recording_worker.reading.prefetch import prefetch
from recording_worker.settings.model import Settings
from recording_worker.settings.units import size_text
from recording_worker.text import counted

MAX_BLOCK_BYTES = 4 * 1024 * 1024
"""A larger block is sampled by its beginning."""
MIN_SESSIONS = 5
"""Fewer sessions say too little about others."""
MIN_SAMPLE_SIZES = 4
"""The sample must have this many times the bytes of the dictionary: otherwise it would be little more than a copy."""

_UNSEEN_SHARE = 5
"""One of this many sessions is kept apart."""
_MESSAGES_AT_A_TIME = 64
_HEADERS = ("content-encoding", "session_id", "distinct_id")


class Reservoir:
    """A random sample of blocks with at most this many bytes. The same blocks give the same sample in any order."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._ranks_below = 1 << 64
        self._kept: list[tuple[int, str, bytes]] = []
        """A heap of (-rank, session, lines)."""
        self._known: set[int] = set()
        self.size = 0
        """Bytes of the lines in the sample."""

    def wants(self, key: str) -> bool:
        """Whether the block of this key would come into the sample."""
        rank = _hash(key)
        return rank < self._ranks_below and rank not in self._known

    def add(self, key: str, session: str, lines: bytes) -> None:
        """Add a block. Blocks with higher ranks leave the sample if it becomes too large. A rank is chance, by key."""
        if not self.wants(key):
            return
        rank, lines = _hash(key), lines[:MAX_BLOCK_BYTES]
        heappush(self._kept, (-rank, session, lines))
        self._known.add(rank)
        self.size += len(lines)
        while self.size > self._max_bytes:
            highest, _, dropped = heappop(self._kept)
            self._ranks_below = -highest
            self._known.remove(-highest)
            self.size -= len(dropped)

    @property
    def blocks(self) -> list[bytes]:
        return [lines for _, _, lines in sorted(self._kept)]

    @property
    def sessions(self) -> int:
        return len({session for _, session, _ in self._kept})


@dataclass(frozen=True, slots=True)
class Trained:
    """A dictionary, what it was trained on, and what it saves on blocks of sessions that it has not seen.

    Bytes are of lines, except `stored`: those are of compressed blocks.
    """

    dictionary: Dictionary
    level: int
    blocks: int
    sessions: int
    size: int
    unseen_blocks: int
    unseen_sessions: int
    unseen_size: int
    stored_without: int
    stored_with: int

    def figures(self) -> dict[str, object]:
        """What to print."""
        return {
            "id": self.dictionary.id,
            "bytes": len(self.dictionary.content),
            "trained_on": {"blocks": self.blocks, "sessions": self.sessions, "bytes": self.size},
            "unseen": {"blocks": self.unseen_blocks, "sessions": self.unseen_sessions, "bytes": self.unseen_size},
            "unseen_stored": {
                "level": self.level,
                "without_dictionary": self.stored_without,
                "with_dictionary": self.stored_with,
                "ratio": round(self.stored_with / self.stored_without, 3),
            },
        }


class Training:
    """Samples blocks, and trains a dictionary. `sample_bytes` bounds the memory: the sample takes that much, the blocks
    that are kept apart a quarter of it, and training up to twice of it."""

    def __init__(self, settings: Settings, sample_bytes: int) -> None:
        self._settings = settings
        self._seen = Reservoir(sample_bytes)
        self._unseen = Reservoir(sample_bytes // 4)

    def add_files(self, files: Iterable[list[Block]]) -> list[BatchFileError]:
        """Sample the blocks of batch files. Only blocks that come into the sample are read. Return what is damaged."""
        wanted = (
            block
            for block in chain.from_iterable(files)
            if self._part_of(block.entry.session_id).wants(_block_key(block))
        )
        problems = []
        for block, lines in prefetch(_read, wanted, lambda block: block.weight):
            if isinstance(lines, BatchFileError):
                problems.append(lines)
            else:
                self._part_of(block.entry.session_id).add(_block_key(block), block.entry.session_id, lines)
        return problems

    def add_messages(self, path: Path) -> None:
        """Sample the messages of a message file, each as a block of its own. Raises MessageFileError."""
        settings = self._settings
        decoder = Decoder(
            max_decompressed_bytes=settings.max_decompressed_bytes,
            max_decoded_bytes=settings.budget.poll_bytes,
            unpack_client_compression=settings.unpacks_client_compression,
        )
        messages = read_messages(path, 0)
        rest: list[Message] = []
        while batch := rest + list(islice(messages, _MESSAGES_AT_A_TIME - len(rest))):
            rest = batch[self._add_decoded(decoder, batch) :]

    def _add_decoded(self, decoder: Decoder, batch: list[Message]) -> int:
        """Sample the first messages of a batch, and return how many. Leave out those that would not be recorded."""
        dispositions = bytearray(len(batch))
        columns = MessageColumns.of(batch)
        encodings, session_ids, distinct_ids = columns.headers.texts(_HEADERS)
        decoded = decoder.decode(
            columns.values,
            encodings,
            session_ids,
            distinct_ids,
            columns.timestamps_ms,
            None,
            dispositions,
            bytearray(len(batch)),
        )
        for row in range(decoded.rows):
            if not dispositions[row]:
                session, lines = decoded.session_id(row), decoded.lines(row)
                self._part_of(session).add(hashlib.sha256(lines).hexdigest(), session, lines)
        return decoded.rows

    def _part_of(self, session: str) -> Reservoir:
        return self._seen if _hash(f"session {session}") % _UNSEEN_SHARE else self._unseen

    def train(self, size: int) -> Trained:
        """Train a dictionary of at most `size` bytes. Raises WorkerError if there is too little to train from."""
        seen, unseen, level = self._seen, self._unseen, self._settings.zstd_level
        if seen.sessions < MIN_SESSIONS or seen.size < MIN_SAMPLE_SIZES * size or not unseen.size:
            raise WorkerError(
                f"too little to train from: {counted(len(seen.blocks), 'block')} of"
                f" {counted(seen.sessions, 'session')} with {size_text(seen.size)} of lines, and"
                f" {counted(unseen.sessions, 'session')} kept apart to measure with. A dictionary of {size_text(size)}"
                f" needs {MIN_SESSIONS} sessions with {size_text(MIN_SAMPLE_SIZES * size)}, and one to measure with"
            )
        try:
            dictionary = Dictionary.parse(train_dictionary(seen.blocks, size, level))
        except ValueError as error:
            raise WorkerError(f"can't train a dictionary: {error}") from error
        return Trained(
            dictionary,
            level,
            blocks=len(seen.blocks),
            sessions=seen.sessions,
            size=seen.size,
            unseen_blocks=len(unseen.blocks),
            unseen_sessions=unseen.sessions,
            unseen_size=unseen.size,
            stored_without=_stored(unseen.blocks, level, None),
            stored_with=_stored(unseen.blocks, level, dictionary),
        )


def write_dictionary(dictionary: Dictionary, path: Path) -> None:
    """Write a dictionary to a file, whole or not at all, in place of a file that was there. Raises WorkerError."""
    try:
        write_private(path, [dictionary.content])
    except OSError as error:
        raise WorkerError(f"can't write {path}: {error.strerror}") from error


def _stored(blocks: Iterable[bytes], level: int, dictionary: Dictionary | None) -> int:
    """Return the bytes that the blocks take once they are compressed, each by itself."""
    compressor = Compressor("zstd", level, None if dictionary is None else dictionary.content)
    return sum(len(compressor.compress_lines(lines)) for lines in blocks)


def _read(block: Block) -> tuple[Block, bytes | BatchFileError]:
    try:
        return block, block.read()
    except BatchFileError as problem:
        return block, problem


def _block_key(block: Block) -> str:
    entry = block.entry
    return f"{entry.team_id} {entry.session_id} {entry.source} {entry.first_offset}"


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
