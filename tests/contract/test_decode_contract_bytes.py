"""The contract from the bytes to a text: rows 1 to 6, in their order. Later rows are in test_decode_contract.py."""

import itertools
import json

import lz4.block
import pytest
import zstandard

from recording_worker.outcome import Reason
from tests.contract.ends import OK, accepted, decode_one, dlq
from tests.decoders import Decode
from tests.inputs import (
    ENCODED,
    EVENT,
    Input,
    event_text,
    gzip_member,
    gzip_value,
    lz4_value,
    plain_value,
    zstd_value,
)

# value missing or empty, or no Kafka timestamp


@pytest.mark.parametrize(
    "row",
    [Input(None), Input(b""), Input(plain_value(), timestamp_ms=-1), Input(None, timestamp_ms=-1), Input(b"", "gzip")],
    ids=["value-missing", "value-empty", "no-timestamp", "neither", "value-empty-with-encoding"],
)
def test_row_01_value_or_timestamp_is_empty(decode: Decode, row: Input) -> None:
    assert decode_one(decode, row).end == dlq(Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY)


# content-encoding, else magic bytes, else plain


@pytest.mark.parametrize("way", ENCODED)
def test_row_02_encoding_by_header_or_magic_bytes(decode: Decode, way: str) -> None:
    plain = plain_value()
    batch = decode([ENCODED[way](plain)])
    assert batch.rows[0].end == OK
    assert batch.rows[0].events == [EVENT]
    assert batch.encodings == {way.split("-")[0]: 1}
    assert batch.uncompressed_bytes == len(plain)


def test_row_02_encodings_are_counted_by_message(decode: Decode) -> None:
    plain = plain_value()
    batch = decode([ENCODED[way](plain) for way in ENCODED])
    assert batch.encodings == {"plain": 1, "gzip": 2, "zstd": 2, "lz4": 1}
    assert batch.uncompressed_bytes == len(ENCODED) * len(plain)


def test_row_02_header_wins_over_magic_bytes(decode: Decode) -> None:
    size_that_looks_like_gzip = int.from_bytes(b"\x1f\x8b\0\0", "little")
    plain = plain_value().ljust(size_that_looks_like_gzip)
    value = lz4_value(plain)
    assert value.startswith(b"\x1f\x8b")
    assert accepted(decode, Input(value, "lz4")).events == [EVENT]


def test_row_02_header_lz4_does_not_look_further(decode: Decode) -> None:
    outcome = decode_one(decode, Input(gzip_value(plain_value()), "lz4"))
    assert outcome.end == dlq(Reason.INVALID_COMPRESSED_DATA)


# gzip with any FLG, several members, trailing bytes


@pytest.mark.parametrize(
    "fields",
    [
        fields
        for size in range(5)
        for fields in itertools.combinations(["extra", "name", "comment", "header_crc"], size)
    ],
    ids=lambda fields: "+".join(fields) or "none",
)
def test_row_03_gzip_optional_fields(decode: Decode, fields: tuple[str, ...]) -> None:
    value = gzip_member(
        plain_value(),
        extra=b"ab\x02\x00\x00\x1f" if "extra" in fields else None,
        name=b"recording.json" if "name" in fields else b"",
        comment=b"a comment" if "comment" in fields else b"",
        header_crc="header_crc" in fields,
    )
    assert accepted(decode, value).events == [EVENT]


def test_row_03_gzip_extra_field_of_no_bytes(decode: Decode) -> None:
    assert accepted(decode, gzip_member(plain_value(), extra=b"")).events == [EVENT]


def test_row_03_gzip_text_flag(decode: Decode) -> None:
    value = bytearray(gzip_value(plain_value()))
    value[3] |= 1
    assert accepted(decode, bytes(value)).events == [EVENT]


@pytest.mark.parametrize("cuts", [[0], [1], [100], [5, 5, 200], [50, 100, 150, 200]], ids=str)
def test_row_03_gzip_members_are_joined(decode: Decode, cuts: list[int]) -> None:
    plain = plain_value()
    ends = [0, *cuts, len(plain)]
    value = b"".join(gzip_member(plain[start:end], name=b"part") for start, end in itertools.pairwise(ends))
    assert accepted(decode, value).events == [EVENT]
    batch = decode([Input(value)])
    assert batch.uncompressed_bytes == len(plain)
    assert batch.encodings == {"gzip": 1}


@pytest.mark.parametrize(
    "trailing",
    [b"\0", b"\0" * 512, b"trailing bytes", b"\x1f", b"\x8b\x1f\x8b", b"\xff" * 8, b"\0" + gzip_value(b"more")],
    ids=["nul", "padding", "text", "half-a-magic", "magic-later", "ff", "member-after-nul"],
)
@pytest.mark.parametrize("members", [1, 2])
def test_row_03_gzip_trailing_bytes_are_ignored(decode: Decode, trailing: bytes, members: int) -> None:
    plain = plain_value()
    value = gzip_value(plain) if members == 1 else gzip_value(plain[:60]) + gzip_value(plain[60:])
    assert accepted(decode, value + trailing).events == [EVENT]


# truncated or corrupt compressed data


def _flip(value: bytes, at: int) -> bytes:
    """Return the value with one bit changed."""
    flipped = bytearray(value)
    flipped[at] ^= 0x10
    return bytes(flipped)


def _corrupt() -> dict[str, Input]:
    plain = plain_value()
    packed, block, frame = gzip_value(plain), lz4_value(plain), zstd_value(plain)
    size = len(plain)
    header_crc = gzip_member(plain, header_crc=True)
    return {
        "gzip-truncated": Input(packed[:-20]),
        "gzip-without-trailer": Input(packed[:-8]),
        "gzip-trailer-cut": Input(packed[:-1]),
        "gzip-magic-only": Input(packed[:2]),
        "gzip-header-only": Input(packed[:10]),
        "gzip-wrong-crc": Input(_flip(packed, -8)),
        "gzip-wrong-size": Input(_flip(packed, -4)),
        "gzip-wrong-header-crc": Input(_flip(header_crc, 10)),
        "gzip-header-crc-cut": Input(header_crc[:11]),
        "gzip-name-unended": Input(gzip_member(plain, name=b"name")[:13]),
        "gzip-extra-past-the-end": Input(packed[:3] + b"\x04" + packed[4:10] + b"\xff\xff" + packed[10:]),
        "gzip-bad-block": Input(packed[:10] + b"\xff" * 20 + packed[-8:]),
        "gzip-method-not-deflate": Input(packed[:2] + b"\x07" + packed[3:]),
        "gzip-reserved-flag": Input(packed[:3] + b"\x20" + packed[4:]),
        "gzip-second-member-truncated": Input(packed + packed[:-9]),
        "gzip-second-member-wrong-crc": Input(packed + _flip(packed, -8)),
        "gzip-header-on-plain": Input(plain, "gzip"),
        "gzip-header-on-zstd": Input(frame, "gzip"),
        "zstd-truncated": Input(frame[:-20]),
        "zstd-checksum-cut": Input(frame[:-1]),
        "zstd-magic-only": Input(frame[:4]),
        "zstd-wrong-checksum": Input(_flip(frame, -1)),
        "zstd-trailing-bytes": Input(frame + b"more"),
        "zstd-trailing-nul": Input(frame + b"\0"),
        "zstd-second-frame-truncated": Input(frame + frame[:-1]),
        "zstd-second-magic-cut": Input(frame + frame[:3]),
        "zstd-header-on-plain": Input(plain, "zstd"),
        "lz4-truncated": Input(block[:-1], "lz4"),
        "lz4-no-block": Input(block[:4], "lz4"),
        "lz4-prefix-cut": Input(block[:3], "lz4"),
        "lz4-offset-before-start": Input((25).to_bytes(4, "little") + b"\x1fa\xff\xff\x00\x50aaaaa", "lz4"),
        "lz4-size-one-less": Input((size - 1).to_bytes(4, "little") + block[4:], "lz4"),
        "lz4-size-one-more": Input((size + 1).to_bytes(4, "little") + block[4:], "lz4"),
        "lz4-size-zero": Input(bytes(4) + block[4:], "lz4"),
        "lz4-size-huge": Input(b"\xff\xff\xff\xff" + block[4:], "lz4"),
        "lz4-size-over-the-cap": Input(b"\x01\x00\x00\x04" + block[4:], "lz4"),
        "lz4-trailing-bytes": Input(block + b"more", "lz4"),
        "encoding-unknown": Input(plain, "br"),
        "encoding-identity": Input(plain, "identity"),
        "encoding-empty": Input(plain, ""),
        "encoding-upper-case": Input(packed, "GZIP"),
        "encoding-list": Input(packed, "gzip, gzip"),
    }


@pytest.mark.parametrize("name", _corrupt())
def test_row_04_invalid_compressed_data(decode: Decode, name: str) -> None:
    assert decode_one(decode, _corrupt()[name]).end == dlq(Reason.INVALID_COMPRESSED_DATA)


# the cap


@pytest.mark.parametrize("way", ENCODED)
def test_row_05_more_than_the_cap_is_too_large(decode: Decode, way: str) -> None:
    cap = 5_000
    rows = [ENCODED[way](plain_value().ljust(size)) for size in (cap, cap + 1, cap + 2, 100 * cap)]
    batch = decode(rows, max_decompressed_bytes=cap)
    assert [row.end for row in batch.rows] == [OK] + 3 * [dlq(Reason.PAYLOAD_TOO_LARGE)]
    assert batch.rows[0].events == [EVENT]


def test_row_05_gzip_members_count_together(decode: Decode) -> None:
    cap = 5_000
    for padding, end in ((b" " * 3_000, OK), (b" " * 5_000, dlq(Reason.PAYLOAD_TOO_LARGE))):
        value = gzip_value(plain_value()) + gzip_value(padding)
        [outcome] = decode([Input(value)], max_decompressed_bytes=cap).rows
        assert outcome.end == end


@pytest.mark.parametrize("size", [5_000, 9_000, 50_000])
def test_row_05_nothing_after_the_cap_is_looked_at(decode: Decode, size: int) -> None:
    """Whether a member or frame that is too large just passes the cap or goes far beyond it."""
    large = plain_value().ljust(size)
    damaged = [gzip_value(large) + gzip_value(b" ")[:-1], zstd_value(large) + zstd_value(b" ")[:-1]]
    batch = decode([Input(value) for value in damaged], max_decompressed_bytes=4_999)
    assert [row.end for row in batch.rows] == [dlq(Reason.PAYLOAD_TOO_LARGE)] * 2


def test_row_05_zstd_frames_count_together(decode: Decode) -> None:
    cap = 5_000
    for padding, end in ((b" " * 3_000, OK), (b" " * 5_000, dlq(Reason.PAYLOAD_TOO_LARGE))):
        value = zstd_value(plain_value()) + zstd_value(padding)
        [outcome] = decode([Input(value)], max_decompressed_bytes=cap).rows
        assert outcome.end == end


@pytest.mark.parametrize("claimed", [0, 1, 4_999, 5_001, 0xFFFFFFFF])
def test_row_05_gzip_size_field_decides_nothing(decode: Decode, claimed: int) -> None:
    """A wrong size is damage. If the member is too large as well, two rows apply, and either may come first."""
    small, large = gzip_value(plain_value()), gzip_value(plain_value().ljust(1_000_000))
    rows = [Input(value[:-4] + claimed.to_bytes(4, "little")) for value in (small, large)]
    batch = decode(rows, max_decompressed_bytes=5_000)
    assert batch.rows[0].end == dlq(Reason.INVALID_COMPRESSED_DATA)
    assert batch.rows[1].end in (dlq(Reason.INVALID_COMPRESSED_DATA), dlq(Reason.PAYLOAD_TOO_LARGE))


def _zstd_claiming(plain: bytes, claimed: int) -> bytes:
    """Return a zstd frame whose header claims a content size, in 8 bytes."""
    frame = zstandard.ZstdCompressor(write_content_size=False, write_checksum=False).compress(plain)
    window = frame[5:6]
    return frame[:4] + b"\xc0" + window + claimed.to_bytes(8, "little") + frame[6:]


@pytest.mark.parametrize("claimed", [0, 1, 5_001, 1 << 40, (1 << 64) - 3])
def test_row_05_zstd_size_field_decides_nothing(decode: Decode, claimed: int) -> None:
    plain = plain_value()
    right = _zstd_claiming(plain, len(plain))
    wrong = _zstd_claiming(plain, claimed)
    batch = decode([Input(right), Input(wrong)], max_decompressed_bytes=5_000)
    assert [row.end for row in batch.rows] == [OK, dlq(Reason.INVALID_COMPRESSED_DATA)]


def test_row_05_lz4_size_field_decides_nothing(decode: Decode) -> None:
    small, large = (lz4.block.compress(plain_value().ljust(size), store_size=False) for size in (1_000, 6_000))
    for claimed, block, reason in (
        (6_000, small, Reason.INVALID_COMPRESSED_DATA),
        (1_000, large, Reason.INVALID_COMPRESSED_DATA),
        (6_001, large, Reason.INVALID_COMPRESSED_DATA),
        (6_000, large, Reason.PAYLOAD_TOO_LARGE),
    ):
        row = Input(claimed.to_bytes(4, "little") + block, "lz4")
        [outcome] = decode([row], max_decompressed_bytes=5_000).rows
        assert outcome.end == dlq(reason)


# zstd streams


def test_zstd_frames_are_joined(decode: Decode) -> None:
    plain = plain_value()
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    value = zstd_value(plain[:70]) + skippable + zstd_value(b"") + zstd_value(plain[70:]) + skippable
    assert accepted(decode, value).events == [EVENT]
    assert accepted(decode, Input(skippable + value, "zstd")).events == [EVENT]


@pytest.mark.parametrize("window", [10, 23, 27, 28, 30, 31])
def test_zstd_frame_with_a_large_window(decode: Decode, window: int) -> None:
    """A frame may ask for a large window and have little content."""
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(plain_value())
    value = frame[:5] + bytes([(window - 10) << 3]) + frame[6:]
    assert accepted(decode, value).events == [EVENT]


def test_zstd_frame_without_content_size(decode: Decode) -> None:
    stream = zstandard.ZstdCompressor().compressobj()
    value = stream.compress(plain_value()[:50]) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    value += stream.compress(plain_value()[50:]) + stream.flush()
    assert accepted(decode, value).events == [EVENT]


# invalid UTF-8

INVALID_UTF8 = {
    "lone-continuation": (b"\x80", 1),
    "ff": (b"\xff\xfe", 2),
    "overlong-2": (b"\xc0\x80", 2),
    "overlong-3": (b"\xe0\x80\x80", 3),
    "overlong-4": (b"\xf0\x80\x80\x80", 4),
    "surrogate": (b"\xed\xa0\x80", 3),
    "surrogate-pair": (b"\xed\xa0\xbd\xed\xb8\x80", 6),
    "past-10ffff": (b"\xf4\x90\x80\x80", 4),
    "five-bytes": (b"\xf8\x88\x80\x80\x80", 5),
    "truncated-2": (b"\xc3", 1),
    "truncated-3": (b"\xe2\x82", 1),
    "truncated-4": (b"\xf0\x9f\x98", 1),
    "truncated-then-next": (b"\xf0\x9f\x98\xe2\x82", 2),
}


@pytest.mark.parametrize("name", INVALID_UTF8)
@pytest.mark.parametrize("after", ["", "x", "é", "😀"], ids=["quote", "ascii", "two-bytes", "four-bytes"])
def test_row_06_invalid_utf8_is_replaced(decode: Decode, name: str, after: str) -> None:
    invalid, replacements = INVALID_UTF8[name]
    value = plain_value([event_text(f'"HERE{after}"')]).replace(json.dumps(f"HERE{after}")[1:-1].encode(), b"HERE")
    value = value.replace(b"HERE", b"<" + invalid + after.encode())
    batch = decode([Input(value)])
    assert batch.rows[0].end == OK
    replaced = "\ufffd" * replacements
    assert batch.rows[0].events == [event_text(f'"<{replaced}{after}"')]
    assert batch.invalid_utf8 == 1


def test_row_06_invalid_utf8_is_counted_by_message(decode: Decode) -> None:
    bad = plain_value(["{}", event_text('"AA"')]).replace(b"AA", b"\xff x \xff")
    batch = decode([Input(bad), Input(plain_value()), Input(gzip_value(bad))])
    assert [row.end for row in batch.rows] == [OK] * 3
    assert batch.invalid_utf8 == 2


@pytest.mark.parametrize("where", ["session_id", "distinct_id", "window_id"])
def test_row_06_invalid_utf8_in_what_is_read(decode: Decode, where: str) -> None:
    text = {"session_id": b"session-1", "distinct_id": b"user-1", "window_id": b"window-1"}[where]
    outcome = accepted(decode, plain_value().replace(text, b"a\xffb"))
    assert {
        "session_id": outcome.session_id,
        "distinct_id": outcome.distinct_id,
        "window_id": outcome.lines[0].window_id,
    }[where] == "a\ufffdb"


def test_row_06_replaced_id_is_compared_with_the_header(decode: Decode) -> None:
    value = plain_value().replace(b"session-1", b"a\xffb")
    assert accepted(decode, Input(value, session_id_header="a\ufffdb")).session_id == "a\ufffdb"


def test_row_06_replacement_outside_strings_is_not_json(decode: Decode) -> None:
    batch = decode([Input(plain_value() + b"\xff"), Input(b"\xff" + plain_value())])
    assert [row.end for row in batch.rows] == [dlq(Reason.INVALID_JSON)] * 2


def test_row_06_replacement_after_a_backslash_is_not_json(decode: Decode) -> None:
    assert decode_one(decode, plain_value().replace(b"user-1", b"\\\xff")).end == dlq(Reason.INVALID_JSON)
