"""What a decoder is given, built from JSON texts, so that a test can write whatever a client could send."""

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import lz4.block
import zstandard

from recording_worker.messages import Message
from tests.builders import NOW_MS, header_texts


class Input(NamedTuple):
    """One row of a decode call."""

    value: bytes | None
    content_encoding: str | None = None
    session_id_header: str | None = None
    distinct_id_header: str | None = None
    timestamp_ms: int = NOW_MS


def input_of(message: Message) -> Input:
    """The row of a message as received."""
    headers = header_texts(message.headers)
    return Input(
        message.value,
        headers.get("content-encoding"),
        headers.get("session_id"),
        headers.get("distinct_id"),
        message.timestamp_ms,
    )


EVENT = f'{{"type":3,"timestamp":{NOW_MS},"data":{{"source":1}}}}'

PROPERTIES: dict[str, str] = {
    "$session_id": '"session-1"',
    "$window_id": '"window-1"',
    "$snapshot_source": '"web"',
    "$lib": '"posthog-js"',
}

Members = Mapping[str, str | None]
"""Keys and the JSON texts of their values; None leaves a member out."""


def object_text(*members: Members) -> str:
    """A JSON object; if several of `members` have the same key, the last counts."""
    merged = {key: text for group in members for key, text in group.items()}
    return pairs_text(*((key, text) for key, text in merged.items() if text is not None))


def pairs_text(*pairs: tuple[str, str]) -> str:
    """A JSON object of these members in this order; keys may repeat."""
    return "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in pairs) + "}"


def event_text(data: str | None = '{"source":1}', **members: str | None) -> str:
    """An event; `type`, `timestamp` and others by keyword, all as JSON texts."""
    return object_text({"type": "3", "timestamp": str(NOW_MS), "data": data}, members)


def data_text(
    items: Sequence[str] | str = (EVENT,), properties: Members | None = None, body: Members | None = None
) -> str:
    """The text of `data`; `items` as texts, or as the text of the whole array."""
    array = items if isinstance(items, str) else f"[{','.join(items)}]"
    inner = object_text(PROPERTIES, {"$snapshot_items": array}, properties or {})
    return object_text({"event": '"$snapshot_items"', "properties": inner}, body or {})


def envelope_text(data: str, envelope: Members | None = None) -> str:
    """The text of a message around the text of `data`."""
    return object_text({"distinct_id": '"user-1"', "data": json.dumps(data), "token": '"token-1"'}, envelope or {})


def plain_value(
    items: Sequence[str] | str = (EVENT,),
    properties: Members | None = None,
    body: Members | None = None,
    envelope: Members | None = None,
) -> bytes:
    """A whole message value, not compressed."""
    return envelope_text(data_text(items, properties, body), envelope).encode()


def gzip_member(
    plain: bytes, *, extra: bytes | None = None, name: bytes = b"", comment: bytes = b"", header_crc: bool = False
) -> bytes:
    """One gzip member (RFC 1952) with the optional fields asked for."""
    flags = (header_crc and 2) | (extra is not None and 4) | (bool(name) and 8) | (bool(comment) and 16)
    header = struct.pack("<4BI2B", 0x1F, 0x8B, 8, flags, 0, 0, 255)
    if extra is not None:
        header += len(extra).to_bytes(2, "little") + extra
    header += (name and name + b"\0") + (comment and comment + b"\0")
    if header_crc:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    deflate = zlib.compressobj(wbits=-15)
    body = deflate.compress(plain) + deflate.flush()
    return header + body + struct.pack("<II", zlib.crc32(plain), len(plain) & 0xFFFFFFFF)


def gzip_value(plain: bytes) -> bytes:
    return gzip.compress(plain, mtime=0)


def lz4_value(plain: bytes) -> bytes:
    block: bytes = lz4.block.compress(plain, store_size=False)
    return len(plain).to_bytes(4, "little") + block


def zstd_value(plain: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(plain)


ENCODED: dict[str, Callable[[bytes], Input]] = {
    "plain": lambda plain: Input(plain),
    "gzip": lambda plain: Input(gzip_value(plain)),
    "gzip-header": lambda plain: Input(gzip_value(plain), "gzip"),
    "zstd": lambda plain: Input(zstd_value(plain)),
    "zstd-header": lambda plain: Input(zstd_value(plain), "zstd"),
    "lz4-header": lambda plain: Input(lz4_value(plain), "lz4"),
}
"""Each way a value can be encoded, by name; the part before the dash is what it is counted as."""
