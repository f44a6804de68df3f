"""Message files: JSON lines, plain or zstd. Each line is a Kafka record.

A line is `{"partition_key": str, "timestamp_ms": int, "headers": [[str, str | null], …], "value_b64":
str | null}`, the value in base64, the timestamp -1 if the record had none. A line of any other form is an error, which
names file and line. Text becomes UTF-8. UTF-8 can't carry an unpaired surrogate, so it becomes U+FFFD.
"""

import binascii
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from recording_worker.errors import WorkerError
from recording_worker.messages import Headers, Message

_KEYS = frozenset({"partition_key", "timestamp_ms", "headers", "value_b64"})
_CHUNK = 256 * 1024
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE_MAGICS = frozenset(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))
_MAX_WINDOW = 2**31


class MessageFileError(WorkerError):
    """A message file can't be read, or it holds something else. The text begins with file and line."""


def read_messages(path: Path, partition: int, on_read: Callable[[int], None] = lambda _: None) -> Iterator[Message]:
    """Read the messages of a file in order. A line's number, from 0, is its offset in `partition`.

    The file is read as zstd if it begins like zstd or its name ends in .zst. `on_read` gets the number of bytes of each
    read. Raises MessageFileError; its line numbers count from 1, as editors do.
    """
    for offset, line in enumerate(_lines(path, on_read)):
        try:
            message = _parse(line, partition, offset)
        except ValueError as error:
            raise MessageFileError(f"{path}:{offset + 1}: {error}") from None
        yield message


def _lines(path: Path, on_read: Callable[[int], None]) -> Iterator[bytes]:
    """Split the content into lines without their line breaks. The last line may lack one."""
    pending: list[bytes] = []
    for chunk in _content(path, on_read):
        first, *others = chunk.split(b"\n")
        pending.append(first)
        for following in others:
            yield b"".join(pending)
            pending = [following]
    if last := b"".join(pending):
        yield last


def _content(path: Path, on_read: Callable[[int], None]) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            chunks = _chunks(file, on_read)
            if _is_zstd(file, path):
                chunks = _decompress(chunks, path)
            yield from chunks
    except OSError as error:
        raise MessageFileError(f"{path}: {error.strerror}") from None


def _is_zstd(file: BinaryIO, path: Path) -> bool:
    start = file.read(4)
    file.seek(0)
    return start == _ZSTD_MAGIC or start in _ZSTD_SKIPPABLE_MAGICS or path.suffix == ".zst"


def _chunks(file: BinaryIO, on_read: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        on_read(len(chunk))
        yield chunk


def _decompress(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """Decompress any number of zstd frames. A frame that does not end is an error."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    frame = None
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                frame = frame or decompressor.decompressobj()
                yield frame.decompress(rest)
                rest = frame.unused_data
                if frame.eof:
                    frame = None
    except zstandard.ZstdError as error:
        raise MessageFileError(f"{path}: not readable as zstd: {error}") from None
    if frame is not None:
        raise MessageFileError(f"{path}: ends in the middle of its zstd data: the file is cut off")


def _parse(line: bytes, partition: int, offset: int) -> Message:
    """Read one line as a message. Raises ValueError, which says what is wrong with it."""
    record = _object(line)
    if record.keys() != _KEYS:
        raise ValueError(_wrong_keys(record))
    key, timestamp_ms = record["partition_key"], record["timestamp_ms"]
    if not isinstance(key, str):
        raise ValueError("partition_key is not a string")
    if not isinstance(timestamp_ms, int) or isinstance(timestamp_ms, bool):
        raise ValueError("timestamp_ms is not an integer")
    if not -1 <= timestamp_ms < 2**63:
        raise ValueError("timestamp_ms must be milliseconds since 1970, or -1 for none")
    return Message(
        partition, offset, timestamp_ms, _utf8(key), _value(record["value_b64"]), _headers(record["headers"])
    )


def _object(line: bytes) -> dict[str, object]:
    try:
        record = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("not a message: nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    return record


def _wrong_keys(record: dict[str, object]) -> str:
    missing, unknown = sorted(_KEYS - record.keys()), sorted(record.keys() - _KEYS)
    return f"{', '.join(missing)} missing" if missing else f"unknown key {unknown[0]!r}"


def _value(value_b64: object) -> bytes | None:
    if value_b64 is None:
        return None
    if not isinstance(value_b64, str):
        raise ValueError("value_b64 must be a string or null")
    try:
        return binascii.a2b_base64(value_b64, strict_mode=True)
    except ValueError as error:
        raise ValueError(f"value_b64 is not base64: {error}") from None


def _headers(pairs: object) -> Headers:
    if not isinstance(pairs, list):
        raise ValueError("headers is not a list")
    headers: list[tuple[str, bytes | None]] = []
    for number, pair in enumerate(pairs):
        match pair:
            case [str(key), str(value)]:
                headers.append((_utf8(key).decode(), _utf8(value)))
            case [str(key), None]:
                headers.append((_utf8(key).decode(), None))
            case _:
                raise ValueError(f"headers[{number}] is not a string with a string or null")
    return headers


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
