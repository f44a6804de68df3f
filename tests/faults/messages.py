"""Numbered messages: the sample over and over, each message with one event more, which says its number."""

import gzip
import json
import random
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import lz4.block

from recording_worker.messages import Headers, Message
from tests.reference.decoder import decode_message
from tests.reference.decompress import decompress, encoding_of
from tests.sample import sample_messages

NUMBER_HEADER = "fault-suite-number"
"""Kafka header; a DLQ or overflow record keeps it."""
NUMBER_IN_LINE = re.compile(rb'"fault-suite-number":"(\d{10})"')

DROPPED_TOKEN = "phc_Dropped"
OVERFLOW_TOKEN = "phc_Overflow"
DLQ_TOKEN = "phc_ToTheDlq"
UNKNOWN_TOKEN = "phc_NobodysToken"

RESTRICTIONS = "".join(
    f'[[restriction]]\ntype = "{kind}"\ntoken = "{token}"\n'
    for kind, token in (
        ("drop_event", DROPPED_TOKEN),
        ("force_overflow", OVERFLOW_TOKEN),
        ("redirect_to_dlq", DLQ_TOKEN),
    )
)

_PLACE = b"@@NUMBER@@"
_SPREAD = 64
"""Sessions are told apart by this many endings of their ids, so that they spread over all partitions."""


class Fate(StrEnum):
    """Where a message is to end."""

    RECORDED = "recorded"
    DLQ = "dlq"
    REDIRECTED = "redirected"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message to produce."""

    number: int
    fate: Fate
    partition: int
    key: bytes
    value: bytes
    headers: Headers
    lines: int
    """Lines a block holds of it."""

    @property
    def checksum(self) -> int:
        return zlib.crc32(self.value)


@dataclass(frozen=True, slots=True)
class _Template:
    """A message of the sample with the numbering event in it, uncompressed."""

    text: bytes
    session_id: bytes
    headers: dict[str, bytes]
    encoding: str
    lines: int


@cache
def _templates() -> tuple[_Template, ...]:
    return tuple(_template(message) for message in sample_messages())


def sample_tokens() -> list[str]:
    return sorted({template.headers["token"].decode() for template in _templates()})


def teams() -> str:
    """A file of teams, for the tokens of the sample. Two retentions, so that a batch has two files."""
    return "".join(
        f'[[team]]\nid = {number}\ntoken = "{token}"\nretention = "{"30d" if number % 2 else "1y"}"\n'
        for number, token in enumerate(sample_tokens(), start=1)
    )


def _template(message: Message) -> _Template:
    headers = {name: value for name, value in message.headers if value is not None}
    declared = headers.get("content-encoding")
    encoding = encoding_of(message.value or b"", declared.decode() if declared else None)
    outer = json.loads(decompress(message.value or b"", encoding, 1 << 30))
    data = json.loads(outer["data"])
    items: list[Any] = data["properties"]["$snapshot_items"]
    numbering = {
        "type": 5,
        "timestamp": items[-1]["timestamp"],
        "data": {"tag": "numbered", "fault-suite-number": _PLACE.decode()},
    }
    items.append(numbering)
    outer["data"] = json.dumps(data, separators=(",", ":"))
    text = json.dumps(outer, separators=(",", ":")).encode()
    now = message.timestamp_ms
    decoded = decode_message(
        text, content_encoding=None, session_id_header=None, distinct_id_header=None, timestamp_ms=now, now_ms=now
    )
    session_id = data["properties"]["$session_id"].encode()
    return _Template(text, session_id, headers, encoding, len(decoded.events))


def some_session(chance: random.Random) -> tuple[int, str]:
    """The team id and the session id of one of the sessions that messages are of."""
    template = chance.choice(_templates())
    token = template.headers["token"].decode()
    return sample_tokens().index(token) + 1, _spread(template, chance).decode()


def _spread(template: _Template, chance: random.Random) -> bytes:
    return template.session_id[:-2] + b"%02x" % chance.randrange(_SPREAD)


def message(number: int, partitions: int, chance: random.Random, session_id: str | None = None) -> Numbered:
    """The message of this number. Most must be recorded; some end in each of the other ways.

    `session_id`: its session, one of `some_session`; any if not given.
    """
    if session_id is None:
        template = _templates()[number % len(_templates())]
        session = _spread(template, chance)
    else:
        session = session_id.encode()
        template = chance.choice([each for each in _templates() if each.session_id[:-2] == session[:-2]])
    fate = chance.choices(tuple(Fate), (85, 6, 4, 5))[0]
    text = template.text.replace(template.session_id, session).replace(_PLACE, b"%010d" % number)
    headers = {**template.headers, "session_id": session, NUMBER_HEADER: b"%d" % number}
    value = _encode(text, template.encoding)
    match fate:
        case Fate.DLQ if chance.random() < 0.5:
            value = value[: len(value) // 2]  # not JSON, and not a whole file of its encoding
        case Fate.DLQ:
            headers["token"] = DLQ_TOKEN.encode()
        case Fate.REDIRECTED:
            headers["token"] = OVERFLOW_TOKEN.encode()
        case Fate.DROPPED:
            headers["token"] = chance.choice((DROPPED_TOKEN, UNKNOWN_TOKEN)).encode()
    return Numbered(number, fate, zlib.crc32(session) % partitions, session, value, [*headers.items()], template.lines)


def poisoned(number: int, partitions: int, chance: random.Random, text: str) -> Numbered:
    """A message that ends in the DLQ for what it does to the native core: `text` is one of `tests.hooks`."""
    session_id = b"%032x" % chance.getrandbits(128)
    headers: Headers = [("token", sample_tokens()[0].encode()), (NUMBER_HEADER, b"%d" % number)]
    value = json.dumps({"distinct_id": text}).encode()
    return Numbered(number, Fate.DLQ, chance.randrange(partitions), session_id, value, headers, 0)


def _encode(text: bytes, encoding: str) -> bytes:
    match encoding:
        case "gzip":
            return gzip.compress(text, compresslevel=1)
        case "lz4":
            return lz4.block.compress(text)  # type: ignore[no-any-return]
        case _:
            return text
