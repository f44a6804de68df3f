"""An encrypted block: NaCl's secretbox of the compressed block. Needs PyNaCl, which an extra brings.

Stored are a nonce of 24 random bytes, an authentication tag of 16 bytes, and the XSalsa20 ciphertext. There is no
version byte and no associated data. PostHog writes and reads the same (nodejs/src/session-replay/shared/crypto/
sodium-encryptor.ts and sodium-decryptor.ts).

In a file of codec zstd a skippable frame holds the encrypted block, so that programs which know only zstd pass over it.
The block's range covers what is in the frame, not its header.
"""

import struct

from nacl import bindings
from nacl._sodium import ffi, lib  # type: ignore[import-not-found] # it is compiled, and has no stubs
from nacl.exceptions import CryptoError
from nacl.utils import random

KEY_BYTES = 32
OVERHEAD_BYTES = 40
"""By how much an encrypted block is longer than the compressed one."""
NAME = "secretbox"
"""What the index says of an encrypted block."""
_NONCE_BYTES = 24
_SKIPPABLE_MAGIC = 0x184D2A5E
_FRAME_HEADER = struct.Struct("<II")
FRAME_HEADER_BYTES = _FRAME_HEADER.size


def seal(content: bytes | memoryview, key: bytes) -> bytearray:
    """Encrypt a compressed block. The GIL is released meanwhile. Raises ValueError if the key is not 32 bytes.

    It calls libsodium itself: PyNaCl's function copies the block three times, which takes half as long again.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, and this one {len(key)}")
    nonce, stored = random(_NONCE_BYTES), bytearray(OVERHEAD_BYTES + len(content))
    stored[:_NONCE_BYTES] = nonce
    at = ffi.from_buffer(stored) + _NONCE_BYTES
    if lib.crypto_secretbox_easy(at, ffi.from_buffer(content), len(content), nonce, key):
        raise ValueError("libsodium does not encrypt it")
    return stored


def unseal(stored: bytes, key: bytes) -> bytes:
    """Decrypt what `seal` returns. Raises ValueError if it is not that, or was made with another key."""
    if len(stored) < OVERHEAD_BYTES:
        raise ValueError(f"{len(stored)} bytes are no encrypted block: it has {OVERHEAD_BYTES} at least")
    try:
        return bindings.crypto_secretbox_open_easy(stored[_NONCE_BYTES:], stored[:_NONCE_BYTES], key)
    except CryptoError:
        raise ValueError("its session's key does not open it") from None


def frame_header(length: int) -> bytes:
    """Return the header of a zstd skippable frame with an encrypted block of this many bytes."""
    return _FRAME_HEADER.pack(_SKIPPABLE_MAGIC, length)
