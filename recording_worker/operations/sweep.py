"""`sweep`: finds batch files that no committed metadata leads to, left by flushes that were aborted or crashed.

A removed file can't be brought back, so a file is not judged unless its case is certain.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from recording_worker.errors import ConfigError
from recording_worker.formats.accounts import read_accounts
from recording_worker.formats.batch_file import BatchFileError, file_key_of, parse_block_url
from recording_worker.formats.block_metadata import is_deletion, read_block
from recording_worker.formats.timestamps import utc_text
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.topic_snapshot import TopicSnapshot
from recording_worker.messages import Record
from recording_worker.progress import ProgressBar
from recording_worker.reading.batch_files import read_index
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile, StoredFile
from recording_worker.storage.open import open_inventory

FLUSH_MS = 3_600_000
"""While a group has members, files younger than this may be part of a flush under way."""
_CLOCK_SKEW_MS = 3_600_000
"""How far the clocks of hosts may be apart."""


@dataclass(slots=True)
class Committed:
    """What the metadata topic says."""

    keys: set[str] = field(default_factory=set)
    """The keys of the files that metadata refers to (see `file_key_of`)."""
    topics: set[str] = field(default_factory=set)
    """The source topics of the recorded messages."""
    unreadable: int = 0

    def add(self, record: Record) -> None:
        try:
            block = read_block(record)
            self.keys.add(file_key_of(parse_block_url(block.block_url).file))
            self.topics.update(account.topic for account in read_accounts(record, block.batch_id))
        except ValueError:
            self.unreadable += not is_deletion(record)


@dataclass(slots=True)
class SweepResult:
    """The files by kind; each file is counted in one of these."""

    referred: int = 0
    young: int = 0
    """Files younger than the age asked for."""
    orphans: list[StoredFile] = field(default_factory=list)
    temporary: list[StoredFile] = field(default_factory=list)
    not_judged: list[tuple[StoredFile, str]] = field(default_factory=list)
    """Files that nothing refers to, each with the reason why it may still not be an orphan."""

    @property
    def removable(self) -> list[StoredFile]:
        return [*self.orphans, *self.temporary]


def judge(files: Iterable[StoredFile], committed: Committed, *, older_than_ms: int, horizon_ms: int) -> SweepResult:
    """Sort the files by kind. Times in milliseconds since 1970.

    `horizon_ms`: the metadata of files created before this time may be gone; 0 if all of it is there.
    """
    result = SweepResult()
    for file in files:
        if not file.temporary and file.key in committed.keys:
            result.referred += 1
        elif file.created_ms >= older_than_ms:
            result.young += 1
        elif file.temporary:
            result.temporary.append(file)
        elif horizon_ms and file.created_ms <= horizon_ms + _CLOCK_SKEW_MS:
            result.not_judged.append((file, "older than what the metadata topic still holds"))
        elif reason := _foreign(file.file, committed.topics):
            result.not_judged.append((file, reason))
        else:
            result.orphans.append(file)
    return result


def _foreign(file: RangedFile, topics: Collection[str]) -> str | None:
    """Why a file may belong elsewhere: it was recorded from another topic, or by `ingest`. None if it does not."""
    try:
        index = read_index(file)
    except BatchFileError:
        return "its index can't be read"
    others = {entry.source.rpartition("/")[0] for entry in index.blocks} - set(topics)
    return f"recorded from elsewhere: {', '.join(sorted(others)) or 'a file'}" if others else None


class Sweep:
    """One run of `sweep`. Raises WorkerError."""

    def __init__(self, settings: Settings, progress: ProgressBar, now_ms: int) -> None:
        self._inventory = open_inventory(settings)
        self._settings = settings
        self._progress = progress
        self._now_ms = now_ms
        self._admin = Admin(settings)
        self.notes: list[str] = []

    def find(self, age_ms: int, *, delete: bool) -> SweepResult:
        """Sort all files by kind. With `delete`, also make sure that files of at least this age may be removed."""
        if delete:
            self._check_age(age_ms)
        files = list(self._inventory.files())  # before the metadata: a file committed later is not in it
        committed, horizon_ms = self._read(delete=delete)
        if delete:
            self._check_age(age_ms)
        result = judge(
            files,
            committed,
            older_than_ms=self._now_ms - age_ms,
            horizon_ms=horizon_ms,
        )
        if delete and result.orphans and not result.referred:
            raise ConfigError(
                f"nothing is removed: topic {self._settings.metadata_topic} refers to none of the files in"
                f" {self._inventory}. Did their metadata go to another topic?"
            )
        return result

    def remove(self, result: SweepResult) -> None:
        """Remove what was found."""
        for file in result.removable:
            self._inventory.remove(file)

    def _read(self, *, delete: bool) -> tuple[Committed, int]:
        """All committed metadata, and the time since which all of it is there."""
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
