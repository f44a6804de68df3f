"""The two sets of messages of a comparison: a file's messages, and small messages cut from them."""

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cramjam

from benchmarks.wire import Encoding, WireMessage
from recording_worker.formats.message_file import read_messages
from recording_worker.messages import Message

SMALL_BYTES = 2048
"""The largest value of the small messages, bytes, uncompressed."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def load_messages(paths: Sequence[Path]) -> tuple[list[WireMessage], int]:
    """Return the messages of the files, and how many were left out.

    Messages without a value are left out, and messages in zstd, which not all contenders can read.
    Raises MessageFileError if a file can't be read or holds something else.
    """
    messages: list[WireMessage] = []
    left_out = 0
    for partition, path in enumerate(paths):
        for message in read_messages(path, partition):
            wire_message = to_wire(message)
            if wire_message is None:
                left_out += 1
            else:
                messages.append(wire_message)
    return messages, left_out


def to_wire(message: Message) -> WireMessage | None:
    """Return the message as the contenders read it; None if they can't."""
    given = [(key, value) for key, value in message.headers if value is not None]
    headers = {key: value.decode(errors="replace").replace("\0", "") for key, value in given}
    value = message.value or b""
    encoding = headers.get("content-encoding") or _encoding_by_magic(value)
    if not value or encoding not in ("plain", "gzip", "lz4"):
        return None
    session_id, distinct_id = headers.get("session_id"), headers.get("distinct_id")
    return WireMessage(Encoding[encoding.upper()], message.timestamp_ms, session_id, distinct_id, value)


def _encoding_by_magic(value: bytes) -> str:
    if value.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if value.startswith(_ZSTD_MAGIC) else "plain"


def decompress(message: WireMessage) -> bytes:
    """Return the text of a message. Raises an exception of the codec if the message is broken."""
    match message.encoding:
        case Encoding.GZIP:
            return gzip.decompress(message.value)
        case Encoding.LZ4:
            return bytes(cramjam.lz4.decompress_block(message.value))
        case _:
            return message.value


def compress(text: bytes, encoding: Encoding) -> bytes:
    """Compress a text as clients and the capture service do."""
    match encoding:
        case Encoding.GZIP:
            return gzip.compress(text, compresslevel=6, mtime=0)
        case Encoding.LZ4:
            return bytes(cramjam.lz4.compress_block(text))
        case _:
            return text


def small_messages(messages: Sequence[WireMessage]) -> list[WireMessage]:
    """Return messages of at most SMALL_BYTES with the events of `messages`, in the same shares of the encodings.

    Each message is cut into small ones with the same envelope: as many consecutive events as fit. Events that don't
    fit even alone are left out. The encodings alternate, so that every stretch of messages has the shares of
    `messages`. Broken messages are left out.
    """
    return [small for _, small in cut_small(messages)]


def cut_small(messages: Sequence[WireMessage]) -> Iterator[tuple[int, WireMessage]]:
    """Yield the small messages, each with the number of the message that it is cut from."""
    turns = _turns(messages)
    for number, message in enumerate(messages):
        for text, encoding in zip(_cut(message), turns, strict=False):
            yield number, message._replace(encoding=encoding, value=compress(text, encoding))


def _turns(messages: Sequence[WireMessage]) -> Iterator[Encoding]:
    """Yield encodings without end: at each step the one that is furthest behind its share."""
    wanted = {encoding: sum(message.encoding is encoding for message in messages) for encoding in Encoding}
    given = dict.fromkeys(Encoding, 0)
    for step in itertools.count(1):
        encoding = max(Encoding, key=lambda each: wanted[each] * step - given[each] * len(messages))
        given[encoding] += 1
        yield encoding


def _cut(message: WireMessage) -> Iterator[bytes]:
    """Yield the texts of the small messages that a message is cut into."""
    try:
        outer: dict[str, Any] = json.loads(decompress(message).decode(errors="replace"))
        inner: dict[str, Any] = json.loads(outer["data"])
        items: list[Any] = inner["properties"]["$snapshot_items"]
        to_text = _to_text(inner)
        empty = len(_envelope(outer, inner, [], to_text))
    except (ValueError, TypeError, KeyError, EOFError, RecursionError, zlib.error, cramjam.DecompressionError):
        return
    sizes = [len(_compact(to_text(item)).encode(errors="replace")) - 2 for item in items]
    for group in _fill(zip(items, sizes, strict=True), SMALL_BYTES - empty):
        yield _envelope(outer, inner, group, to_text)


def _fill(items: Iterable[tuple[Any, int]], room: int) -> Iterator[list[Any]]:
    """Yield consecutive items in groups whose sizes, with a comma between two items, are at most `room`."""
    group: list[Any] = []
    used = -1
    for item, size in items:
        if size > room:
            continue
        if group and used + 1 + size > room:
            yield group
            group, used = [], -1
        group.append(item)
        used += 1 + size
    if group:
        yield group


def _envelope(outer: dict[str, Any], inner: dict[str, Any], items: list[Any], to_text: Callable[[Any], str]) -> bytes:
    """Return the text of a message with these items. Key order and all other fields stay."""
    properties = inner["properties"] | {"$snapshot_items": items}
    return _compact(outer | {"data": to_text(inner | {"properties": properties})}).encode(errors="replace")


_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_compact_ascii = json.JSONEncoder(separators=(",", ":")).encode


def _to_text(value: Any) -> Callable[[Any], str]:
    """Return how to write a message's JSON: non-ASCII unchanged, or escaped if lone surrogates require it."""
    try:
        _compact(value).encode()
    except UnicodeEncodeError:
        return _compact_ascii
    return _compact
