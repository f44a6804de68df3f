"""The messages of one comparison as a simple binary file that contenders in any language can read.

Per message, without padding, little endian:

    u32 encoding (0 plain, 1 gzip, 2 lz4: a 4-byte size, then a block)
    i64 Kafka timestamp, ms since 1970
    u32 length of the session_id header, u32 of the distinct_id header (0xFFFFFFFF: no such header)
    u32 length of the value
    session_id header, distinct_id header, value
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("<IqIII")
_ABSENT = 0xFFFFFFFF


class Encoding(IntEnum):
    """How a value is compressed."""

    PLAIN = 0
    GZIP = 1
    LZ4 = 2


class WireMessage(NamedTuple):
    """One message for the contenders: what the pipeline gives to the decoder."""

    encoding: Encoding
    timestamp_ms: int
    session_id: str | None
    """The header of this name."""
    distinct_id: str | None
    """The header of this name."""
    value: bytes


def write_wire(path: Path, messages: Iterable[WireMessage]) -> None:
    """Write the messages to a file that `read_wire` and the contenders in other languages read."""
    with path.open("wb") as file:
        for message in messages:
            headers = [None if text is None else text.encode() for text in (message.session_id, message.distinct_id)]
            lengths = [_ABSENT if header is None else len(header) for header in headers]
            file.write(_HEAD.pack(message.encoding, message.timestamp_ms, *lengths, len(message.value)))
            file.writelines([*(header or b"" for header in headers), message.value])


def read_wire(path: Path) -> list[WireMessage]:
    """Return all messages of a file that `write_wire` wrote."""
    content = path.read_bytes()
    messages: list[WireMessage] = []
    position = 0

    def take(length: int) -> bytes:
        nonlocal position
        position += length
        return content[position - length : position]

    while position < len(content):
        encoding, timestamp_ms, session_length, distinct_length, value_length = _HEAD.unpack(take(_HEAD.size))
        session_id = None if session_length == _ABSENT else take(session_length).decode()
        distinct_id = None if distinct_length == _ABSENT else take(distinct_length).decode()
        messages.append(WireMessage(Encoding(encoding), timestamp_ms, session_id, distinct_id, take(value_length)))
    return messages
