"""Truncation at every byte, and bombs in every codec."""

import json
import zlib
from collections.abc import Callable

import lz4.block
import pytest
import zstandard

from recording_worker import _native
from recording_worker.outcome import Disposition, Reason
from tests.decoders import Decode, assert_same, call_native, decode_native, decode_reference
from tests.inputs import (
    ENCODED,
    EVENT,
    Input,
    event_text,
    gzip_member,
    gzip_value,
    plain_value,
    zstd_value,
)

MIB = 1 << 20
CAP = 64 * MIB
OK = (Disposition.OK, Reason.NONE)
TOO_LARGE = (Disposition.DLQ, Reason.PAYLOAD_TOO_LARGE)

SMALL = {
    "one-event": plain_value([event_text("1")], properties={"$window_id": None, "$lib": None}),
    "escapes": plain_value([event_text('"\\u0000\\ud83d\\\\\\" é😀 \\ud83d\\ude00"'), "{}", EVENT]),
    "spaced": plain_value("[\n" + EVENT.replace(",", " ,\n\t") + "\n]"),
}
"""Messages of some hundred bytes."""


@pytest.mark.parametrize("way", ENCODED)
@pytest.mark.parametrize("message", SMALL)
def test_truncated_at_every_byte(decode: Decode, message: str, way: str) -> None:
    """A truncated message is never ok. Its reason depends on its encoding alone."""
    whole = ENCODED[way](SMALL[message])
    assert whole.value is not None
    rows = [whole._replace(value=whole.value[:end]) for end in range(len(whole.value) + 1)]
    ends = [row.end for row in decode(rows).rows]
    cut = Reason.INVALID_JSON if way == "plain" else Reason.INVALID_COMPRESSED_DATA
    expected = [(Disposition.DLQ, cut)] * len(whole.value)
    expected[0] = (Disposition.DLQ, Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY)
    if way in ("gzip", "zstd"):  # too short to be known by its magic bytes
        magic = 2 if way == "gzip" else 4
        expected[1:magic] = [(Disposition.DLQ, Reason.INVALID_JSON)] * (magic - 1)
    assert ends == [*expected, OK]


@pytest.mark.parametrize("way", ENCODED)
def test_truncated_at_every_byte_from_the_start(way: str) -> None:
    """Also without its first bytes the native decoder gives a message what the reference gives it."""
    whole = ENCODED[way](SMALL["escapes"])
    assert whole.value is not None
    rows = [whole._replace(value=whole.value[start:]) for start in range(len(whole.value) + 1)]
    assert_same(decode_native(rows), decode_reference(rows))


def test_text_truncated_at_every_byte_inside_each_encoding() -> None:
    """The text is truncated, then compressed."""
    for plain in SMALL.values():
        rows = [encode(plain[:end]) for end in range(1, len(plain), 3) for encode in ENCODED.values()]
        native = decode_native(rows)
        assert_same(native, decode_reference(rows))
        assert {row.reason for row in native.rows} == {Reason.INVALID_JSON}


def test_several_members_or_frames_truncated_at_every_byte() -> None:
    plain = SMALL["one-event"]
    parts = plain[:50], plain[50:150], b"", plain[150:]
    members = b"".join(gzip_member(part, name=b"n", extra=b"e", comment=b"c", header_crc=True) for part in parts)
    frames = b"".join(zstd_value(part) for part in parts) + b"\x5a\x2a\x4d\x18\x02\x00\x00\x00ab"
    for value, header in ((members + b"trailing", None), (members, "gzip"), (frames, None), (frames, "zstd")):
        rows = [Input(value[:end], header) for end in range(len(value) + 1)]
        native = decode_native(rows)
        assert_same(native, decode_reference(rows))
        assert native.rows[-1].end == OK


def test_gzip_of_exactly_the_cap_truncated_near_its_end() -> None:
    """The decoder runs out of room and of input at once. The value is damaged; its text is not too large."""
    for size in (500, 70_000):
        value = gzip_value(plain_value().ljust(size))
        rows = [Input(value[:end]) for end in range(len(value) - 12, len(value) + 1)]
        ends = [row.end for row in decode_native(rows, max_decompressed_bytes=size).rows]
        assert ends == [(Disposition.DLQ, Reason.INVALID_COMPRESSED_DATA)] * 12 + [OK]


def test_zstd_damage_is_not_taken_for_too_large() -> None:
    """Some damage makes a frame seem to need more room than the cap. The streaming decoder can tell it apart."""
    value = zstd_value(plain_value().ljust(3_000))
    header = 7
    rows = [
        Input(value[:at] + bytes([value[at] ^ 1 << bit]) + value[at + 1 :], "zstd")
        for at in range(header, len(value))
        for bit in range(8)
    ]
    reasons = {row.reason for row in decode_native(rows, max_decompressed_bytes=20_000).rows}
    assert Reason.INVALID_COMPRESSED_DATA in reasons
    assert Reason.PAYLOAD_TOO_LARGE not in reasons


# bombs


def spaces(count: int, compress: Callable[[bytes], bytes]) -> bytes:
    """Return many blanks, compressed piece by piece."""
    return b"".join(compress(b" " * min(MIB, count - at)) for at in range(0, count, MIB))


def lz4_of_spaces(count: int) -> bytes:
    """Return a message and `count` blanks as an lz4 value. The blanks are a single match."""
    size = len(plain_value()) + count
    return size.to_bytes(4, "little") + _lz4_sequence(plain_value() + b" ", count - 6) + b"\x50" + b" " * 5


def _lz4_sequence(literals: bytes, match: int) -> bytes:
    """Return one lz4 sequence: literals, then the last literal `match` more times."""

    def length(count: int) -> bytes:
        return b"\xff" * (count // 255) + bytes([count % 255])

    assert len(literals) >= 15
    assert match >= 19
    return b"\xff" + length(len(literals) - 15) + literals + b"\x01\x00" + length(match - 19)


def gzip_of_spaces(count: int) -> bytes:
    """Return a message and `count` blanks as one gzip member."""
    deflate = zlib.compressobj(level=1, wbits=31)
    return deflate.compress(plain_value()) + spaces(count, deflate.compress) + deflate.flush()


def zstd_of_spaces(count: int) -> bytes:
    """Return a message and `count` blanks as one zstd frame."""
    stream = zstandard.ZstdCompressor(level=1).compressobj()
    return stream.compress(plain_value()) + spaces(count, stream.compress) + stream.flush()


BOMBS: dict[str, Callable[[int], Input]] = {
    "plain": lambda count: Input(plain_value() + b" " * count),
    "gzip": lambda count: Input(gzip_of_spaces(count)),
    "zstd": lambda count: Input(zstd_of_spaces(count)),
    "lz4": lambda count: Input(lz4_of_spaces(count), "lz4"),
}


@pytest.mark.parametrize("codec", BOMBS)
def test_cap_of_a_small_decoder(decode: Decode, codec: str) -> None:
    room = 100_000 - len(plain_value())
    rows = [BOMBS[codec](room + more) for more in (-1, 0, 1, 100_000, 5_000_000)]
    batch = decode(rows, max_decompressed_bytes=100_000)
    assert [row.end for row in batch.rows] == [OK, OK, TOO_LARGE, TOO_LARGE, TOO_LARGE]


@pytest.mark.parametrize("codec", BOMBS)
def test_cap_of_64_mib(codec: str) -> None:
    room = CAP - len(plain_value())
    batch = decode_native([BOMBS[codec](room), BOMBS[codec](room + 1), Input(plain_value())])
    assert [row.end for row in batch.rows] == [OK, TOO_LARGE, OK]
    assert batch.rows[0].events == [EVENT]
    assert batch.uncompressed_bytes == CAP + len(plain_value())


def test_bombs_of_a_gibibyte() -> None:
    """Sixteen times the cap. A bomb repeats one frame or member."""
    member, frame = gzip_value(b" " * CAP), zstd_value(b" " * CAP)
    rows = [
        Input(gzip_value(plain_value()) + 16 * member),
        Input(zstd_value(plain_value()) + 16 * frame),
        Input(lz4_of_spaces(16 * CAP), "lz4"),
    ]
    assert [row.end for row in decode_native(rows).rows] == [TOO_LARGE] * 3


def test_an_lz4_match_may_begin_at_the_first_byte() -> None:
    """Also in a block that is only measured, as its text is too large."""
    literals = plain_value().ljust(300)
    block = b"\xff" + b"\xff" + bytes([len(literals) - 15 - 255])
    block += literals + len(literals).to_bytes(2, "little") + b"\x0a" + b"\x50" + b" " * 5
    size = len(literals) + 15 + 4 + 10 + 5
    rows = [Input(size.to_bytes(4, "little") + block, "lz4")]
    assert decode_native(rows, max_decompressed_bytes=size - 1).rows[0].end == TOO_LARGE
    assert decode_native(rows, max_decompressed_bytes=size).rows[0].reason == Reason.INVALID_JSON


# what a message may become


@pytest.mark.parametrize("window_id", ["w" * 200, "\x01" * 40, ""], ids=["long", "escapes", "none"])
def test_lines_take_at_most_twice_what_a_message_may_take(window_id: str) -> None:
    """Each line repeats the window id. The lines may take twice the cap, and no byte more."""
    rows = [Input(plain_value([EVENT] * count, {"$window_id": json.dumps(window_id)})) for count in range(1, 200)]
    sizes = [call_native(_native.Decoder(), [row]).decoded.line_bytes(0) for row in rows]
    cap = max(len(row.value or b"") for row in rows)
    ends = [row.end for row in decode_native(rows, max_decompressed_bytes=cap).rows]
    assert ends == [OK if size <= 2 * cap else TOO_LARGE for size in sizes]
    assert (TOO_LARGE in ends) == bool(window_id)


def test_the_lz4_bomb_is_right() -> None:
    """The library can decompress the hand-made block."""
    value = lz4_of_spaces(100_000)
    assert (
        lz4.block.decompress(value[4:], uncompressed_size=len(plain_value()) + 100_000)
        == plain_value() + b" " * 100_000
    )
