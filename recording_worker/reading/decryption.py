"""Decryption: decrypts blocks as they are read, with the keys of a key store."""

import threading
from collections.abc import Collection

from recording_worker.formats.batch_file import BatchFileError
from recording_worker.formats.block import ERASED
from recording_worker.formats.session_keys import Session
from recording_worker.formats.timestamps import utc_text
from recording_worker.keys.store import KeyStore, SessionKey

_SECRETBOX = "secretbox"
_ASKED_AT_ONCE = 1000
"""Sessions that the key store is asked about together."""


class SessionDeletedError(BatchFileError):
    """The session is deleted. The text says since when and by whom."""


class NoKeyError(ValueError):
    """The block is encrypted, and what it takes to open it is not there."""


class Decryption:
    """The keys of the sessions of one command, each asked for once. Threads may share it."""

    def __init__(self, store: KeyStore | None = None) -> None:
        """Without a store, only what is in the clear can be read."""
        self._store = store
        self._lock = threading.Lock()
        self._known: dict[Session, SessionKey | None] = {}

    def prepare(self, sessions: Collection[Session]) -> None:
        """Ask about several sessions at once. Raises StoreError."""
        if self._store is None:
            return
        with self._lock:
            unknown = sorted({session for session in sessions if session not in self._known})
            for at in range(0, len(unknown), _ASKED_AT_ONCE):
                some = unknown[at : at + _ASKED_AT_ONCE]
                self._known |= dict.fromkeys(some) | self._store.read(some)

    def deleted(self, sessions: Collection[Session]) -> dict[Session, int]:
        """Return which of these sessions are deleted, and when, seconds since 1970. Raises StoreError.

        Without a store, nobody knows of any.
        """
        self.prepare(sessions)
        known = ((session, self._known.get(session)) for session in sessions)
        return {session: key.deleted_at for session, key in known if key is not None and key.deleted_at is not None}

    def check(self, session: Session) -> None:
        """Raise SessionDeletedError if the session is deleted, however it is stored. Raises StoreError."""
        self._key(session)

    def opened(self, stored: bytes, session: Session, encryption: str | None) -> bytes:
        """Return a block as it was before it was encrypted. `encryption` is what the index says.

        Raises ValueError if its key does not open it, NoKeyError if that is not there, SessionDeletedError, StoreError.
        """
        key = self._key(session)
        if encryption is None:
            return stored
        if encryption == ERASED:
            raise SessionDeletedError(f"session {session[1]} of team {session[0]} was deleted: the block is erased")
        if encryption != _SECRETBOX:
            raise NoKeyError(f"it is encrypted as {encryption[:80]!r}, which this version can't read")
        if self._store is None:
            raise NoKeyError("it is encrypted: say where its key is (--key-store)")
        if key is None:
            raise NoKeyError("it is encrypted, and the key store has no key for its session")
        from recording_worker.formats.secretbox import unseal  # an extra brings its library

        return unseal(stored, key)

    def opened_by_key(self, stored: bytes, session: Session) -> bytes:
        """Return a block of a file without an index. It is encrypted if its session has a key, as PostHog has it.

        Raises what `opened` raises.
        """
        key = self._key(session)
        return self.opened(stored, session, None if key is None else _SECRETBOX)

    def _key(self, session: Session) -> bytes | None:
        self.prepare([session])
        known = self._known.get(session)
        if known is None:
            return None
        if known.deleted_at is not None:
            by = f" by {known.deleted_by}" if known.deleted_by else ""
            when = utc_text(known.deleted_at * 1000)
            raise SessionDeletedError(f"session {session[1]} of team {session[0]} was deleted on {when} UTC{by}")
        return known.key
