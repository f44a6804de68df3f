"""KeyStore: what all key stores have in common."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

from tenacity import wait_random_exponential

from recording_worker.formats.session_keys import Session

TOMBSTONE_SECONDS = 30 * 86_400
"""How long a session is known as deleted, at the least. Messages of it may still be on their way."""
PROBE_NAME = "recording-worker-check"
"""What is tried out is tried with a session of this name, of team 0, which no team has."""
RETRY_WAIT = wait_random_exponential(multiplier=0.1, max=2.0)
"""The pauses between tries: at random, up to 0.1 s at first, and up to twice as long each time, 2 s at most."""

_HASHED = "blake2b:"
_MAX_ID_BYTES = 1024
_UNUSUAL = re.compile("[\0\ud800-\udfff]|^$")


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


def stored_name(session: Session) -> Session:
    """Return the name under which a key store knows a session. Clients choose session ids, and may choose any text.

    An id that a database may refuse is known by its hash: a very long one, and one with null characters or halves of
    characters.
    """
    team_id, session_id = session
    encoded = session_id.encode(errors="surrogatepass")
    plain = len(encoded) <= _MAX_ID_BYTES and not _UNUSUAL.search(session_id) and not session_id.startswith(_HASHED)
    return session if plain else (team_id, _HASHED + blake2b(encoded, digest_size=32).hexdigest())


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

        A session that is deleted already keeps the time and the name of its first deletion. The store remembers the
        deletion for TOMBSTONE_SECONDS at the least.
        """

    def probe(self) -> None:
        """Find out whether the store answers. Raises StoreError."""

    def try_out(self) -> None:
        """Find out whether keys can be made, stored and read. Leaves nothing behind. Raises StoreError."""

    def create_table(self) -> None:
        """Create the table if it is not there. Raises StoreError."""

    def close(self) -> None:
        """Close the connections."""
