"""A letter's value for people: unpacked as the worker unpacks it, and its JSON laid out."""

import json
import zlib
from contextlib import suppress
from dataclasses import dataclass

import cramjam
import zstandard

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_LZ4_PREFIX = 4
_PIECE = 256
"""Bytes to decompress at once: they may become 20,000 times as many."""
_ZSTD_WINDOW = 1 << 31


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a value is. `docs/data/messages.md` says how values are encoded."""

    encoding: str
    """plain, gzip, lz4 or zstd; or an unknown name that the header gives."""
    content: bytes | None
    """What it decompresses to; None where it does not."""
    problem: str = ""
    """Why it does not decompress, or is no text."""

    @property
    def text(self) -> str | None:
        """The content as text, JSON laid out, also that inside `data`; None where it is none."""
        if self.content is None:
            return None
        try:
            return _laid_out(self.content)
        except UnicodeDecodeError:
            return None


def unpack(value: bytes, content_encoding: str | None, cap: int) -> Unpacked:
    """`content_encoding` is the header's text, None where there is none; `cap`: the most bytes to decompress to."""
    encoding = content_encoding if content_encoding is not None else _guessed(value)
    try:
        content = _decompressed(value, encoding, cap)
    except (ValueError, zlib.error, zstandard.ZstdError, cramjam.DecompressionError) as error:
        return Unpacked(encoding, None, f"it can't be decompressed: {error}")
    if len(content) > cap:
        return Unpacked(encoding, None, f"it decompresses to more than {cap:,} bytes")
    return Unpacked(encoding, content)


def _guessed(value: bytes) -> str:
    if value.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if value.startswith(_ZSTD_MAGIC) else "plain"


def _decompressed(value: bytes, encoding: str, cap: int) -> bytes:
    """Up to a little more than `cap` bytes."""
    match encoding:
        case "plain":
            return value
        case "gzip":
            return _gunzip(value, cap)
        case "zstd":
            return _unzstd(value, cap)
        case "lz4":
            size = int.from_bytes(value[:_LZ4_PREFIX], "little")
            if len(value) < _LZ4_PREFIX or size > cap:
                raise ValueError(f"its size is said to be {size:,} bytes")
            return bytes(cramjam.lz4.decompress_block(value))
        case _:
            raise ValueError(f"unknown content-encoding {encoding!r}")


def _gunzip(value: bytes, cap: int) -> bytes:
    """All members; what follows the last and is none is ignored."""
    content = b""
    rest = value
    while True:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        content += member.decompress(rest, cap + 1 - len(content))
        if len(content) > cap:
            return content
        if not member.eof:
            raise ValueError("it ends too early")
        rest = member.unused_data
        if not rest.startswith(_GZIP_MAGIC):
            return content


def _unzstd(value: bytes, cap: int) -> bytes:
    """All frames."""
    content = bytearray()
    rest = memoryview(value)
    while rest and len(content) <= cap:
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        while rest and not frame.eof and len(content) <= cap:
            content += frame.decompress(rest[:_PIECE])
            rest = rest[len(rest[:_PIECE]) - len(frame.unused_data) :]
        if not frame.eof and len(content) <= cap:
            raise ValueError("it ends too early")
    return bytes(content)


def _laid_out(content: bytes) -> str:
    """Raises UnicodeDecodeError."""
    text = content.decode()
    with suppress(ValueError, RecursionError):
        parsed = json.loads(text)
        if isinstance(parsed, dict) and isinstance(parsed.get("data"), str):
            with suppress(ValueError, RecursionError):
                parsed["data"] = json.loads(parsed["data"])
        return json.dumps(parsed, indent=2, ensure_ascii=False)
    return text
