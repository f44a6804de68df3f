"""Account: what became of a partition's messages between two commits, so that a missing message is noticed.

Every message ends in exactly one way, and only a recorded message leaves a trace in a block. So each batch that writes
blocks says for each of its partitions which offsets it covers, and how their messages ended. It says so in a header of
one of its metadata records. The next account of the partition begins where this one ends. A batch that writes no block
has no metadata record. Its account waits in the metadata of the committed offset, and the next batch with a block
includes it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import ClassVar

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from recording_worker.formats.ranges import Count, Offset, Partition
from recording_worker.formats.source import source_topic
from recording_worker.messages import Record

ACCOUNT_HEADER = "batch-account"


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the messages of a partition from offset `start` up to, not including, `next`.

    Some offsets in between may hold no message: transaction markers, and records that compaction removed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}  # another tool's text is no account

    start: Offset
    next: Offset
    recorded: Count = 0
    """Messages whose events are in blocks."""
    dropped: Count = 0
    redirected: Count = 0
    dlq: Count = 0
    skipped: Count = 0
    """Offsets that were gone from the log before they were read (`on_offset_gap`)."""

    def followed_by(self, later: "Account") -> "Account":
        """Join this account and the one that begins where it ends."""
        return Account(
            self.start,
            later.next,
            self.recorded + later.recorded,
            self.dropped + later.dropped,
            self.redirected + later.redirected,
            self.dlq + later.dlq,
            self.skipped + later.skipped,
        )


@dataclass(frozen=True, slots=True)
class Committed:
    """What stands in the metadata of a committed offset."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    topic_id: str = ""
    """The id of the topic that the offset belongs to; empty if it is not known, as with earlier versions."""
    account: Account | None = None
    """What became of messages before the offset that no metadata record tells yet; None if all is told."""

    def to_text(self) -> str:
        """Return the text that is committed."""
        return orjson.dumps(asdict(self)).decode() if self != Committed() else ""


@cache
def _committed() -> TypeAdapter[Committed | Account]:
    """Return what reads it. Earlier versions committed the account alone."""
    return TypeAdapter(Committed | Account)


def read_committed(text: str, offset: int) -> Committed:
    """Read the metadata of a committed offset.

    Another tool may have committed the offset, with any text: that says nothing.
    """
    if not text:
        return Committed()
    try:
        found = _committed().validate_json(text, strict=True)
    except ValidationError:
        return Committed()
    if isinstance(found, Account):
        found = Committed(account=found)
    return found if found.account is None or found.account.next == offset else Committed()


def account_header(topic: str, group: str, accounts: Mapping[int, Account], *, topic_id: str = "") -> tuple[str, bytes]:
    """Return the header for one of a batch's metadata records: partition → account, with source topic and group."""
    partitions = {str(partition): account for partition, account in accounts.items()}
    return ACCOUNT_HEADER, orjson.dumps(asdict(_AccountHeader(topic, group, partitions, topic_id)))


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account, and where it was found."""

    group: str
    topic: str
    partition: int
    account: Account
    batch_id: str | None
    """None if the account waits in a committed offset's metadata."""
    timestamp_ms: int
    """When it was committed, milliseconds since 1970."""
    topic_id: str = ""
    """The id of the topic; empty if an earlier version wrote the account."""

    @property
    def source(self) -> str:
        """The topic and its id: offsets of equal sources are of one log."""
        return source_topic(self.topic, self.topic_id)


@dataclass(frozen=True, slots=True)
class _AccountHeader:
    topic: str
    group: str
    partitions: dict[str, Account]
    topic_id: str = ""


@cache
def _header() -> TypeAdapter[_AccountHeader]:
    return TypeAdapter(_AccountHeader)


@cache
def _partition() -> TypeAdapter[int]:
    return TypeAdapter(Partition)


def read_accounts(record: Record, batch_id: str) -> Iterator[AccountRecord]:
    """Read the accounts in a metadata record. Raises ValueError if its header is not one that this version writes."""
    text = dict(record.headers).get(ACCOUNT_HEADER)
    if text is None:
        return
    try:
        header = _header().validate_json(text, strict=True)
        for text_of_number, account in header.partitions.items():
            number = _partition().validate_python(text_of_number)
            yield AccountRecord(
                header.group, header.topic, number, account, batch_id, record.timestamp_ms, header.topic_id
            )
    except ValidationError as error:
        raise ValueError(f"the header {ACCOUNT_HEADER} is not as this version writes it") from error
