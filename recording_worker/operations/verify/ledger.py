"""Ledger: what Kafka says was recorded, sorted so that it can be compared with the files and with itself.

A topic is told from an earlier one of its name by its id: here each is named by both (see `formats.source`).

It is a temporary SQLite database, which spills to disk by itself: a metadata topic may hold many more records than
memory can, and the records of one file lie anywhere in it.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import NamedTuple

import orjson

from recording_worker.formats.accounts import Account, AccountRecord, read_accounts
from recording_worker.formats.batch_file import parse_block_url
from recording_worker.formats.block_metadata import BlockRecord, ListedRecord, is_deletion, read_block
from recording_worker.formats.dlq_headers import source_of
from recording_worker.formats.source import source_topic
from recording_worker.messages import Record
from recording_worker.operations.verify.finding import Finding, FindingKind


class BlockTotals(NamedTuple):
    """Sums over all blocks; `size` in bytes of lines, uncompressed."""

    blocks: int
    files: int
    messages: int
    events: int
    size: int


class BrokenList(NamedTuple):
    """A session whose blocks PostHog does not list."""

    team_id: int
    session_id: str
    empty_url_place: str | None
    """Where a record with an empty URL is; None if there is none."""
    first: str
    """When the session begins by all its records, to a millionth of a second."""
    first_of_block: str | None
    """When its first block begins; None if it has no block."""
    url: str | None
    """The URL of that block."""


_SCHEMA = """
CREATE TABLE block (file TEXT, start INT, length INT, place TEXT, uuid TEXT UNIQUE, batch TEXT, partition INT,
                    session TEXT, messages INT, events INT, size INT, value BLOB, UNIQUE (file, start, length));
CREATE INDEX block_batch ON block (batch, partition);
CREATE TABLE account (grp TEXT, topic TEXT, partition INT, start INT, next INT, recorded INT, dropped INT,
                      redirected INT, dlq INT, skipped INT, batch TEXT, timestamp_ms INT);
CREATE INDEX account_batch ON account (batch, partition);
CREATE INDEX account_chain ON account (grp, topic, partition, start, next);
CREATE TABLE dlq (topic TEXT, partition INT, offset INT);
CREATE INDEX dlq_offset ON dlq (topic, partition, offset);
CREATE TABLE listed (team INT, session TEXT, first TEXT, url TEXT, deleted INT, codec TEXT, place TEXT);
"""
_ACCOUNT = "grp, topic, partition, start, next, recorded, dropped, redirected, dlq, skipped, batch, timestamp_ms"


class Ledger:
    """Fill it first, then ask. For one thread only."""

    def __init__(self) -> None:
        self._sql = sqlite3.connect("", isolation_level=None)  # a temporary file, gone when this is
        self._sql.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)

    def close(self) -> None:
        self._sql.close()

    def add_metadata(self, record: Record) -> Finding | None:
        """Add a metadata record and the account it may carry; return what is wrong with the record by itself."""
        try:
            block = read_block(record)
            url = parse_block_url(block.block_url)
            accounts = list(read_accounts(record, block.batch_id))
        except ValueError as error:
            if is_deletion(record):
                return None
            return Finding(FindingKind.METADATA_UNREADABLE, f"the record {record.place} can't be read: {error}")
        values = (
            *(url.file, url.start, url.length, record.place, block.uuid, block.batch_id, block.partition),
            *(block.session_id, block.message_count, block.event_count, block.size, orjson.dumps(asdict(block))),
        )
        try:
            self._sql.execute(f"INSERT INTO block VALUES ({', '.join('?' * len(values))})", values)
        except sqlite3.IntegrityError:
            return self._doubled(record, block)
        for account in accounts:
            self.add_account(account)
        return None

    def add_account(self, record: AccountRecord) -> None:
        account = record.account
        self._sql.execute(
            f"INSERT INTO account ({_ACCOUNT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(record.group, record.source, record.partition, account.start, account.next, account.recorded),
                *(account.dropped, account.redirected, account.dlq, account.skipped),
                *(record.batch_id, record.timestamp_ms),
            ),
        )

    def add_dlq(self, record: Record) -> None:
        """Add a DLQ record; one that does not say where its message came from is ignored."""
        source = source_of(record.headers)
        if source is not None:
            topic = source_topic(source.topic, source.topic_id)
            self._sql.execute("INSERT INTO dlq VALUES (?, ?, ?)", (topic, source.partition, source.offset))

    def add_listed(self, record: ListedRecord, place: str) -> None:
        """Add what PostHog lists a session's blocks by, with the place of the record."""
        values = (record.team_id, record.session_id, _to_microseconds(record.first_timestamp), record.block_url)
        self._sql.execute(
            "INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, record.is_deleted, record.codec, place)
        )

    def listed_blocks(self) -> Iterable[tuple[int, str, str, str | None]]:
        """(team, session, URL, codec) of each block that was added for PostHog's rules."""
        return self._sql.execute("SELECT team, session, url, codec FROM listed WHERE url > '' ORDER BY url")

    def written_by_others(self) -> int:
        """How many of the records that were added for PostHog's rules this worker did not write."""
        return int(self._sql.execute("SELECT count(*) FROM listed WHERE codec IS NULL AND NOT deleted").fetchone()[0])

    def broken_lists(self, since: str) -> Iterator[BrokenList]:
        """The sessions whose blocks PostHog does not list, though they are not deleted.

        A session that began before `since` may have had earlier blocks. So nothing is said of its first one.
        """
        # as ClickHouse aggregates: a null URL is in no array, and an empty one is in the array of URLs alone
        query = """
            SELECT team, session, max(place) FILTER (WHERE url = ''), min(first), min(first) FILTER (WHERE url > ''),
                   (SELECT url FROM listed WHERE team = a.team AND session = a.session AND url > ''
                    ORDER BY first LIMIT 1)
            FROM listed AS a GROUP BY team, session
            HAVING max(deleted) = 0 AND count(url) > 0
                AND (sum(url = '') > 0 OR min(first) < min(first) FILTER (WHERE url > '') AND min(first) >= ?)
            ORDER BY team, session
        """
        self._sql.execute("CREATE INDEX IF NOT EXISTS listed_session ON listed (team, session, first)")
        return map(BrokenList._make, self._sql.execute(query, (_to_microseconds(since),)))

    def totals(self) -> BlockTotals:
        query = "SELECT count(*), count(DISTINCT file), total(messages), total(events), total(size) FROM block"
        return BlockTotals(*map(int, self._sql.execute(query).fetchone()))

    def batches_without_account(self) -> int:
        """How many batches have blocks, but no account."""
        query = (
            "SELECT count(DISTINCT batch) FROM block WHERE batch NOT IN (SELECT batch FROM account WHERE batch > '')"
        )
        return int(self._sql.execute(query).fetchone()[0])

    def files(self) -> Iterator[tuple[str, list[BlockRecord]]]:
        """Each file's URL, and its blocks in the order of their position; files in the order of their batches."""
        file, blocks = "", list[BlockRecord]()
        for url, value in self._sql.execute("SELECT file, value FROM block ORDER BY batch, file, start"):
            if url != file and blocks:
                yield file, blocks
                blocks = []
            file = url
            blocks.append(BlockRecord(**orjson.loads(value)))
        if blocks:
            yield file, blocks

    def source_topic(self, batch_id: str) -> str | None:
        """The topic a batch's messages came from, by its account; None if it has no account."""
        found = self._sql.execute("SELECT topic FROM account WHERE batch = ? LIMIT 1", (batch_id,)).fetchone()
        return None if found is None else str(found[0])

    def account_of(self, batch_id: str, partition: int) -> AccountRecord | None:
        """A batch's account of a partition; None if it has none."""
        query = f"SELECT {_ACCOUNT} FROM account WHERE batch = ? AND partition = ?"
        found = self._sql.execute(query, (batch_id, partition)).fetchone()
        return None if found is None else _account(found)

    def groups(self) -> list[tuple[str, str]]:
        """The pairs (group, source topic) that have accounts."""
        return self._sql.execute("SELECT DISTINCT grp, topic FROM account ORDER BY grp, topic").fetchall()

    def partitions(self, group: str, topic: str) -> list[int]:
        """The partitions that have accounts."""
        query = "SELECT DISTINCT partition FROM account WHERE grp = ? AND topic = ? ORDER BY partition"
        return [number for (number,) in self._sql.execute(query, (group, topic))]

    def chain(self, group: str, topic: str, partition: int) -> Iterator[AccountRecord]:
        """A partition's accounts, in the order of their first offsets."""
        query = f"SELECT {_ACCOUNT} FROM account WHERE grp = ? AND topic = ? AND partition = ? ORDER BY start, next"
        return map(_account, self._sql.execute(query, (group, topic, partition)))

    def chain_end(self, group: str, topic: str, partition: int) -> int:
        """The offset at which the accounts of a partition end; 0 if there are no accounts."""
        query = "SELECT max(next) FROM account WHERE grp = ? AND topic = ? AND partition = ?"
        return int(self._sql.execute(query, (group, topic, partition)).fetchone()[0] or 0)

    def block_messages(self, batch_id: str, partition: int) -> int:
        """How many messages of a partition the blocks of a batch hold, by their metadata."""
        query = "SELECT total(messages) FROM block WHERE batch = ? AND partition = ?"
        return int(self._sql.execute(query, (batch_id, partition)).fetchone()[0])

    def dlq_messages(self, topic: str, partition: int, account: Account) -> int:
        """How many messages from an account's offsets are on the DLQ, each counted once."""
        query = (
            "SELECT count(DISTINCT offset) FROM dlq WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ?"
        )
        return int(self._sql.execute(query, (topic, partition, account.start, account.next)).fetchone()[0])

    def dlq_doubled(self) -> Iterable[tuple[str, int, int, int]]:
        """(topic, partition, offset, times) of each message that is on the DLQ more than once."""
        query = "SELECT topic, partition, offset, count(*) AS n FROM dlq GROUP BY topic, partition, offset HAVING n > 1"
        return self._sql.execute(query)

    def _doubled(self, record: Record, block: BlockRecord) -> Finding:
        url = parse_block_url(block.block_url)
        query = "SELECT place FROM block WHERE uuid = ? OR (file = ? AND start = ? AND length = ?)"
        (before,) = self._sql.execute(query, (block.uuid, *url)).fetchone()
        return Finding(
            FindingKind.METADATA_DOUBLED,
            f"the record {record.place} has the uuid or the block of the one {before}",
            file=block.block_url,
            batch_id=block.batch_id,
            topic=self.source_topic(block.batch_id),
            partition=block.partition,
            first_offset=block.first_offset,
            last_offset=block.last_offset,
            session_id=block.session_id,
            team_id=block.team_id,
        )


def _to_microseconds(timestamp: str) -> str:
    """A timestamp as text with six digits of a second, so that texts compare as ClickHouse's DateTime64(6) does."""
    second, _, fraction = timestamp.partition(".")
    return f"{second}.{fraction[:6]:0<6}"


def _account(row: tuple[str, str, int, int, int, int, int, int, int, int, str | None, int]) -> AccountRecord:
    group, topic, partition, start, end, recorded, dropped, redirected, dlq, skipped, batch_id, timestamp_ms = row
    account = Account(start, end, recorded, dropped, redirected, dlq, skipped)
    return AccountRecord(group, topic, partition, account, batch_id, timestamp_ms)
