"""VerifyRun: reads what was committed, and compares it with the files and with itself. Verify's entry."""

import time
from functools import partial

from recording_worker.errors import ConfigError
from recording_worker.formats.source import source_topic
from recording_worker.formats.timestamps import utc_text
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.offsets import Position
from recording_worker.kafka.topic_snapshot import TopicSnapshot
from recording_worker.keys.open import open_keys
from recording_worker.operations.verify.check_accounts import Committed, Horizon
from recording_worker.operations.verify.check_all import VerifyReport, check_all
from recording_worker.operations.verify.check_posthog import add_for_posthog
from recording_worker.operations.verify.finding import Finding
from recording_worker.operations.verify.ledger import Ledger
from recording_worker.progress import ProgressBar
from recording_worker.reading.decryption import Decryption
from recording_worker.settings.model import Settings
from recording_worker.storage.locate import Locator

_CATCH_UP_SECONDS = 5.0
"""How long a commit may become visible after the metadata of the same transaction."""


class VerifyRun:
    """One run of `verify`, on one group's recordings. Raises WorkerError."""

    def __init__(self, settings: Settings, locator: Locator, progress: ProgressBar, now_ms: int) -> None:
        self._settings = settings
        self._locator = locator
        self._progress = progress
        self._now_ms = now_ms
        self._admin = Admin(settings)
        self._notes: list[str] = []

    def run(self, since_ms: int | None, *, posthog: bool = False) -> VerifyReport:
        """Check what was committed since a time, in milliseconds since 1970; everything if that is None.

        If `posthog`, check also whether PostHog's reader can show it.
        """
        if not self._admin.partitions(self._settings.metadata_topic):
            raise ConfigError(f"there is no topic {self._settings.metadata_topic} (metadata_topic)")
        ledger = Ledger()
        try:
            before = self._committed()
            findings, metadata_ms = self._read_metadata(ledger, since_ms, posthog)
            after = self._caught_up(ledger)
            horizon = Horizon(self._now_ms, metadata_ms, self._read_dlq(ledger), before)
            with self._progress("checking blocks", ledger.totals().blocks) as report:
                prefix = self._settings.storage_prefix if posthog else None
                decryption = Decryption(open_keys(self._settings))
                found = check_all(
                    ledger, self._locator, horizon, after, report, decryption=decryption, posthog_prefix=prefix
                )
        finally:
            ledger.close()
        if not any(before.values()):
            found.nothing_verified = f"group {self._settings.group_id} has committed nothing"
        elif not (found.blocks or found.accounts or found.written_by_others):
            found.nothing_verified = f"topic {self._settings.metadata_topic} holds no metadata"
            found.nothing_verified += "" if since_ms is None else f" since {utc_text(since_ms)} UTC"
        if found.nothing_verified:
            self._notes.append(found.nothing_verified)
        found.notes[:0] = [*self._notes, *self._other_groups(found)]
        found.findings[:0] = findings
        return found

    def _committed(self) -> Committed:
        group = self._settings.group_id
        found: dict[tuple[str, str], dict[int, Position]] = {}
        for topic, positions in self._admin.committed(group).items():
            for number, at in positions.items():
                found.setdefault((group, source_topic(topic, at.topic_id)), {})[number] = at
        return found

    def _caught_up(self, ledger: Ledger) -> Committed:
        """The committed offsets once they have reached the metadata that was read, or after some seconds."""
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while True:
            committed = self._committed()
            behind = any(
                number in positions and positions[number].offset < ledger.chain_end(group, topic, number)
                for (group, topic), positions in committed.items()
                for number in ledger.partitions(group, topic)
            )
            if not behind or time.monotonic() > deadline:
                return committed
            time.sleep(0.2)

    def _read_metadata(self, ledger: Ledger, since_ms: int | None, posthog: bool) -> tuple[list[Finding], int]:
        """Fill the ledger. Return what is wrong with single records, and the time since which all of them are there."""
        snapshot = TopicSnapshot.take(self._settings, self._admin, self._settings.metadata_topic)
        self._notes += snapshot.unread_notes()
        horizon_ms = self._complete_since_ms(snapshot, "what was committed")
        if since_ms is not None:
            snapshot, horizon_ms = snapshot.since(since_ms), max(horizon_ms, since_ms)
        records = snapshot.records("reading metadata", self._progress)
        add = partial(add_for_posthog, ledger) if posthog else ledger.add_metadata
        return list(filter(None, map(add, records))), horizon_ms

    def _read_dlq(self, ledger: Ledger) -> int:
        """Fill the ledger; return the time since which all DLQ records are there."""
        snapshot = TopicSnapshot.take(self._settings, self._admin, self._settings.dlq_topic)
        if not snapshot.partitions:
            self._notes.append(f"there is no topic {snapshot.topic} (dlq_topic)")
        for record in snapshot.records("reading DLQ", self._progress):
            ledger.add_dlq(record)
        return self._complete_since_ms(snapshot, "messages sent to it")

    def _complete_since_ms(self, snapshot: TopicSnapshot, what: str) -> int:
        horizon_ms = snapshot.complete_since_ms(self._now_ms)
        if horizon_ms:
            self._notes.append(
                f"topic {snapshot.topic} no longer begins at its beginning: {what} before {utc_text(horizon_ms)} UTC"
                " can't be missed"
            )
        return horizon_ms

    def _other_groups(self, found: VerifyReport) -> list[str]:
        ours = self._settings.group_id
        return [
            f"group {group}: its accounts were not compared with its committed offsets; verify it by its own --group-id"
            for group in found.groups
            if group != ours
        ]
