"""Finding: one thing that `verify` finds wrong, its kind and where it is."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """What is wrong."""

    FILE_MISSING = "file_missing"
    """Metadata leads to a file that is not there."""
    FILE_UNREADABLE = "file_unreadable"
    """The file's index can't be read, or this version can't fetch URLs of its kind."""
    DICTIONARY_MISSING = "dictionary_missing"
    """The dictionary that the file's blocks need is not there, or can't be used."""
    BLOCK_CUT = "block_cut"
    """The file ends before the block does."""
    BLOCK_DAMAGED = "block_damaged"
    """The block does not decompress, or not to what its metadata says."""
    INDEX_DIFFERS = "index_differs"
    """The file's index and the metadata say different things about the block."""
    METADATA_UNREADABLE = "metadata_unreadable"
    """A record of the metadata topic is not one of ours."""
    METADATA_DOUBLED = "metadata_doubled"
    """Two committed records name the same block, or have the same uuid."""
    METADATA_MISSING = "metadata_missing"
    """A committed batch's file has a block that no metadata leads to."""
    MESSAGE_DOUBLED = "message_doubled"
    """A message is in two committed blocks."""
    MESSAGES_MISSING = "messages_missing"
    """No account says what became of these offsets, or blocks hold fewer messages than their account says."""
    ACCOUNTS_OVERLAP = "accounts_overlap"
    """Two accounts say what became of the same offsets."""
    ACCOUNT_DIFFERS = "account_differs"
    """Blocks hold more messages than their account says."""
    DLQ_MISSING = "dlq_missing"
    """The DLQ has fewer messages from these offsets than their account says."""
    DLQ_DOUBLED = "dlq_doubled"
    """A message is on the DLQ twice, or the DLQ has more than the account says."""
    OFFSETS_BEHIND = "offsets_behind"
    """The group's committed offset is before what it has recorded: it will record that again."""
    POSTHOG_URL = "posthog_url"
    """PostHog's reader can't take the block's URL apart."""
    POSTHOG_KEY = "posthog_key"
    """PostHog's recording API refuses the key of the block's file."""
    POSTHOG_CODEC = "posthog_codec"
    """PostHog's reader can't decompress the block."""
    POSTHOG_LIST = "posthog_list"
    """PostHog lists no block of the session, and so shows nothing of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. A field that is None does not apply, or is not known."""

    kind: FindingKind
    text: str
    """What is wrong, in words."""
    file: str | None = None
    """URL of the file or block."""
    batch_id: str | None = None
    group: str | None = None
    topic: str | None = None
    """The source topic."""
    partition: int | None = None
    first_offset: int | None = None
    last_offset: int | None = None
    session_id: str | None = None
    team_id: int | None = None

    def to_dict(self) -> dict[str, object]:
        """The fields that are known, for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        where = [
            f"{label} {value}"
            for label, value in (
                ("file", self.file),
                ("batch", self.batch_id),
                ("group", self.group),
                ("topic", self.topic),
                ("partition", self.partition),
                ("offsets", self._offsets()),
                ("session", self.session_id),
                ("team", self.team_id),
            )
            if value is not None
        ]
        return f"{self.kind}: {self.text} ({', '.join(where)})" if where else f"{self.kind}: {self.text}"

    def _offsets(self) -> str | None:
        if self.first_offset is None:
            return None
        return (
            str(self.first_offset)
            if self.first_offset == self.last_offset
            else (f"{self.first_offset}-{self.last_offset}")
        )
