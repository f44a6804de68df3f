"""An encrypted block: NaCl's secretbox of the compressed block. Needs PyNaCl, which an extra brings.

Stored are a nonce of 24 random bytes, an authentication tag of 16 bytes, and the XSalsa20 ciphertext. There is no
version byte and no associated data. PostHog writes and reads the same (nodejs/src/session-replay/shared/crypto/
sodium-encryptor.ts and sodium-decryptor.ts).

In a file of codec zstd a skippable frame holds the encrypted block, so that programs which know only zstd pass over it.
The block's range covers what is in the frame, not its header.
"""

import struct
from collections.abc import Sequence

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
    """Encrypt a compressed block. The GIL is released meanwhile. Raises ValueError if the key is not 32 bytes."""
    return seal_all(content, [len(content)], [key], framed=False)


def seal_all(content: bytes | memoryview, lengths: Sequence[int], keys: Sequence[bytes], *, framed: bool) -> bytearray:
    """Encrypt compressed blocks of these lengths that lie one after the other, each with a key of its own.

    `framed`: put each in a skippable frame. The GIL is released while a block is encrypted. Raises ValueError if a key
    is not 32 bytes. It calls libsodium itself: PyNaCl's function copies a block, which costs more than to encrypt it if
    the block is large.
    """
    before = FRAME_HEADER_BYTES if framed else 0
    stored = bytearray(len(content) + len(lengths) * (before + OVERHEAD_BYTES))
    nonces = random(len(lengths) * _NONCE_BYTES)
    source, target = ffi.from_buffer(content), ffi.from_buffer(stored)
    start = at = 0
    for number, (length, key) in enumerate(zip(lengths, keys, strict=True)):
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, and this one {len(key)}")
        if framed:
            _FRAME_HEADER.pack_into(stored, at, _SKIPPABLE_MAGIC, OVERHEAD_BYTES + length)
        at += before
        nonce = nonces[number * _NONCE_BYTES : (number + 1) * _NONCE_BYTES]
        stored[at : at + _NONCE_BYTES] = nonce
        if lib.crypto_secretbox_easy(target + at + _NONCE_BYTES, source + start, length, nonce, key):
            raise ValueError("libsodium does not encrypt it")
        start += length
        at += OVERHEAD_BYTES + length
    return stored


def unseal(stored: bytes, key: bytes) -> bytes:
    """Decrypt what `seal` returns. Raises ValueError if it is not that, or was made with another key."""
    if len(stored) < OVERHEAD_BYTES:
        raise ValueError(f"{len(stored)} bytes are no encrypted block: it has {OVERHEAD_BYTES} at least")
    try:
        return bindings.crypto_secretbox_open_easy(stored[_NONCE_BYTES:], stored[:_NONCE_BYTES], key)
    except CryptoError:
        raise ValueError("its session's key does not open it") from None
