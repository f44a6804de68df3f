"""KeyStore: what all key stores have in common."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from recording_worker.formats.session_keys import Session

TOMBSTONE_SECONDS = 30 * 86_400
"""How long a session without a key is known as deleted. Messages of it may still be on their way."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What a key store knows of a session: its key, or that it is deleted."""

    key: bytes | None = field(default=None, repr=False)
    """32 bytes; None if the session is deleted, or if its item says that it is stored in the clear."""
    deleted_at: int | None = None
    """When it was deleted, seconds since 1970; None if it is not deleted."""
    deleted_by: str = ""

    @property
    def is_deleted(self) -> bool:
        return self.deleted_at is not None


class KeyStore(Protocol):
    """Keeps the keys of sessions. Several threads may use it.

    Each method retries what may pass by, for some seconds, and then raises StoreError.
    """

    def read(self, sessions: Collection[Session]) -> dict[Session, SessionKey]:
        """Return what is known of these sessions now. A session that is not known is left out."""

    def create(self, expires: Mapping[Session, int], now: int) -> dict[Session, SessionKey]:
        """Make keys for sessions that are not known. Return what is known of each of them then.

        `expires`: session → when its recording expires. `now` and this are seconds since 1970. If another worker
        was first, its key counts.
        """

    def destroy(self, session: Session, by: str, now: int) -> SessionKey:
        """Destroy the key of a session, or leave a tombstone if it has none. Return what is known of it then.

        A session that is deleted already keeps the time and the name of its first deletion.
        """

    def probe(self) -> None:
        """Find out whether the store answers. Raises StoreError."""

    def close(self) -> None:
        """Close the connections."""
