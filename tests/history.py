"""A made-up history of batches: the files, and the records that Kafka would hold, as `verify` reads them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import uuid_utils

from recording_worker.formats.accounts import Account, account_header
from recording_worker.formats.batch_file import file_key
from recording_worker.formats.dictionary import Dictionary
from recording_worker.formats.source import source_topic
from recording_worker.formats.timestamps import utc_text
from recording_worker.kafka.offsets import Position
from recording_worker.messages import Record
from recording_worker.operations.verify.check_accounts import Horizon
from recording_worker.operations.verify.check_all import VerifyReport, check_all
from recording_worker.operations.verify.check_posthog import add_for_posthog
from recording_worker.operations.verify.finding import Finding, FindingKind
from recording_worker.operations.verify.ledger import Ledger
from recording_worker.settings.model import Settings
from recording_worker.storage.locate import Locator
from tests.batch_files import batch_file, block, block_url, line
from tests.builders import NOW_MS

TOPIC = "recordings"
GROUP = "recorders"
METADATA = "metadata"
DLQ = "dlq"
LATER_MS = NOW_MS + 60_000
"""When `verify` runs."""


@dataclass(frozen=True)
class Part:
    """A partition's part of a batch."""

    recorded: Mapping[int, str] = field(default_factory=dict)
    """Offset → session, one event each."""
    dropped: int = 0
    redirected: int = 0
    skipped: int = 0
    dlq: Sequence[int] = ()
    next: int | None = None
    """The partition's next offset; by default after the last recorded or DLQ offset."""


class History:
    """Batches one after the other. What they leave is in plain lists, which a test can damage."""

    def __init__(self, folder: Path, topic: str = TOPIC, group: str = GROUP) -> None:
        self.folder = folder
        self.topic = topic
        self.group = group
        self.metadata: list[Record] = []
        self.dlq: list[Record] = []
        self.carried: dict[int, Account] = {}
        self.committed: dict[int, Position] = {}
        self.files: list[Path] = []
        self.dictionary: Dictionary | None = None
        """What the next batches are compressed with."""
        self.topic_id = ""
        """The id of the topic that the next batches are read from. Earlier versions wrote none."""

    @property
    def source(self) -> str:
        return source_topic(self.topic, self.topic_id)

    def create_topic_again(self, topic_id: str) -> None:
        """Begin a topic of the same name, with offsets from 0."""
        self.topic_id = topic_id
        self.carried, self.committed = {}, {}

    def batch(self, parts: Mapping[int, Part], created_ms: int = NOW_MS) -> list[Record]:
        """Commit a batch; return its metadata records. The first one carries the account."""
        batch_id = str(uuid_utils.uuid7())
        accounts = {number: self._account(number, part) for number, part in parts.items()}
        blocks = []
        for number, part in parts.items():
            for session in dict.fromkeys(part.recorded.values()):
                offsets = [offset for offset, name in part.recorded.items() if name == session]
                entry, lines = block([(offset, [line(NOW_MS, n=offset)]) for offset in offsets], session)
                blocks.append((replace(entry, partition=number, source=f"{self.source}/{number}"), lines))
            for offset in part.dlq:
                self.dlq.append(dlq_record(self.topic, number, offset, len(self.dlq), self.topic_id))
        records: list[Record] = []
        if blocks:
            path = self.folder / file_key("blocks", "30d", created_ms, batch_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(batch_file(blocks, self.dictionary, batch_id=batch_id, created_ms=created_ms))
            self.files.append(path)
            for entry, _ in blocks:
                headers = [] if records else [account_header(self.topic, self.group, accounts, topic_id=self.topic_id)]
                value = asdict(entry) | {
                    "uuid": str(uuid_utils.uuid7()),
                    "batch_id": batch_id,
                    "codec": "zstd",
                    "block_url": block_url(path.as_uri(), entry),
                    "first_timestamp": utc_text(entry.first_timestamp),
                    "last_timestamp": utc_text(entry.last_timestamp),
                    "message_count": len(entry.messages),
                    "event_count": entry.events,
                    "retention_period_days": 30,
                }
                place = len(self.metadata) + len(records)
                records.append(Record(METADATA, 0, place, created_ms, headers, json.dumps(value).encode()))
        for number, account in accounts.items():
            self.carried[number] = Account(account.next, account.next) if records else account
            self.committed[number] = Position(account.next, None if records else account, self.topic_id)
        self.metadata += records
        return records

    def verify(
        self,
        *,
        metadata_ms: int = 0,
        now_ms: int = LATER_MS,
        moved: Mapping[str, str] | None = None,
        posthog_prefix: str | None = None,
    ) -> VerifyReport:
        """What is found wrong with it; with PostHog's rules if there is a prefix."""
        ledger = Ledger()
        try:
            add = ledger.add_metadata if posthog_prefix is None else partial(add_for_posthog, ledger)
            alone = [finding for record in self.metadata if (finding := add(record))]
            for record in self.dlq:
                ledger.add_dlq(record)
            committed = {(self.group, self.source): self.committed}
            horizon = Horizon(now_ms, metadata_ms, before=committed)
            locator = Locator(Settings(storage_dir=self.folder), moved)
            report = check_all(ledger, locator, horizon, committed, posthog_prefix=posthog_prefix)
        finally:
            ledger.close()
        report.findings[:0] = alone
        return report

    def _account(self, number: int, part: Part) -> Account:
        start = self.carried.get(number, Account(0, 0))
        end = part.next if part.next is not None else max([*part.recorded, *part.dlq]) + 1
        own = Account(
            start.next, end, len(part.recorded), part.dropped, part.redirected, dlq=len(part.dlq), skipped=part.skipped
        )
        return start.followed_by(own)


def dlq_record(topic: str, partition: int, offset: int, at: int, topic_id: str = "") -> Record:
    why = {"dlq-topic": topic, "dlq-partition": str(partition), "dlq-offset": str(offset)}
    why |= {"dlq-topic-id": topic_id} if topic_id else {}
    return Record(DLQ, 0, at, NOW_MS, [(name, text.encode()) for name, text in why.items()], b"nonsense")


def offsets(findings: Iterable[Finding], *kinds: FindingKind) -> set[tuple[int | None, int]]:
    """(partition, offset) of all messages that findings of these kinds name."""
    return {
        (finding.partition, offset)
        for finding in findings
        if finding.kind in kinds and finding.first_offset is not None and finding.last_offset is not None
        for offset in range(finding.first_offset, finding.last_offset + 1)
    }
