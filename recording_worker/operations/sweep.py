"""`sweep`: batch files that no committed metadata leads to, left by flushes that were aborted or crashed.

Removing is for ever, so whatever can't be said for certain is not judged.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from recording_worker.errors import ConfigError
from recording_worker.formats.accounts import read_accounts
from recording_worker.formats.batch_file import BatchFileError, file_key_of, parse_block_url
from recording_worker.formats.block_metadata import read_block
from recording_worker.formats.timestamps import utc_text
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.topic_snapshot import TopicSnapshot
from recording_worker.messages import Record
from recording_worker.progress import ProgressBar
from recording_worker.reading.batch_files import read_index
from recording_worker.settings.model import Codec, Settings
from recording_worker.storage.base import RangedFile, StoredFile
from recording_worker.storage.open import open_inventory

FLUSH_MS = 3_600_000
"""While a group has members, younger files may be part of a flush under way."""
_CLOCKS_MS = 3_600_000
"""How far the clocks of hosts may be apart."""


@dataclass(slots=True)
class Committed:
    """What the metadata topic says."""

    keys: set[str] = field(default_factory=set)
    """Of the files that are referred to (see `file_key_of`)."""
    topics: set[str] = field(default_factory=set)
    """The source topics of what is recorded there."""
    unreadable: int = 0

    def add(self, record: Record) -> None:
        try:
            block = read_block(record)
            self.keys.add(file_key_of(parse_block_url(block.block_url).file))
            self.topics.update(account.topic for account in read_accounts(record, block.batch_id))
        except ValueError:
            self.unreadable += 1


@dataclass(slots=True)
class Findings:
    """What became of the files: each that is old enough is in one of these."""

    referred: int = 0
    young: int = 0
    """Files not as old as asked for."""
    orphans: list[StoredFile] = field(default_factory=list)
    temporary: list[StoredFile] = field(default_factory=list)
    not_judged: list[tuple[StoredFile, str]] = field(default_factory=list)
    """Files nothing refers to, and why that does not say that they are orphans."""

    @property
    def removable(self) -> list[StoredFile]:
        return [*self.orphans, *self.temporary]


def judge(
    files: Iterable[StoredFile], committed: Committed, *, older_than_ms: int, horizon_ms: int, indexed: bool
) -> Findings:
    """Which files nothing refers to. Times in milliseconds since 1970.

    `horizon_ms`: of files created before, metadata may be gone. `indexed`: whether workers write files with an index.
    """
    findings = Findings()
    for file in files:
        if not file.temporary and file.key in committed.keys:
            findings.referred += 1
        elif file.created_ms >= older_than_ms:
            findings.young += 1
        elif file.temporary:
            findings.temporary.append(file)
        elif horizon_ms and file.created_ms <= horizon_ms + _CLOCKS_MS:
            findings.not_judged.append((file, "older than what the metadata topic still holds"))
        elif reason := _foreign(file.file, committed.topics, indexed=indexed):
            findings.not_judged.append((file, reason))
        else:
            findings.orphans.append(file)
    return findings


def _foreign(file: RangedFile, topics: Collection[str], *, indexed: bool) -> str | None:
    """Why a file may be somebody else's: written from another topic, whose metadata is elsewhere, or from files."""
    try:
        index = read_index(file)
    except BatchFileError:
        return "its index can't be read" if indexed else None
    strangers = {entry.source.rpartition("/")[0] for entry in index.blocks} - set(topics)
    return f"recorded from elsewhere: {', '.join(sorted(strangers)) or 'a file'}" if strangers else None


class Sweep:
    """One run of `sweep`. Raises WorkerError."""

    def __init__(self, settings: Settings, progress: ProgressBar, now_ms: int) -> None:
        self._inventory = open_inventory(settings)
        self._settings = settings
        self._progress = progress
        self._now_ms = now_ms
        self._admin = Admin(settings)
        self.notes: list[str] = []

    def find(self, age_ms: int, *, delete: bool) -> Findings:
        """What is there of at least this age. With `delete`, also makes sure that it may be removed."""
        if delete:
            self._check_age(age_ms)
        files = list(self._inventory.files())  # before the metadata: what is committed later is not among them
        committed, horizon_ms = self._read(delete=delete)
        if delete:
            self._check_age(age_ms)
        findings = judge(
            files,
            committed,
            older_than_ms=self._now_ms - age_ms,
            horizon_ms=horizon_ms,
            indexed=self._settings.codec is Codec.ZSTD,
        )
        if delete and findings.orphans and not findings.referred:
            raise ConfigError(
                f"nothing is removed: topic {self._settings.metadata_topic} refers to none of the files in"
                f" {self._inventory}. Is it the topic their metadata went to?"
            )
        return findings

    def remove(self, findings: Findings) -> None:
        """Remove what was found."""
        for file in findings.removable:
            self._inventory.remove(file)

    def _read(self, *, delete: bool) -> tuple[Committed, int]:
        """All committed metadata, and from when on all of it is there."""
        topic = self._settings.metadata_topic
        snapshot = TopicSnapshot.take(self._settings, self._admin, topic)
        if not snapshot.partitions:
            raise ConfigError(f"there is no topic {topic} (metadata_topic)")
        if "compact" in self._admin.topic_config(topic).get("cleanup.policy", ""):
            raise ConfigError(f"topic {topic} is compacted: it no longer says all that was committed")
        if snapshot.open_transactions and delete:
            raise ConfigError(
                f"nothing is removed: a transaction is open on topic {topic}; try again once it has ended"
            )
        horizon_ms = snapshot.complete_since_ms(self._now_ms)
        if horizon_ms:
            self.notes.append(f"topic {topic} no longer holds anything from before {utc_text(horizon_ms)} UTC")
        committed = Committed(topics={self._settings.topic})
        for record in snapshot.records("reading metadata", self._progress):
            committed.add(record)
        if committed.unreadable:
            text = f"{committed.unreadable} records of topic {topic} can't be read"
            if delete:
                raise ConfigError(f"nothing is removed: {text}, and may refer to files")
            self.notes.append(text)
        return committed, horizon_ms

    def _check_age(self, age_ms: int) -> None:
        group = self._settings.group_id
        if age_ms < FLUSH_MS and (members := self._admin.members(group)):
            raise ConfigError(
                f"nothing is removed: group {group} has members, whose flushes may be under way ({', '.join(members)});"
                " remove what is older than 1h, or stop them"
            )
