"""Compares batch files with the committed metadata that leads to them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from recording_worker._native import event_timestamp
from recording_worker.formats.batch_file import (
    FILE_NAME,
    BatchFileError,
    BatchIndex,
    BlockEntry,
    FileMissingError,
    NoIndexError,
    created_ms_of,
    parse_block_url,
)
from recording_worker.formats.block import check_block_size, decompress_block, lines_of
from recording_worker.formats.block_metadata import BlockRecord
from recording_worker.formats.dictionary import Dictionary
from recording_worker.formats.timestamps import utc_text
from recording_worker.operations.verify.check_accounts import Horizon
from recording_worker.operations.verify.finding import Finding, FindingKind
from recording_worker.operations.verify.ledger import Ledger
from recording_worker.operations.verify.offset_set import OffsetSet, ranges
from recording_worker.reading.batch_files import read_index
from recording_worker.reading.decryption import Decryption, SessionDeletedError
from recording_worker.reading.dictionaries import Dictionaries, DictionaryError
from recording_worker.settings.choices import Codec
from recording_worker.storage.base import RangedFile
from recording_worker.storage.locate import Locator

_DAY_MS = 86_400_000


class FileCheck:
    """Checks file after file of a ledger. It remembers the offsets of all messages, one bit each."""

    def __init__(self, ledger: Ledger, locator: Locator, horizon: Horizon, decryption: Decryption) -> None:
        self._ledger = ledger
        self._locator = locator
        self._horizon = horizon
        self._dictionaries = Dictionaries()
        self._decryption = decryption
        self._seen: defaultdict[str, OffsetSet] = defaultdict(OffsetSet)
        self.expired = 0
        """Files that are gone, as their retention period is over."""
        self.deleted = 0
        """Blocks of deleted sessions."""
        self.unreferenced: dict[tuple[str, int], int] = {}
        """(batch, partition) → messages in blocks that metadata should lead to, and does not."""

    def findings(self, file_url: str, blocks: list[BlockRecord]) -> Iterator[Finding]:
        """What is wrong with a file and the blocks that metadata says are in it."""
        try:
            file = self._locator.open(file_url)
            index = self._index_of(file, blocks[0].codec)
        except FileMissingError:
            if self._is_expired(file_url, blocks):
                self.expired += 1
            else:
                yield from (self._finding(FindingKind.FILE_MISSING, "the file is not there", block) for block in blocks)
            return
        except BatchFileError as error:
            yield self._file_finding(FindingKind.FILE_UNREADABLE, str(error), file_url, blocks)
            index = None
            if not self._can_open(file_url):
                return
        dictionary, readable = None, True
        try:
            if index is not None:
                dictionary = self._dictionaries.of(file, index.dictionary)
        except DictionaryError as error:
            yield self._file_finding(FindingKind.DICTIONARY_MISSING, str(error), file_url, blocks)
            readable = False
        entries = {} if index is None else {(entry.start, entry.length): entry for entry in index.blocks}
        self._decryption.prepare({(block.team_id, block.session_id) for block in blocks})
        for block in blocks:
            place = parse_block_url(block.block_url)
            entry = entries.pop((place.start, place.length), None)
            if index is not None:
                yield from self._index_findings(index, entry, block)
            if entry is not None:
                yield from self._doubled(entry, block)
            if readable:
                yield from self._content_findings(file, block, entry, dictionary)
        if index is not None:
            yield from self._unreferenced(file_url, index, entries.values())

    @staticmethod
    def _index_of(file: RangedFile, codec: str) -> BatchIndex | None:
        """Read a file's index. PostHog and earlier versions wrote snappy files without one."""
        try:
            return read_index(file)
        except NoIndexError:
            if codec != Codec.SNAPPY:
                raise
            return None

    def _can_open(self, file_url: str) -> bool:
        try:
            self._locator.open(file_url).read_tail(1)
        except BatchFileError:
            return False
        return True

    def _is_expired(self, file_url: str, blocks: list[BlockRecord]) -> bool:
        name = file_url.rpartition("/")[2]
        if not FILE_NAME.fullmatch(name):
            return False
        return created_ms_of(name) + blocks[0].retention_period_days * _DAY_MS < self._horizon.now_ms

    def _index_findings(self, index: BatchIndex, entry: BlockEntry | None, block: BlockRecord) -> Iterator[Finding]:
        """Differences between the file's index and the metadata."""
        if entry is None:
            yield self._finding(FindingKind.INDEX_DIFFERS, "the file's index has no block of this range", block)
            return
        expected: dict[str, tuple[Any, Any]] = {
            "batch_id": (index.batch_id, block.batch_id),
            "codec": (index.codec, block.codec),
            "team_id": (entry.team_id, block.team_id),
            "session_id": (entry.session_id, block.session_id),
            "distinct_id": (entry.distinct_id, "" if entry.encryption else block.distinct_id),
            "partition": (entry.partition, block.partition),
            "first_offset": (entry.first_offset, block.first_offset),
            "last_offset": (entry.last_offset, block.last_offset),
            "event_count": (entry.events, block.event_count),
            "message_count": (len(entry.messages), block.message_count),
            "size": (entry.size, block.size),
            "first_timestamp": (utc_text(entry.first_timestamp), block.first_timestamp),
            "last_timestamp": (utc_text(entry.last_timestamp), block.last_timestamp),
            "has_full_snapshot": (entry.has_full_snapshot, block.has_full_snapshot),
        }
        for name, (indexed, said) in expected.items():
            if indexed != said:
                text = f"{name} is {indexed} in the file's index and {said} in the metadata"
                yield self._finding(FindingKind.INDEX_DIFFERS, text, block)

    def _doubled(self, entry: BlockEntry, block: BlockRecord) -> Iterator[Finding]:
        """The messages of a block that are also in a block checked before."""
        seen = self._seen[entry.source]
        for first, last in ranges(sorted(offset for offset, _ in entry.messages if not seen.add(offset))):
            text = "the messages are in another committed block as well"
            yield self._finding(FindingKind.MESSAGE_DOUBLED, text, block, first, last)

    def _content_findings(
        self, file: RangedFile, block: BlockRecord, entry: BlockEntry | None, dictionary: Dictionary | None
    ) -> Iterator[Finding]:
        place = parse_block_url(block.block_url)
        try:
            check_block_size(place.length, block.size)
            stored = file.read(place.start, place.length)
        except BatchFileError as error:
            yield self._finding(FindingKind.FILE_UNREADABLE, str(error), block)
            return
        except ValueError as error:
            yield self._finding(FindingKind.BLOCK_DAMAGED, str(error), block)
            return
        if len(stored) < place.length:
            text = f"the file ends after {len(stored)} of the block's {place.length} bytes"
            yield self._finding(FindingKind.BLOCK_CUT, text, block)
            return
        try:
            session = block.team_id, block.session_id
            if entry is None:
                stored = self._decryption.opened_by_key(stored, session)
            else:
                stored = self._decryption.opened(stored, session, entry.encryption)
            lines = decompress_block(stored, block.codec, block.size, dictionary)
            _check_lines(lines, block)
        except SessionDeletedError:
            self.deleted += 1
        except ValueError as error:
            yield self._finding(FindingKind.BLOCK_DAMAGED, str(error), block)

    def _unreferenced(self, file_url: str, index: BatchIndex, entries: Iterable[BlockEntry]) -> Iterator[Finding]:
        """Blocks that no metadata leads to, though their partition is in the batch's account.

        Blocks of partitions that were revoked before the batch was committed don't count: the account leaves them out.
        """
        for entry in entries:
            record = self._ledger.account_of(index.batch_id, entry.partition)
            if record is None or not self._horizon.judges(record):
                continue
            key = index.batch_id, entry.partition
            self.unreferenced[key] = self.unreferenced.get(key, 0) + len(entry.messages)
            yield Finding(
                FindingKind.METADATA_MISSING,
                f"{len(entry.messages)} messages are in a block at byte {entry.start} that no metadata leads to",
                file=file_url,
                batch_id=index.batch_id,
                group=record.group,
                topic=record.topic,
                partition=entry.partition,
                first_offset=entry.first_offset,
                last_offset=entry.last_offset,
                session_id=entry.session_id,
                team_id=entry.team_id,
            )

    def _finding(
        self, kind: FindingKind, text: str, block: BlockRecord, first: int | None = None, last: int | None = None
    ) -> Finding:
        return Finding(
            kind,
            text,
            file=block.block_url,
            batch_id=block.batch_id,
            topic=self._ledger.source_topic(block.batch_id),
            partition=block.partition,
            first_offset=block.first_offset if first is None else first,
            last_offset=block.last_offset if last is None else last,
            session_id=block.session_id,
            team_id=block.team_id,
        )

    def _file_finding(self, kind: FindingKind, text: str, file_url: str, blocks: list[BlockRecord]) -> Finding:
        return Finding(kind, f"{text}; {len(blocks)} blocks in it", file=file_url, batch_id=blocks[0].batch_id)


def _check_lines(text: bytes, block: BlockRecord) -> None:
    """Raise ValueError if lines are not events, or not the events that the metadata describes."""
    first, last, number = math.inf, -math.inf, 0
    for number, line in enumerate(lines_of(text), 1):
        at = _timestamp(number, line)
        first, last = min(first, at), max(last, at)
    if number != block.event_count:
        raise ValueError(f"it holds {number} lines; its metadata says {block.event_count} events")
    found = utc_text(first), utc_text(last)
    if found != (block.first_timestamp, block.last_timestamp):
        said = f"{block.first_timestamp} to {block.last_timestamp}"
        raise ValueError(f"its events are from {found[0]} to {found[1]}; its metadata says {said}")


def _timestamp(number: int, line: bytes) -> float:
    """Return the event's timestamp. Raises ValueError if the line is no event."""
    try:
        return event_timestamp(line)
    except ValueError as error:
        raise ValueError(f"line {number} is no event: {error}") from error
