"""Compares the accounts of a group with each other, its committed offsets, the blocks and the DLQ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from recording_worker.formats.accounts import AccountRecord
from recording_worker.formats.source import topic_name
from recording_worker.kafka.offsets import Position
from recording_worker.operations.verify.finding import Finding, FindingKind
from recording_worker.operations.verify.ledger import Ledger

Committed = Mapping[tuple[str, str], Mapping[int, Position]]
"""(group, source topic with its id) → partition → what is committed."""

_LONGEST_TRANSACTION_MS = 900_000
"""Kafka's own limit (transaction.max.timeout.ms), unless a broker sets another."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Decides which accounts can be checked: those whose whole batch was read.

    Times in milliseconds since 1970.
    """

    now_ms: int
    metadata_ms: int = 0
    """All metadata since this time is still there."""
    dlq_ms: int = 0
    """All DLQ records since this time are still there."""
    before: Committed = field(default_factory=dict)
    """What was committed before anything was read. A later batch may have been read in part."""

    def judges(self, record: AccountRecord) -> bool:
        """Whether all that was committed with this account was read, so that anything missing is really missing."""
        if record.timestamp_ms < self.metadata_ms:
            return False
        committed = self.before.get((record.group, record.topic), {}).get(record.partition)
        is_old = record.timestamp_ms < self.now_ms - _LONGEST_TRANSACTION_MS
        return committed is None or record.account.next <= committed.offset or is_old


def add_carried(ledger: Ledger, horizon: Horizon) -> None:
    """Add the accounts that wait in committed offsets to the ledger, except those that a batch has included since."""
    for (group, topic), positions in horizon.before.items():
        for partition, position in positions.items():
            carried = position.account
            end = ledger.chain_end(group, topic, partition)
            if carried is not None and end <= carried.start < carried.next:
                ledger.add_account(AccountRecord(group, topic, partition, carried, None, horizon.now_ms))


def account_findings(
    ledger: Ledger, horizon: Horizon, after: Committed, unreferenced: Mapping[tuple[str, int], int]
) -> Iterator[Finding]:
    """What is wrong with the accounts of all groups.

    `after` is what was committed after the metadata was read: no account reaches past it. `unreferenced`: (batch,
    partition) → messages already known to be in blocks that no metadata leads to.
    """
    for group, topic in ledger.groups():
        for partition in ledger.partitions(group, topic):
            check = _PartitionCheck(ledger, horizon, group, topic, partition)
            yield from check.chain()
            yield from check.end(after.get((group, topic), {}).get(partition))
            yield from check.contents(unreferenced)
    yield from _dlq_findings(ledger)


@dataclass(frozen=True, slots=True)
class _PartitionCheck:
    """The accounts of one partition."""

    ledger: Ledger
    horizon: Horizon
    group: str
    topic: str
    partition: int

    def chain(self) -> Iterator[Finding]:
        """Gaps between two accounts, and offsets that are in several."""
        records = self._records()
        last = next(records)
        for record in records:
            account, end = record.account, last.account.next
            if account.start > end and last.timestamp_ms >= self.horizon.metadata_ms and self.horizon.judges(record):
                text = f"no account says what became of {account.start - end} offsets"
                yield self._finding(FindingKind.MESSAGES_MISSING, text, end, account.start, record.batch_id)
            elif account.start < min(end, account.next):
                text = f"batch {last.batch_id} accounts for them as well"
                overlap = account.start, min(end, account.next)
                yield self._finding(FindingKind.ACCOUNTS_OVERLAP, text, *overlap, record.batch_id)
            if account.next >= end:
                last = record

    def end(self, after: Position | None) -> Iterator[Finding]:
        """Accounts that end before the offset committed earlier, or after the offset committed later."""
        last = max(self._records(), key=lambda record: record.account.next)
        end = last.account.next
        before = self.horizon.before.get((self.group, self.topic), {}).get(self.partition)
        if before is not None and before.offset > end and last.timestamp_ms >= self.horizon.metadata_ms:
            text = f"no account says what became of {before.offset - end} committed offsets"
            yield self._finding(FindingKind.MESSAGES_MISSING, text, end, before.offset)
        if after is not None and after.offset < end:
            text = f"the committed offset is {after.offset}: these will be recorded again"
            yield self._finding(FindingKind.OFFSETS_BEHIND, text, after.offset, end, last.batch_id)

    def contents(self, unreferenced: Mapping[tuple[str, int], int]) -> Iterator[Finding]:
        """Accounts whose numbers differ from the blocks of their batch, or from the DLQ."""
        previous_ms = 0
        for record in self._records():
            if self.horizon.judges(record):
                yield from self._blocks(record, unreferenced)
                yield from self._dlq(record, previous_ms)
            previous_ms = record.timestamp_ms

    def _blocks(self, record: AccountRecord, unreferenced: Mapping[tuple[str, int], int]) -> Iterator[Finding]:
        recorded, batch_id = record.account.recorded, record.batch_id or ""
        held = self.ledger.block_messages(batch_id, self.partition) + unreferenced.get((batch_id, self.partition), 0)
        if held != recorded:
            kind = FindingKind.MESSAGES_MISSING if held < recorded else FindingKind.ACCOUNT_DIFFERS
            yield self._account_finding(kind, f"{recorded} messages were recorded; metadata leads to {held}", record)

    def _dlq(self, record: AccountRecord, previous_ms: int) -> Iterator[Finding]:
        """DLQ records may be as old as the account before: a batch without blocks has no account of its own."""
        sent = record.account.dlq
        found = self.ledger.dlq_messages(self.topic, self.partition, record.account)
        name = topic_name(self.topic)
        if found < sent and name != self.topic:  # an earlier version may have sent some, without the topic's id
            found = min(sent, found + self.ledger.dlq_messages(name, self.partition, record.account))
        text = f"{sent} messages went to the DLQ; it has {found}"
        if found < sent and previous_ms >= self.horizon.dlq_ms:
            yield self._account_finding(FindingKind.DLQ_MISSING, text, record)
        elif found > sent:
            yield self._account_finding(FindingKind.DLQ_DOUBLED, text, record)

    def _records(self) -> Iterator[AccountRecord]:
        return self.ledger.chain(self.group, self.topic, self.partition)

    def _account_finding(self, kind: FindingKind, text: str, record: AccountRecord) -> Finding:
        return self._finding(kind, text, record.account.start, record.account.next, record.batch_id)

    def _finding(self, kind: FindingKind, text: str, first: int, end: int, batch_id: str | None = None) -> Finding:
        return Finding(
            kind,
            text,
            batch_id=batch_id,
            group=self.group,
            topic=self.topic,
            partition=self.partition,
            first_offset=first,
            last_offset=end - 1,
        )


def _dlq_findings(ledger: Ledger) -> Iterator[Finding]:
    """Messages that are on the DLQ more often than there are groups that read their topic."""
    groups: dict[str, int] = {}
    for _group, topic in ledger.groups():
        groups[topic] = groups.get(topic, 0) + 1
    for topic, partition, offset, times in ledger.dlq_doubled():
        if times > groups.get(topic, 1):
            yield Finding(
                FindingKind.DLQ_DOUBLED,
                f"the message is on the DLQ {times} times",
                topic=topic,
                partition=partition,
                first_offset=offset,
                last_offset=offset,
            )
