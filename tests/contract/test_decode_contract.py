"""What the decoder accepts, and what each bad input gets: one test a row of the contract, in its order."""

import gzip
import itertools
import json
from collections.abc import Callable

import lz4.block
import pytest
import zstandard

from recording_worker.batch import Disposition
from recording_worker.reasons import Reason
from tests.builders import NOW_MS
from tests.contract.malformed import MALFORMED
from tests.decoders import Decode, Line, Outcome
from tests.inputs import (
    ENCODED,
    EVENT,
    Input,
    data_text,
    envelope_text,
    event_text,
    gzip_member,
    gzip_value,
    lz4_value,
    object_text,
    plain_value,
    zstd_value,
)

OK = (Disposition.OK, Reason.NONE)
DAY_MS = 24 * 60 * 60 * 1000


def dlq(reason: Reason) -> tuple[Disposition, Reason]:
    return Disposition.DLQ, reason


def drop(reason: Reason) -> tuple[Disposition, Reason]:
    return Disposition.DROP, reason


def decode_one(decode: Decode, row: Input | bytes, now_ms: int | None = None) -> Outcome:
    """What becomes of one message."""
    [outcome] = decode([row if isinstance(row, Input) else Input(row)], now_ms).rows
    return outcome


def accepted(decode: Decode, row: Input | bytes) -> Outcome:
    """A message that must be ok."""
    outcome = decode_one(decode, row)
    assert outcome.end == OK
    return outcome


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
    """The value with one bit of one byte turned over."""
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


def test_row_05_zstd_frames_count_together(decode: Decode) -> None:
    cap = 5_000
    for padding, end in ((b" " * 3_000, OK), (b" " * 5_000, dlq(Reason.PAYLOAD_TOO_LARGE))):
        value = zstd_value(plain_value()) + zstd_value(padding)
        [outcome] = decode([Input(value)], max_decompressed_bytes=cap).rows
        assert outcome.end == end


@pytest.mark.parametrize("claimed", [0, 1, 4_999, 5_001, 0xFFFFFFFF])
def test_row_05_gzip_size_field_decides_nothing(decode: Decode, claimed: int) -> None:
    """A wrong size is a damaged member. Where the member is also too large, two rows apply, and either may show first."""
    small, large = gzip_value(plain_value()), gzip_value(plain_value().ljust(1_000_000))
    rows = [Input(value[:-4] + claimed.to_bytes(4, "little")) for value in (small, large)]
    batch = decode(rows, max_decompressed_bytes=5_000)
    assert batch.rows[0].end == dlq(Reason.INVALID_COMPRESSED_DATA)
    assert batch.rows[1].end in (dlq(Reason.INVALID_COMPRESSED_DATA), dlq(Reason.PAYLOAD_TOO_LARGE))


def _zstd_claiming(plain: bytes, claimed: int) -> bytes:
    """A zstd frame whose header claims a content size of 8 bytes' width."""
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
    """What window a frame asks for says nothing about its size."""
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


# outer text not JSON


@pytest.mark.parametrize("name", MALFORMED)
def test_row_07_outer_text_not_json(decode: Decode, name: str) -> None:
    malformed = MALFORMED[name]
    value = plain_value().decode()
    texts = [
        malformed,
        envelope_text(data_text(), {"ip": malformed}),
        envelope_text(data_text(), {"ip": f"[1,{malformed}]"}),
        envelope_text(data_text(), {"data": malformed}),
        value + malformed,
        value[:-1] + "," + malformed + "}",
    ]
    batch = decode([Input(text.encode() or b" ") for text in texts])
    assert [row.end for row in batch.rows] == [dlq(Reason.INVALID_JSON)] * len(texts)


@pytest.mark.parametrize("way", ENCODED)
def test_row_07_nothing_or_white_space(decode: Decode, way: str) -> None:
    rows = [ENCODED[way](plain) for plain in (b" ", b"\n\n", b"\xef\xbb\xbf", b"\0", b"\0" * 64)]
    assert [row.end for row in decode(rows).rows] == [dlq(Reason.INVALID_JSON)] * len(rows)


@pytest.mark.parametrize("encoder", [gzip_value, lz4_value, zstd_value], ids=["gzip", "lz4", "zstd"])
def test_row_07_nothing_compressed(decode: Decode, encoder: Callable[[bytes], bytes]) -> None:
    row = Input(encoder(b""), "lz4" if encoder is lz4_value else None)
    assert decode_one(decode, row).end == dlq(Reason.INVALID_JSON)


# the envelope

NOT_STRINGS = ["null", "true", "false", "0", "1e999", "[]", "{}", '["a"]', '{"a":"b"}']
NOT_OBJECTS = ["null", "true", "false", "0", "-1.5e3", '""', '"{}"', "[]", "[{}]"]


@pytest.mark.parametrize("text", NOT_OBJECTS)
def test_row_08_outer_value_not_an_object(decode: Decode, text: str) -> None:
    assert decode_one(decode, text.encode()).end == dlq(Reason.INVALID_MESSAGE_PAYLOAD)


@pytest.mark.parametrize("text", [None, *NOT_STRINGS], ids=str)
@pytest.mark.parametrize("key", ["distinct_id", "data"])
def test_row_08_distinct_id_or_data_no_string(decode: Decode, key: str, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(envelope={key: text}))
    assert outcome.end == dlq(Reason.INVALID_MESSAGE_PAYLOAD)


def test_row_08_empty_object(decode: Decode) -> None:
    assert decode_one(decode, b"{}").end == dlq(Reason.INVALID_MESSAGE_PAYLOAD)


def test_row_08_empty_distinct_id_is_a_string(decode: Decode) -> None:
    assert accepted(decode, plain_value(envelope={"distinct_id": '""'})).distinct_id == ""


# data


@pytest.mark.parametrize("name", MALFORMED)
def test_row_09_data_not_json(decode: Decode, name: str) -> None:
    malformed = MALFORMED[name]
    data = data_text()
    texts = [
        malformed,
        data + malformed,
        data_text(body={"x": malformed}),
        data_text(body={"event": malformed}),
        data_text(properties={"x": malformed}),
        data_text(properties={"$session_id": malformed}),
        data_text([malformed]),
        data_text([EVENT, malformed]),
        data_text([event_text(malformed)]),
        data_text([event_text(f'{{"source":{malformed}}}')]),
        data_text([event_text(f'{{"payload":{{"href":[{malformed}]}}}}')]),
        data_text([event_text(timestamp=malformed)]),
        data_text([event_text(x=malformed)]),
        data_text([EVENT[:-1] + "," + malformed + "}"]),
    ]
    batch = decode([Input(envelope_text(text).encode()) for text in texts])
    assert [row.end for row in batch.rows] == [dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)] * len(texts)


@pytest.mark.parametrize("text", ["", " ", *NOT_OBJECTS, "{}"], ids=repr)
def test_row_09_data_not_an_object_with_an_event(decode: Decode, text: str) -> None:
    assert decode_one(decode, envelope_text(text).encode()).end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize(
    "text", [None, *NOT_STRINGS, '""', '"$snapshot"', '"$snapshot_items "', '"$SNAPSHOT_ITEMS"'], ids=str
)
def test_row_09_event_not_snapshot_items(decode: Decode, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(body={"event": text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize("text", [None, *NOT_OBJECTS, "{}"], ids=str)
def test_row_09_properties_not_an_object_with_items(decode: Decode, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(body={"properties": text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize("text", [None, "null", "true", "1", '"[]"', "{}", f'{{"0":{EVENT}}}'], ids=str)
def test_row_09_items_not_an_array(decode: Decode, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(properties={"$snapshot_items": text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize("text", [None, '""', *NOT_STRINGS], ids=str)
def test_row_09_session_id_missing_empty_or_no_string(decode: Decode, text: str | None) -> None:
    outcome = decode_one(decode, plain_value(properties={"$session_id": text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


@pytest.mark.parametrize("text", NOT_STRINGS)
@pytest.mark.parametrize("key", ["$window_id", "$snapshot_source", "$lib"])
def test_row_09_optional_property_present_and_no_string(decode: Decode, key: str, text: str) -> None:
    outcome = decode_one(decode, plain_value(properties={key: text}))
    assert outcome.end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


def test_row_09_optional_properties_may_be_missing(decode: Decode) -> None:
    batch = decode([Input(plain_value(properties={"$window_id": None, "$snapshot_source": None, "$lib": None}))])
    assert batch.rows[0].end == OK
    assert [line.window_id for line in batch.rows[0].lines] == [""]
    assert batch.blocks["session-1"].snapshot_source == "web"
    assert batch.blocks["session-1"].snapshot_library is None


# headers unlike the body


@pytest.mark.parametrize("header", ["session-2", "session-", "session-11", "", "SESSION-1", " session-1"], ids=repr)
def test_row_10_session_id_header_body_mismatch(decode: Decode, header: str) -> None:
    outcome = decode_one(decode, Input(plain_value(), session_id_header=header))
    assert outcome.end == dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH)


@pytest.mark.parametrize("header", ["user-2", "user-", "user-11", "", "USER-1", "user-1 "], ids=repr)
def test_row_11_distinct_id_header_body_mismatch(decode: Decode, header: str) -> None:
    outcome = decode_one(decode, Input(plain_value(), distinct_id_header=header))
    assert outcome.end == dlq(Reason.DISTINCT_ID_HEADER_BODY_MISMATCH)


@pytest.mark.parametrize("session_id", [None, "session-1"])
@pytest.mark.parametrize("distinct_id", [None, "user-1"])
def test_row_10_and_11_headers_absent_or_alike(decode: Decode, session_id: str | None, distinct_id: str | None) -> None:
    outcome = accepted(decode, Input(plain_value(), None, session_id, distinct_id))
    assert (outcome.session_id, outcome.distinct_id) == ("session-1", "user-1")


def test_row_11_the_properties_distinct_id_is_not_compared(decode: Decode) -> None:
    row = Input(plain_value(properties={"distinct_id": '"another"'}), distinct_id_header="user-1")
    assert accepted(decode, row).distinct_id == "user-1"


@pytest.mark.parametrize(
    ("text", "header"),
    [('"\\u0061b"', "ab"), ('"é"', "é"), ('"\\u00e9"', "é"), ('"\\ud83d\\ude00"', "😀"), ('"a\\"\\\\\\/"', 'a"\\/')],
)
def test_row_10_and_11_headers_are_compared_with_the_value(decode: Decode, text: str, header: str) -> None:
    value = plain_value(properties={"$session_id": text}, envelope={"distinct_id": text})
    outcome = accepted(decode, Input(value, None, header, header))
    assert (outcome.session_id, outcome.distinct_id) == (header, header)


# items that are no events

INVALID_ITEMS = {
    "null": "null",
    "true": "true",
    "number": str(NOW_MS),
    "string": '"event"',
    "array": "[]",
    "array-of-event": f"[{EVENT}]",
    "empty": "{}",
    "timestamp-missing": event_text(timestamp=None),
    "timestamp-elsewhere": event_text(f'{{"timestamp":{NOW_MS}}}', timestamp=None),
    "timestamp-other-case": event_text(timestamp=None, Timestamp=str(NOW_MS)),
    "timestamp-null": event_text(timestamp="null"),
    "timestamp-true": event_text(timestamp="true"),
    "timestamp-string": event_text(timestamp=f'"{NOW_MS}"'),
    "timestamp-array": event_text(timestamp=f"[{NOW_MS}]"),
    "timestamp-object": event_text(timestamp="{}"),
    "timestamp-zero": event_text(timestamp="0"),
    "timestamp-minus-zero": event_text(timestamp="-0"),
    "timestamp-zero-float": event_text(timestamp="0.0e5"),
    "timestamp-negative": event_text(timestamp=f"-{NOW_MS}"),
    "timestamp-underflow": event_text(timestamp="1e-999"),
    "timestamp-infinite": event_text(timestamp="1e999"),
    "timestamp-infinite-digits": event_text(timestamp="9" * 400),
    "timestamp-huge-exponent": event_text(timestamp="1e99999999999999999999"),
    "timestamp-over": event_text(timestamp="8640000000000001"),
    "timestamp-over-float": event_text(timestamp="8.640000000000001e15"),
    "timestamp-past-int64": event_text(timestamp="9223372036854775808"),
    "timestamp-past-uint64": event_text(timestamp="18446744073709551616"),
    "timestamp-uint64-wrapped": event_text(timestamp=str((1 << 64) + NOW_MS)),
    "timestamp-int64-min": event_text(timestamp="-9223372036854775808"),
    "timestamp-last-of-two": event_text(timestamp=f'{NOW_MS},"timestamp":null'),
}


@pytest.mark.parametrize("name", INVALID_ITEMS)
def test_row_12_item_is_left_out_and_counted(decode: Decode, name: str) -> None:
    item = INVALID_ITEMS[name]
    first, last = event_text('"first"'), event_text('"last"')
    for items in ([item, first, last], [first, item, last], [first, last, item], [item, first, item, last, item]):
        batch = decode([Input(plain_value(items))])
        assert batch.rows[0].end == OK
        assert batch.rows[0].events == [first, last]
        assert batch.invalid_items == len(items) - 2


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("1", 1.0),
        ("0.001", 0.001),
        ("1e-300", 1e-300),
        ("8640000000000000", 8.64e15),
        ("8.64e15", 8.64e15),
        ("8.64E+0015", 8.64e15),
        ("8640000000000000.4", 8.64e15),
        ("86400000e8", 8.64e15),
        ("1795000000000.5", 1795000000000.5),
        ("1795000000000.123456789", 1795000000000.1235),
        ("17950000000000000000e-7", 1795000000000.0),
        ("1795000000000" + "0" * 30 + "e-30", 1795000000000.0),
        ("0." + "0" * 20 + "1795e33", 1795000000000.0),
        ("123456789012345.67890123456789012345", 123456789012345.67),
        ("0.1e1", 1.0),
    ],
    ids=lambda argument: argument[:30] if isinstance(argument, str) else "",
)
def test_row_12_timestamp_is_a_double(decode: Decode, text: str, timestamp: float) -> None:
    event = event_text(timestamp=text)
    [outcome] = decode([Input(plain_value([event]))], max_timestamp_diff_ms=1 << 62).rows
    assert outcome.end == OK
    assert outcome.events == [event]
    assert outcome.timestamps == (timestamp, timestamp)


def test_row_12_items_are_counted_only_in_messages_that_get_there(decode: Decode) -> None:
    value = plain_value(["{}", "{}"])
    batch = decode([Input(value, session_id_header="other"), Input(value, distinct_id_header="other"), Input(value)])
    assert batch.invalid_items == 2


# no item left


@pytest.mark.parametrize("items", [[], ["{}"], list(INVALID_ITEMS.values())], ids=["none", "one", "many"])
def test_row_13_no_item_left(decode: Decode, items: list[str]) -> None:
    batch = decode([Input(plain_value(items))])
    assert batch.rows[0].end == drop(Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS)
    assert batch.invalid_items == len(items)


def test_row_13_no_item_but_white_space(decode: Decode) -> None:
    outcome = decode_one(decode, plain_value("[ \n ]"))
    assert outcome.end == drop(Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS)


# timestamps far from now


@pytest.mark.parametrize("clock", ["clock", "message"])
@pytest.mark.parametrize(
    ("differences", "end"),
    [
        ([0], OK),
        ([1 - 7 * DAY_MS], OK),
        ([7 * DAY_MS - 1], OK),
        ([-7 * DAY_MS], drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)),
        ([7 * DAY_MS], drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)),
        ([-8 * DAY_MS, 0], drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)),
        ([0, 8 * DAY_MS], drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)),
        ([8 * DAY_MS, 0], drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)),
        ([0, -8 * DAY_MS, 0], drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)),
        ([-8 * DAY_MS, 8 * DAY_MS], drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)),
        ([7 * DAY_MS - 1, 1 - 7 * DAY_MS], OK),
    ],
)
def test_row_14_timestamps_far_from_now(
    decode: Decode, clock: str, differences: list[int], end: tuple[Disposition, Reason]
) -> None:
    timestamps = [NOW_MS + difference for difference in differences]
    value = plain_value([event_text(timestamp=str(timestamp)) for timestamp in timestamps])
    if clock == "clock":
        outcome = decode_one(decode, Input(value, timestamp_ms=1), now_ms=NOW_MS)
    else:
        outcome = decode_one(decode, Input(value, timestamp_ms=NOW_MS))
    assert outcome.end == end
    assert outcome.timestamps == (min(timestamps), max(timestamps))


def test_row_14_the_limit_is_a_setting(decode: Decode) -> None:
    rows = [Input(plain_value([event_text(timestamp=str(NOW_MS - ago))])) for ago in (0, 999, 1_000)]
    batch = decode(rows, max_timestamp_diff_ms=1_000)
    assert [row.end for row in batch.rows] == [OK, OK, drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)]


def test_row_14_fraction_of_a_millisecond(decode: Decode) -> None:
    rows = [Input(plain_value([event_text(timestamp=f"{NOW_MS - 1_000}.{part}")])) for part in ("5", "0")]
    batch = decode(rows, max_timestamp_diff_ms=1_000)
    assert [row.end for row in batch.rows] == [OK, drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)]


def test_row_14_left_out_items_do_not_count(decode: Decode) -> None:
    value = plain_value([event_text(timestamp="9e15"), EVENT, event_text(timestamp="-1")])
    assert accepted(decode, value).timestamps == (NOW_MS, NOW_MS)


def test_row_14_message_of_1970(decode: Decode) -> None:
    row = Input(plain_value([event_text(timestamp="1")]), timestamp_ms=0)
    assert accepted(decode, row).timestamps == (1, 1)


# all else


def test_row_15_all_else_is_ok(decode: Decode) -> None:
    events = [event_text(timestamp=str(NOW_MS + later), data=f'{{"source":{later}}}') for later in (5, 1, 9, 3)]
    outcome = accepted(decode, Input(plain_value(events), None, "session-1", "user-1"))
    assert outcome == Outcome(
        *OK,
        session_id="session-1",
        distinct_id="user-1",
        lines=tuple(Line("window-1", event) for event in events),
        timestamps=(NOW_MS + 1, NOW_MS + 9),
    )


# the order of the rows


def _with_faults(*faults: str) -> Input:
    """A message with several things wrong with it at once."""
    items = {
        "no-valid-events": ["{}"],
        "timestamp-diff": [event_text(timestamp="1")],
    }
    chosen = next((items[fault] for fault in items if fault in faults), [EVENT])
    data = data_text(chosen, body={"event": '"$pageview"'} if "non-snapshot" in faults else None)
    plain = envelope_text(data, {"distinct_id": "null"} if "invalid-payload" in faults else None)
    if "invalid-json" in faults:
        plain += "}"
    if "too-large" in faults:
        plain += " " * 10_000
    value = gzip_value(plain.encode())
    return Input(
        value[:-9] if "corrupt" in faults else value,
        session_id_header="other" if "session-id" in faults else "session-1",
        distinct_id_header="other" if "distinct-id" in faults else "user-1",
        timestamp_ms=-1 if "no-timestamp" in faults else NOW_MS,
    )


FAULTS = {
    "no-timestamp": dlq(Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY),
    "corrupt": dlq(Reason.INVALID_COMPRESSED_DATA),
    "too-large": dlq(Reason.PAYLOAD_TOO_LARGE),
    "invalid-json": dlq(Reason.INVALID_JSON),
    "invalid-payload": dlq(Reason.INVALID_MESSAGE_PAYLOAD),
    "non-snapshot": dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE),
    "session-id": dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH),
    "distinct-id": dlq(Reason.DISTINCT_ID_HEADER_BODY_MISMATCH),
    "no-valid-events": drop(Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS),
    "timestamp-diff": drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE),
}
IMPOSSIBLE = {("corrupt", "too-large"), ("no-valid-events", "timestamp-diff")}
"""Pairs a message can't have, or of which no decoder that stops at the cap can see the first."""


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in itertools.combinations_with_replacement(FAULTS, 2) if pair not in IMPOSSIBLE],
)
def test_the_first_row_that_applies_ends_the_message(decode: Decode, first: str, second: str) -> None:
    [outcome] = decode([_with_faults(first, second)], max_decompressed_bytes=5_000).rows
    assert outcome.end == FAULTS[first]


def test_a_syntax_error_comes_before_all_a_text_says(decode: Decode) -> None:
    """The whole of each text must be JSON before any of it is looked at."""
    assert decode_one(decode, b'{"distinct_id":null,"data":1').end == dlq(Reason.INVALID_JSON)
    assert decode_one(decode, b"[] x").end == dlq(Reason.INVALID_JSON)
    row = Input(envelope_text(data_text() + "x").encode(), session_id_header="other")
    assert decode_one(decode, row).end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


def test_rows_of_a_batch_end_each_for_itself(decode: Decode) -> None:
    rows = [_with_faults(fault) for fault in FAULTS] + [_with_faults()]
    batch = decode(rows, max_decompressed_bytes=5_000)
    assert [row.end for row in batch.rows] == [*FAULTS.values(), OK]
    assert batch.rows[-1].events == [EVENT]


def test_the_envelope_object_builder_is_not_the_decoder() -> None:
    """The texts the tests build are what Python's own writers would write."""
    assert json.loads(gzip.decompress(_with_faults().value or b""))["distinct_id"] == "user-1"
    assert json.loads(object_text({"a": "1"}, {"a": None, "b": "[]"})) == {"b": []}
