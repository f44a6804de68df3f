"""Account: what became of a partition's messages between two commits, so that none can be missing unnoticed.

Every message ends in exactly one way, and only those that are recorded leave a block. So each batch that
writes blocks says of each of its partitions which offsets it stands for and how their messages ended: as a header
of one of its metadata records. The next account of the partition begins where this one ends. A batch that writes
no block has no such record: its account waits in the metadata of the committed offset, and
the next batch with a block includes it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import orjson

from recording_worker.messages import Record

ACCOUNT_HEADER = "batch-account"


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the messages of a partition from offset `start` up to, not including, `next`.

    There may be offsets in between that hold no message: transaction markers, or what compaction left out.
    """

    start: int
    next: int
    recorded: int = 0
    """Messages whose events are in blocks."""
    dropped: int = 0
    redirected: int = 0
    dlq: int = 0
    skipped: int = 0
    """Offsets that were gone from the log when they were to be read (`on_offset_gap`)."""

    def followed_by(self, later: "Account") -> "Account":
        """Both as one; the start of the later one is where this one ends."""
        return Account(
            self.start,
            later.next,
            self.recorded + later.recorded,
            self.dropped + later.dropped,
            self.redirected + later.redirected,
            self.dlq + later.dlq,
            self.skipped + later.skipped,
        )

    def to_text(self) -> str:
        """For the metadata of a committed offset."""
        return orjson.dumps(asdict(self)).decode()


def carried_account(text: str, offset: int) -> Account:
    """The account that waits in a committed offset's metadata; a new one from `offset` where none does.

    Any tool may have committed the offset, with any text.
    """
    try:
        fields = orjson.loads(text)
        account = Account(**fields)
    except (ValueError, TypeError):
        return Account(offset, offset)
    is_ours = account.next == offset and all(type(number) is int for number in fields.values())
    return account if is_ours else Account(offset, offset)


def account_header(topic: str, group: str, accounts: Mapping[int, Account]) -> tuple[str, bytes]:
    """The header of one of a batch's metadata records: partition → account, with the source topic and the group."""
    partitions = {str(partition): asdict(account) for partition, account in accounts.items()}
    return ACCOUNT_HEADER, orjson.dumps({"topic": topic, "group": group, "partitions": partitions})


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account, and where it is from."""

    group: str
    topic: str
    partition: int
    account: Account
    batch_id: str | None
    """None for one that waits in a committed offset's metadata."""
    timestamp_ms: int
    """When it was committed, milliseconds since 1970."""


def read_accounts(record: Record, batch_id: str) -> Iterator[AccountRecord]:
    """The accounts a metadata record carries. Raises ValueError where its header is none of ours."""
    text = dict(record.headers).get(ACCOUNT_HEADER)
    if text is None:
        return
    try:
        header = orjson.loads(text)
        for number, fields in header["partitions"].items():
            account = Account(**fields)
            group, topic = str(header["group"]), str(header["topic"])
            yield AccountRecord(group, topic, int(number), account, batch_id, record.timestamp_ms)
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"the header {ACCOUNT_HEADER} is not as this version writes it") from error
