"""The messages that a bench measures with, as they are and cut to equal sizes."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from recording_worker._native import decompress
from recording_worker.demo.traffic import traffic
from recording_worker.errors import WorkerError
from recording_worker.formats.message_file import read_messages
from recording_worker.messages import Message

SIZES = (1_000, 4_000, 16_000, 64_000, 256_000, 1_000_000)
"""Bytes of the messages that are cut to equal sizes, uncompressed."""

Inner = dict[str, dict[str, list[object]]]
"""The JSON within a message's `data`."""

_MADE_UP_MS = 1_795_000_000_000
_MADE_UP_MESSAGES = 1_500
_CUT_BYTES = 4_000_000
_MAX_DECOMPRESSED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Load:
    """Messages in memory."""

    messages: Sequence[Message]
    left_out: int
    """Messages that were not taken, because the others hold as many bytes as they may."""

    @property
    def fingerprint(self) -> str:
        """A hash over all values: only benches of the same messages can be compared."""
        digest = hashlib.sha256()
        for message in self.messages:
            digest.update(hashlib.sha256(message.value or b"").digest())
        return digest.hexdigest()[:16]


def read_load(paths: Sequence[Path], max_bytes: int) -> Load:
    """Read messages until their values hold `max_bytes`. Without paths, make traffic up. Raises WorkerError."""
    given: Iterable[Message] = chain.from_iterable(read_messages(path, number) for number, path in enumerate(paths))
    if not paths:
        given = (planned.message for planned in islice(traffic(1, _MADE_UP_MS), _MADE_UP_MESSAGES))
    messages: list[Message] = []
    size = left_out = 0
    for message in given:
        if size < max_bytes:
            messages.append(message)
            size += len(message.value or b"")
        else:
            left_out += 1
    if not size:
        raise WorkerError("there are no messages with a value to measure with")
    return Load(messages, left_out)


def cut(messages: Sequence[Message], size: int) -> list[Message]:
    """Return plain messages of about `size` bytes each, made of the events of these messages: at most 4 MB together.

    Events that don't fit even alone are left out. So there may be none.
    """
    found = next(_envelopes(messages), None)
    if found is None:
        return []
    first, outer, inner = found
    items = chain.from_iterable(each["properties"]["$snapshot_items"] for _, _, each in _envelopes(messages))
    made: list[Message] = []
    empty = len(_text(outer, inner, []))
    for group in _groups(items, size - empty):
        made.append(first._replace(value=_text(outer, inner, group), headers=_plain(first)))
        if len(made) * size >= _CUT_BYTES:
            break
    return made


def _envelopes(messages: Iterable[Message]) -> Iterator[tuple[Message, dict[str, object], Inner]]:
    """Give the messages that can be cut, with their outer and inner JSON."""
    for message in messages:
        encoding = dict(message.headers).get("content-encoding")
        try:
            text = decompress(message.value or b"", encoding.decode() if encoding else None, _MAX_DECOMPRESSED_BYTES)
            outer = json.loads(text)
            inner = json.loads(outer["data"])
            if isinstance(inner["properties"]["$snapshot_items"], list):
                yield message, outer, inner
        except (ValueError, TypeError, KeyError, RecursionError):
            continue


def _groups(items: Iterable[object], room: int) -> Iterator[list[object]]:
    """Give consecutive items in groups that take about `room` bytes within the text of a message."""
    group: list[object] = []
    used = 0
    for item in items:
        length = len(_compact(_compact(item)))
        if length > room:
            continue
        if used + length > room:
            yield group
            group, used = [], 0
        group.append(item)
        used += length


def _text(outer: dict[str, object], inner: Inner, items: list[object]) -> bytes:
    properties = inner["properties"] | {"$snapshot_items": items}
    return _compact(outer | {"data": _compact(inner | {"properties": properties})}).encode()


def _plain(message: Message) -> list[tuple[str, bytes | None]]:
    return [(name, value) for name, value in message.headers if name != "content-encoding"]


_compact = json.JSONEncoder(separators=(",", ":")).encode
