"""Decompression of message values for Python, compared with the plain reference."""

import gzip
import random
from collections.abc import Callable

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recording_worker._native import decompress, encoding_of
from tests.reference import decompress as reference

CAP = 100_000
COMPRESS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lambda content: bytes(cramjam.lz4.compress_block(content, store_size=True)),
}

REFUSALS = {"payload_too_large", "invalid_compressed_data"}


def end(value: bytes, content_encoding: str | None, max_bytes: int) -> bytes | str:
    """Return the text, or the reason that there is no text."""
    try:
        return decompress(value, content_encoding, max_bytes)
    except ValueError as error:
        return str(error)


def expected_end(value: bytes, content_encoding: str | None, max_bytes: int) -> bytes | str:
    try:
        return reference.decompress(value, reference.encoding_of(value, content_encoding), max_bytes)
    except reference.TooLargeError:
        return "payload_too_large"
    except reference.CorruptError:
        return "invalid_compressed_data"


@given(
    st.binary(max_size=300) | st.binary(min_size=1, max_size=30).map(lambda part: part * 5_000),
    st.sampled_from(list(COMPRESS)),
    st.booleans(),
    st.integers(0, 40),
    st.binary(max_size=8),
)
def test_it_is_what_the_reference_finds(
    content: bytes, encoding: str | None, named: bool, cut: int, added: bytes
) -> None:
    whole = COMPRESS[encoding](content)
    name = encoding if named else None
    for value in (whole, whole[: -cut or None], whole + added, whole * 2):
        found, expected = end(value, name, CAP), expected_end(value, name, CAP)
        # of a value that is damaged and too large, how much is decompressed at a time decides which is seen first
        assert found == expected or (len(content) > CAP and {found, expected} == REFUSALS)


def test_a_value_that_is_cut_and_too_large_is_refused() -> None:
    value = COMPRESS["zstd"](bytes(135_000))[:-1]
    assert end(value, "zstd", CAP) in REFUSALS


@pytest.mark.parametrize("encoding", COMPRESS)
def test_the_limit_is_the_largest_text_there_may_be(encoding: str | None) -> None:
    value = COMPRESS[encoding](b"x" * 1_000)
    assert end(value, encoding, 1_000) == b"x" * 1_000
    assert end(value, encoding, 999) == "payload_too_large"


def test_the_checksum_of_a_gzip_of_every_size() -> None:
    """Checksums are computed 256, 64 and fewer bytes at a time."""
    content = random.Random(1).randbytes(70_000)
    for size in [*range(1_200), 4_095, 65_535, 70_000]:
        text = content[:size]
        packed = gzip.compress(text, 1, mtime=0)
        assert decompress(packed, "gzip", CAP) == text
        wrong = bytearray(packed)
        wrong[-8 + size % 4] ^= 1 << size % 8
        assert end(bytes(wrong), "gzip", CAP) == "invalid_compressed_data"


def test_no_bytes_are_a_zstd_of_no_frames_and_no_gzip_or_lz4() -> None:
    assert end(b"", "zstd", CAP) == b""
    assert end(b"", "gzip", CAP) == end(b"", "lz4", CAP) == "invalid_compressed_data"


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4"])
def test_a_bomb_is_refused(encoding: str) -> None:
    assert end(COMPRESS[encoding](bytes(50_000_000)), encoding, CAP) == "payload_too_large"


@pytest.mark.parametrize("max_bytes", [-1, (1 << 30) + 1, 1 << 70])
def test_a_limit_that_is_none(max_bytes: int) -> None:
    with pytest.raises(OverflowError):
        decompress(b"", None, max_bytes)


@pytest.mark.parametrize(
    ("value", "content_encoding", "encoding"),
    [
        (b"", None, "plain"),
        (b"{}", None, "plain"),
        (b"\x1f", None, "plain"),
        (b"\x1f\x8b", None, "gzip"),
        (b"\x28\xb5\x2f", None, "plain"),
        (b"\x28\xb5\x2f\xfd", None, "zstd"),
        (b"\x1f\x8b", "zstd", "zstd"),
        (b"{}", "gzip", "gzip"),
        (b"{}", "lz4", "lz4"),
        (b"{}", "", None),
        (b"{}", "br", None),
        (b"{}", "GZIP", None),
        (b"{}", "gzip\ud800", None),
    ],
)
def test_the_header_says_the_encoding_and_without_it_the_first_bytes(
    value: bytes, content_encoding: str | None, encoding: str | None
) -> None:
    assert encoding_of(value, content_encoding) == encoding
    if encoding is None:
        assert end(value, content_encoding, CAP) == "invalid_compressed_data"


@pytest.mark.parametrize(("value", "content_encoding"), [("text", None), (None, None), (b"", b"gzip")])
def test_arguments_of_the_wrong_type(value: bytes, content_encoding: str | None) -> None:
    with pytest.raises(TypeError):
        decompress(value, content_encoding, CAP)
    with pytest.raises(TypeError):
        encoding_of(value, content_encoding)
