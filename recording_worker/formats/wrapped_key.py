"""A session's key as the key store `postgres` keeps it: encrypted with a master key. Needs PyNaCl, an extra's library.

A wrapped key is the id of the master key (8 bytes) and a secretbox of the session's key. The secretbox has a key of its
own: BLAKE2b, keyed with the master key, over team and month, and then over the session. So a wrapped key opens in the
row of its own session only, and it takes one master key to open all sessions of a team and month.

The file of master keys has one key per line, 32 bytes in base64. After `kms:` stands a key that AWS KMS has encrypted.
The first one wraps. The others only open what they wrapped before. Empty lines, and lines that begin with `#`, don't
count.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b

from recording_worker.formats.secretbox import KEY_BYTES, seal, unseal
from recording_worker.formats.session_keys import Session

MASTER_ID_BYTES = 8
_KMS = "kms:"


class MasterKeys:
    """The master keys: the one that wraps, and older ones that only open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: at least one, 32 bytes each. The first one wraps."""
        self._keys = {_master_id(key): key for key in keys}
        self.current = _master_id(keys[0])
        """The id of the key that wraps."""

    @property
    def ids(self) -> list[str]:
        """The ids of the keys, in hex. The first one wraps."""
        return [master.hex() for master in self._keys]

    @classmethod
    def parse(cls, text: str, decrypted_by_kms: Callable[[bytes], bytes]) -> "MasterKeys":
        """Read a file of master keys. Raises ValueError, which shows no key, and what `decrypted_by_kms` raises."""
        keys: list[bytes] = []
        for number, line in enumerate(map(str.strip, text.splitlines()), 1):
            if not line or line.startswith("#"):
                continue
            try:
                content = base64.b64decode(line.removeprefix(_KMS), validate=True)
            except binascii.Error:
                content = b""
            key = decrypted_by_kms(content) if line.startswith(_KMS) and content else content
            if len(key) != KEY_BYTES:
                raise ValueError(
                    f"line {number} is not {KEY_BYTES} bytes in base64, or `kms:` and what KMS has encrypted"
                )
            keys.append(key)
        if not keys:
            raise ValueError("it holds no key")
        return cls(keys)

    def wrap(self, key: bytes, session: Session, created_at: int) -> bytes:
        """Encrypt the key of a session that was made at a time, seconds since 1970."""
        return self.current + seal(key, _wrapping_key(self._keys[self.current], session, created_at))

    def unwrap(self, wrapped: bytes, session: Session, created_at: int) -> bytes:
        """Decrypt what `wrap` returns. Raises ValueError if no master key opens it for this session and time."""
        master = self._keys.get(wrapped[:MASTER_ID_BYTES])
        if master is None:
            raise ValueError(f"it is wrapped with master key {wrapped[:MASTER_ID_BYTES].hex()}, which is not there")
        try:
            return unseal(wrapped[MASTER_ID_BYTES:], _wrapping_key(master, session, created_at))
        except ValueError:
            raise ValueError("its master key does not open it: the row was changed") from None


def _master_id(key: bytes) -> bytes:
    return blake2b(key, digest_size=MASTER_ID_BYTES, person=b"rw-master-id").digest()


def _wrapping_key(master: bytes, session: Session, created_at: int) -> bytes:
    team_id, session_id = session
    month = f"{team_id} {datetime.fromtimestamp(created_at, UTC):%Y-%m}"
    of_month = blake2b(month.encode(), key=master, digest_size=KEY_BYTES, person=b"rw-month").digest()
    name = session_id.encode(errors="surrogatepass")
    return blake2b(name, key=of_month, digest_size=KEY_BYTES, person=b"rw-wrapping").digest()
