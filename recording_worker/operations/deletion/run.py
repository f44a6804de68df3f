"""DeletionRun: deletes sessions. It may be stopped anywhere, and run again: each step finds what was done before.

The order matters. The key goes first, so that nothing can be read from then on. Only then is it taken out of the Redis
of PostHog's reader: a reader that asks in between would keep it there for another day. The records that hide the
session come next. What is left is tried last, and what turns out to be stored in the clear is erased, if asked for.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum

from recording_worker.clock import Clock
from recording_worker.errors import ConfigError, StoreError, WorkerError
from recording_worker.formats.batch_file import NoIndexError
from recording_worker.formats.block_metadata import deletion_value
from recording_worker.formats.retention import RETENTION_DAYS
from recording_worker.formats.session_keys import Session, cached_key_name
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.exclusive_producer import ExclusiveProducer, FencedError, NewRecord, Transaction
from recording_worker.keys.store import KeyStore, SessionKey
from recording_worker.operations.deletion.certificate import Certificate, DeletedSession, KeyOutcome
from recording_worker.operations.deletion.erase import erase
from recording_worker.operations.deletion.known import Finder, KnownSession
from recording_worker.operations.deletion.people import PeopleInClickHouse
from recording_worker.operations.deletion.places import places
from recording_worker.operations.deletion.tried import Verdict, try_blocks
from recording_worker.operations.interruptions import Interruptions
from recording_worker.progress import ProgressBar
from recording_worker.reading.decryption import Decryption
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile
from recording_worker.storage.locate import Locator
from recording_worker.storage.open import NO_STORAGE, open_inventory

_SESSIONS_AT_ONCE = 100
"""Sessions whose records go into one transaction."""


class KeyState(StrEnum):
    """What the key store says of a session before it is deleted."""

    PRESENT = "it has a key"
    UNUSABLE = "it has a key that can't be opened"
    ABSENT = "it has no key"
    DESTROYED = "it is deleted already"


_OUTCOMES = {
    KeyState.PRESENT: KeyOutcome.DESTROYED,
    KeyState.UNUSABLE: KeyOutcome.DESTROYED,
    KeyState.ABSENT: KeyOutcome.NONE,
    KeyState.DESTROYED: KeyOutcome.BEFORE,
}


@dataclass(frozen=True, slots=True)
class PlannedSession:
    """A session to delete, and what is known of it before."""

    known: KnownSession
    key: KeyState


class DeletionRun:
    """One run of `delete`. Everything raises WorkerError."""

    def __init__(
        self,
        settings: Settings,
        store: KeyStore | None,
        progress: ProgressBar,
        clock: Clock,
        interruptions: Interruptions | None,
    ) -> None:
        """Look at the metadata topic as it is now.

        Without a key store nothing is destroyed: what is stored in the clear can be erased. With `interruptions`,
        another deletion that is under way is ended, and what it left open on the topic is aborted. Without them, the
        run can only plan.
        """
        self._settings = settings
        self._store = store
        self._progress = progress
        self._clock = clock
        self._admin = Admin(settings)
        locator = Locator(settings)
        if not locator.has_places:
            raise ConfigError(NO_STORAGE)
        self._interruptions = interruptions
        self._producer = None if interruptions is None else self._exclusive_producer(interruptions)
        self._finder = Finder(settings, locator, self._admin, progress, clock.now_ms())

    def _exclusive_producer(self, interruptions: Interruptions) -> ExclusiveProducer:
        """Return the producer that only one deletion at a time has. Raises BootError if Kafka can't be used."""
        id_ = f"{self._settings.metadata_topic}/delete"
        producer = ExclusiveProducer(self._settings, id_, interruptions.check)
        producer.fence()
        return producer

    def sessions_of(self, team_id: int, distinct_ids: Collection[str]) -> set[Session]:
        """Return the sessions of these people, as the metadata topic says, and ClickHouse if it may be asked."""
        settings = self._settings
        if settings.clickhouse is None:
            return self._finder.sessions_of(team_id, distinct_ids, None)
        from recording_worker.lookups.clickhouse import ClickHouse  # an extra brings its library

        with closing(ClickHouse(settings.clickhouse, settings)) as clickhouse:
            people = PeopleInClickHouse(clickhouse, settings.clickhouse_table)
            return self._finder.sessions_of(team_id, distinct_ids, people)

    def plan(self, sessions: Collection[Session], *, scan_storage: bool) -> dict[Session, PlannedSession]:
        """Look at the sessions, and change nothing. `scan_storage`: see Finder.known."""
        known = self._finder.known(sorted(sessions), scan_storage=scan_storage)
        return {session: PlannedSession(each, self._key_state(session)) for session, each in known.items()}

    def delete(self, plan: dict[Session, PlannedSession], by: str, *, rewrite: bool) -> Certificate:
        """Delete the sessions in the name of `by`, and try what is left of them.

        `rewrite`: whether to erase what is stored in the clear.
        """
        settings, interruptions, producer = self._settings, self._interruptions, self._producer
        assert interruptions is not None
        assert producer is not None
        sessions, destroyed = list(plan), dict[Session, SessionKey]()
        with self._progress("deleting", len(sessions)) as report:
            for start in range(0, len(sessions), _SESSIONS_AT_ONCE):
                some = sessions[start : start + _SESSIONS_AT_ONCE]
                for session in some:
                    interruptions.check()
                    destroyed[session] = self._destroy(session, by)
                self._forget_cached(some)
                with interruptions.deferred():
                    self._mark({session: plan[session].known for session in some}, producer)
                report(len(some), 0)
        tried = self._try(plan, destroyed)
        if rewrite and self._erase(tried, interruptions):
            tried = self._try(plan, destroyed)
        self._forget_cached(sessions)  # a reader that asked just before the deletion may have stored the key after it
        now_ms = self._clock.now_ms()
        return Certificate(
            made_at_ms=now_ms,
            by=by,
            key_store=settings.key_store.value,
            sessions=tried,
            places=list(places(settings, self._admin, sessions, now_ms)),
            unread=self._finder.unread,
        )

    def _destroy(self, session: Session, by: str) -> SessionKey:
        now = self._clock.now_ms() // 1000
        return SessionKey(None, now, by) if self._store is None else self._store.destroy(session, by, now)

    def _key_state(self, session: Session) -> KeyState:
        if self._store is None:
            return KeyState.ABSENT
        try:
            found = self._store.read([session]).get(session)
        except StoreError:
            self._store.probe()  # if the store is away, nothing can be said
            return KeyState.UNUSABLE
        if found is None:
            return KeyState.ABSENT
        if found.is_deleted:
            return KeyState.DESTROYED
        return KeyState.ABSENT if found.key is None else KeyState.PRESENT

    def _forget_cached(self, sessions: Sequence[Session]) -> None:
        if self._settings.keys_redis is not None and sessions:
            from recording_worker.lookups.redis import remove_keys  # an extra brings its library

            remove_keys("keys_redis", self._settings.keys_redis, [cached_key_name(session) for session in sessions])

    def _mark(self, sessions: dict[Session, KnownSession], producer: ExclusiveProducer) -> None:
        """Say on the metadata topic that the sessions are deleted, unless it says so already."""
        now_ms, longest = self._clock.now_ms(), max(RETENTION_DAYS.values())
        records = [
            NewRecord(
                self._settings.metadata_topic,
                None,
                session[1].encode(errors="surrogatepass"),
                deletion_value(session, now_ms, known.retention_days or longest),
                [],
            )
            for session, known in sessions.items()
            if not known.is_marked
        ]

        def send(transaction: Transaction) -> None:
            transaction.send(records)

        try:
            if records:
                producer.commit(send)
        except FencedError as error:
            raise WorkerError(
                "another deletion has begun: the keys are destroyed; run this one again once the other is done"
            ) from error

    def _try(self, plan: dict[Session, PlannedSession], destroyed: dict[Session, SessionKey]) -> list[DeletedSession]:
        decryption = None if self._store is None else Decryption(self._store)
        done = list[DeletedSession]()
        with self._progress("trying blocks", sum(len(each.known.blocks) for each in plan.values())) as report:
            for session, planned in plan.items():
                blocks = []
                for tried in try_blocks(session, planned.known.blocks.values(), decryption):
                    blocks.append(tried)
                    report(1, 0)
                found = destroyed[session]
                assert found.deleted_at is not None
                key = _OUTCOMES[planned.key]
                done.append(DeletedSession(session, key, found.deleted_at, found.deleted_by, blocks))
        return done

    def _erase(self, sessions: Iterable[DeletedSession], interruptions: Interruptions) -> bool:
        """Erase the blocks that are stored in the clear, file by file. Return whether there were any."""
        files: dict[str, tuple[RangedFile, dict[int, Session]]] = {}
        for each in sessions:
            for block, verdict, _ in each.blocks:
                if verdict is Verdict.IN_THE_CLEAR and block.file is not None:
                    files.setdefault(block.name, (block.file, {}))[1][block.start] = each.session
        inventory = open_inventory(self._settings)
        with self._progress("erasing", len(files)) as report:
            for file, blocks in files.values():
                interruptions.check()
                with suppress(NoIndexError):  # PostHog's: nothing says whose the block is, so it stays, and is named
                    erase(file, blocks, inventory)
                report(1, 0)
        return bool(files)
