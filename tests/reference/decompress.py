"""Decompress message values, with a cap on their size.

If data is both damaged and too large, the first of the two in the stream decides: nothing past the cap is read.
"""

import struct
import zlib

import lz4.block
import zstandard

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAX_ZSTD_WINDOW = 1 << 31
"""The largest window that the library knows. No window makes a frame corrupt or too large."""


class CorruptError(ValueError):
    """The data is truncated, damaged, or in no encoding we know."""


class TooLargeError(ValueError):
    """The data is larger than the cap after decompression."""


def encoding_of(value: bytes, content_encoding: str | None) -> str:
    """Return the name of the value's encoding: the header says it; if there is no header, the first bytes do."""
    if content_encoding is not None:
        if content_encoding not in ("lz4", "zstd", "gzip"):
            raise CorruptError(f"unknown content-encoding {content_encoding!r}")
        return content_encoding
    if value.startswith(GZIP_MAGIC):
        return "gzip"
    if value.startswith(ZSTD_MAGIC):
        return "zstd"
    return "plain"


def decompress(value: bytes, encoding: str, cap: int) -> bytes:
    """Return the decompressed value. Raises CorruptError, or TooLargeError for more than `cap` bytes."""
    if encoding == "plain":
        if len(value) > cap:
            raise TooLargeError
        return value
    return {"gzip": gunzip, "lz4": unlz4, "zstd": unzstd}[encoding](value, cap)


def gunzip(value: bytes, cap: int) -> bytes:
    """Return all members of a gzip file (RFC 1952), joined.

    Bytes after a member begin another where they start with the two magic bytes, and are ignored where they do not.
    """
    out = b""
    rest = value
    while True:
        inflate = zlib.decompressobj(wbits=-15)
        try:
            member = inflate.decompress(rest[_gzip_header_length(rest) :], cap - len(out) + 1)
        except zlib.error as error:
            raise CorruptError(str(error)) from None
        out += member
        if len(out) > cap:
            raise TooLargeError
        if not inflate.eof or len(inflate.unused_data) < 8:
            raise CorruptError("truncated gzip member")
        crc, size = struct.unpack_from("<II", inflate.unused_data)
        if crc != zlib.crc32(member) or size != len(member) & 0xFFFFFFFF:
            raise CorruptError("wrong CRC or size of a gzip member")
        rest = inflate.unused_data[8:]
        if not rest.startswith(GZIP_MAGIC):
            return out


def _gzip_header_length(member: bytes) -> int:
    """Return the size of a gzip member's header, with the optional fields that its FLG byte announces."""
    if len(member) < 10 or not member.startswith(GZIP_MAGIC) or member[2] != 8:
        raise CorruptError("not a gzip header")
    flags = member[3]
    if flags & 0xE0:
        raise CorruptError("reserved gzip flags")
    at = 10
    if flags & 4:  # FEXTRA
        if len(member) < at + 2:
            raise CorruptError("truncated gzip header")
        at += 2 + int.from_bytes(member[at : at + 2], "little")
    for flag in (8, 16):  # FNAME, FCOMMENT
        if flags & flag:
            end = member.find(b"\0", at)
            if end < 0:
                raise CorruptError("truncated gzip header")
            at = end + 1
    if flags & 2:  # FHCRC
        if int.from_bytes(member[at : at + 2], "little") != zlib.crc32(member[:at]) & 0xFFFF:
            raise CorruptError("wrong CRC of a gzip header")
        at += 2
    if len(member) < at:
        raise CorruptError("truncated gzip header")
    return at


def unlz4(value: bytes, cap: int) -> bytes:
    """Return the content of one lz4 block after its size in 4 bytes, little-endian. The size must be exact."""
    if len(value) < 4:
        raise CorruptError("no lz4 size prefix")
    size, block = int.from_bytes(value[:4], "little"), value[4:]
    if size > cap:
        if lz4_block_size(block) == size:
            raise TooLargeError
        raise CorruptError("lz4 size prefix does not match")
    try:
        out = lz4.block.decompress(block, uncompressed_size=size)
    except lz4.block.LZ4BlockError as error:
        raise CorruptError(str(error)) from None
    if len(out) != size:
        raise CorruptError("lz4 size prefix does not match")
    return bytes(out)


def lz4_block_size(block: bytes) -> int:
    """Return a block's decompressed size from the lengths of its sequences. Raises CorruptError."""
    size = at = 0

    def length(nibble: int) -> int:
        nonlocal at
        total = nibble
        while nibble == 15:
            total += block[at]
            at += 1
            if block[at - 1] != 255:
                break
        return total

    try:
        while True:
            token = block[at]
            at += 1
            literals = length(token >> 4)
            at += literals
            size += literals
            if at >= len(block):
                break
            offset = block[at] | block[at + 1] << 8
            if not 0 < offset <= size:
                raise CorruptError("lz4 offset before the start")
            at += 2
            size += length(token & 15) + 4
    except IndexError:
        raise CorruptError("truncated lz4 block") from None
    if at > len(block):
        raise CorruptError("truncated lz4 block")
    return size


def unzstd(value: bytes, cap: int) -> bytes:
    """Return all frames of a zstd stream (RFC 8878), joined. Skippable frames hold nothing. Each must be whole."""
    out = b""
    rest = value
    while rest:
        frame = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW).decompressobj()
        try:
            while rest and not frame.eof:
                out += frame.decompress(rest[:256])
                rest = (frame.unused_data if frame.eof else b"") + rest[256:]
                if len(out) > cap:
                    raise TooLargeError
        except zstandard.ZstdError as error:
            raise CorruptError(str(error)) from None
        if not frame.eof:
            raise CorruptError("truncated zstd frame")
    return out
