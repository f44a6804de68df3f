"""Random damage to bytes, and to the layers of a message."""

import gzip
import json
import random
from collections.abc import Callable, Sequence

from tests.inputs import ENCODED, Input
from tests.reference.decompress import decompress, encoding_of

TOKENS = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\\\\", b'\\"', b"\\u", b"\\ud83d", b"\\\\ud83d", b"\\u0000",
    b"null", b"true", b"0", b"-", b"1e999", b".5", b"e", b"\n", b"\r\n", b" ", b"\0", b"\xef\xbb\xbf", b"\xff", b"\xc3",
    b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b'"timestamp":', b'\\"timestamp\\":', b'\\"type\\":', b'\\"data\\":null',
    b'\\"$session_id\\":', b'"data":', b"[[[[", b"]]]]", b"{}", b"[]", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd",
]  # fmt: skip
"""Pieces that a message is made of, and pieces that it should not have."""


def _flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def _insert(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.choice(TOKENS)


def _replace(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at : at + chance.randrange(1, 8)] = chance.choice(TOKENS)


def _delete(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.choice([1, 1, 2, 5, 50, 1_000])]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    piece = data[at : at + chance.choice([1, 2, 10, 100])]
    data[at:at] = piece * chance.choice([1, 1, 2, 10])


def _move(data: bytearray, chance: random.Random) -> None:
    at, to = chance.randrange(len(data)), chance.randrange(len(data))
    piece = data[at : at + chance.choice([1, 10, 100])]
    data[to:to] = piece


def _truncate(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


_DAMAGES: Sequence[Callable[[bytearray, random.Random], None]] = (
    *[_flip, _overwrite, _insert, _replace, _delete, _repeat, _move] * 3,
    _truncate,
)


def damage(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to four kinds of damage."""
    damaged = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        if damaged:
            chance.choice(_DAMAGES)(damaged, chance)
    return bytes(damaged)


def damage_value(row: Input, chance: random.Random) -> Input:
    """Damage the value's bytes."""
    assert row.value is not None
    return row._replace(value=damage(row.value, chance))


def damage_text(row: Input, chance: random.Random) -> Input:
    """Damage the text of the message, and encode it in any encoding."""
    return _carried(damage(_plain(row), chance), row, chance)


def damage_data(row: Input, chance: random.Random) -> Input:
    """Damage the text of `data`, inside a valid envelope."""
    envelope = json.loads(_plain(row))
    data = damage(envelope["data"].encode(errors="surrogatepass"), chance)
    envelope["data"] = data.decode(errors="replace")
    return _carried(json.dumps(envelope, ensure_ascii=chance.random() < 0.5).encode(), row, chance)


def _plain(row: Input) -> bytes:
    assert row.value is not None
    return decompress(row.value, encoding_of(row.value, row.content_encoding), 1 << 26)


def _carried(plain: bytes, row: Input, chance: random.Random) -> Input:
    encoded = ENCODED[chance.choice(list(ENCODED))](plain) if plain else Input(gzip.compress(b""))
    return row._replace(value=encoded.value, content_encoding=encoded.content_encoding)
