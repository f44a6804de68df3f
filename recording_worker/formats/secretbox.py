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
_TAG_BYTES = 16
_SKIPPABLE_MAGIC = 0x184D2A5E
_FRAME_START = struct.Struct(f"<II{_NONCE_BYTES}s")
FRAME_HEADER_BYTES = _FRAME_START.size - _NONCE_BYTES


def seal(content: bytes | memoryview, key: bytes) -> bytearray:
    """Encrypt a compressed block. Raises ValueError if the key is not 32 bytes."""
    stored = bytearray(OVERHEAD_BYTES)
    stored += content
    seal_all(stored, [len(content)], [key], framed=False)
    return stored


def seal_all(blocks: bytearray | memoryview, lengths: Sequence[int], keys: Sequence[bytes], *, framed: bool) -> None:
    """Encrypt compressed blocks of these lengths where they are, each with a key of its own.

    Before each block is a gap for what is stored before the ciphertext: OVERHEAD_BYTES, and FRAME_HEADER_BYTES more if
    `framed`, which puts each in a skippable frame. The GIL is released while a block is encrypted. Raises ValueError,
    before it encrypts anything, if a key is not 32 bytes or if the lengths are not the blocks'.

    It calls libsodium itself: PyNaCl's function copies a block twice, and never encrypts in place.
    """
    gap = OVERHEAD_BYTES + (FRAME_HEADER_BYTES if framed else 0)
    if sum(lengths) + len(lengths) * gap != len(blocks):
        raise ValueError(f"{len(blocks)} bytes are not {len(lengths)} blocks of these lengths with their gaps")
    if wrong := [len(key) for key in keys if len(key) != KEY_BYTES]:
        raise ValueError(f"a key has {KEY_BYTES} bytes, and this one {wrong[0]}")
    nonces = random(len(lengths) * _NONCE_BYTES)
    target = ffi.from_buffer(blocks, require_writable=True)
    seal_block = lib.crypto_secretbox_easy
    at = nonce_at = 0
    for length, key in zip(lengths, keys, strict=True):
        nonce = nonces[nonce_at : nonce_at + _NONCE_BYTES]
        nonce_at += _NONCE_BYTES
        if framed:
            _FRAME_START.pack_into(blocks, at, _SKIPPABLE_MAGIC, OVERHEAD_BYTES + length, nonce)
        else:
            blocks[at : at + _NONCE_BYTES] = nonce
        content = target + (at + gap)
        if seal_block(content - _TAG_BYTES, content, length, nonce, key):
            raise ValueError("libsodium does not encrypt it")
        at += gap + length


def unseal(stored: bytes, key: bytes) -> bytes:
    """Decrypt what `seal` returns. Raises ValueError if it is not that, or was made with another key."""
    if len(stored) < OVERHEAD_BYTES:
        raise ValueError(f"{len(stored)} bytes are no encrypted block: it has {OVERHEAD_BYTES} at least")
    try:
        return bindings.crypto_secretbox_open_easy(stored[_NONCE_BYTES:], stored[:_NONCE_BYTES], key)
    except CryptoError:
        raise ValueError("its session's key does not open it") from None
