"""What the contenders read: many messages made from a few real ones, by seed, in the order of a busy topic.

A load is made of copies of sessions. Each copy has a session id of its own, in the value as in the headers. Everything
else stays as it was recorded.
"""

import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from random import Random

from benchmarks.contenders.process import ContenderError
from benchmarks.message_sets import compress, cut_small, decompress, to_wire
from benchmarks.wire import Encoding
from recording_worker.formats.message_file import read_messages
from recording_worker.messages import Headers, Message

ID_BYTES = 36
"""Session ids are UUIDs, so a copy's id has the length of the original's."""
MIDDLING_BYTES = 32_768
"""The largest message of the shape `sessions`, bytes, uncompressed."""


class Shape(StrEnum):
    """What a load is like."""

    WEB = "web"
    """Many sessions at once, with their messages as recorded, a session's spread evenly over the whole load."""
    SMALL = "small"
    """The same with messages of at most 2 KiB, cut from the recorded ones."""
    SESSIONS = "sessions"
    """Each message is a session of its own. The messages have at most 32 KiB."""
    GIANT = "giant"
    """One session that holds the messages of all recorded ones."""


SIZES = {Shape.WEB: 600_000_000, Shape.SMALL: 200_000_000, Shape.SESSIONS: 300_000_000, Shape.GIANT: 300_000_000}
"""Default sizes: bytes of all values, uncompressed. They are enough for several session batches."""


@dataclass(frozen=True, slots=True)
class Original:
    """A recorded message, decompressed once for all its copies."""

    session_id: str
    encoding: Encoding
    text: bytes
    timestamp_ms: int
    headers: Headers
    """Without session_id and content-encoding, which each copy gets itself."""

    def copy(self, session_id: str) -> Message:
        """Return the message with another session's id."""
        value = compress(self.text.replace(self.session_id.encode(), session_id.encode()), self.encoding)
        headers = [*self.headers, ("session_id", session_id.encode())]
        if self.encoding is Encoding.LZ4:
            headers.append(("content-encoding", b"lz4"))
        return Message(0, 0, self.timestamp_ms, session_id.encode(), value, headers)


@dataclass(slots=True)
class Load:
    """The messages of a load. They are made while one iterates, and counted."""

    shape: Shape
    seed: int
    plan: list[tuple[Original, str]]
    """What to copy, and the session id of the copy, in order."""

    @property
    def messages(self) -> int:
        return len(self.plan)

    @property
    def sessions(self) -> int:
        return len({session_id for _, session_id in self.plan})

    @property
    def bytes(self) -> int:
        """Bytes of all values, uncompressed."""
        return sum(len(original.text) for original, _ in self.plan)

    def __iter__(self) -> Iterator[Message]:
        return (original.copy(session_id) for original, session_id in self.plan)

    def describe(self) -> dict[str, object]:
        return {"seed": self.seed, "messages": self.messages, "sessions": self.sessions, "bytes": self.bytes}


def partition_of(session_id: bytes, partitions: int) -> int:
    """Return the partition of a session's messages."""
    return zlib.crc32(session_id) % partitions


def read_originals(paths: Sequence[Path]) -> list[Original]:
    """Read the messages of the files that all contenders can read, and that name their session.

    Raises MessageFileError if a file can't be read, ContenderError if no message can be used.
    """
    originals = [
        original for path in paths for message in read_messages(path, 0) if (original := _original(message)) is not None
    ]
    if not originals:
        raise ContenderError(f"no messages to copy in {', '.join(map(str, paths))}")
    return originals


def make_load(originals: Sequence[Original], shape: Shape, size: int, seed: int) -> Load:
    """Plan a load of at least `size` bytes. The same arguments give the same load."""
    random = Random(f"{shape}-{seed}")
    match shape:
        case Shape.WEB:
            plan = _interleaved(_by_session(originals), size, random)
        case Shape.SMALL:
            plan = _interleaved(_by_session(_cut(originals)), size, random)
        case Shape.SESSIONS:
            middling = [original for original in originals if len(original.text) <= MIDDLING_BYTES] or originals
            plan = _interleaved([[original] for original in middling], size, random)
        case Shape.GIANT:
            session_id = _new_id(random)
            plan = [(original, session_id) for copy in _copies([_of_one_team(originals)], size) for original in copy]
    return Load(shape, seed, plan)


def _original(message: Message) -> Original | None:
    wire = to_wire(message)
    session_id = wire.session_id if wire is not None else None
    if wire is None or session_id is None or len(session_id) != ID_BYTES:
        return None
    left = [(key, value) for key, value in message.headers if key not in ("session_id", "content-encoding")]
    return Original(session_id, wire.encoding, decompress(wire), message.timestamp_ms, left)


def _cut(originals: Sequence[Original]) -> list[Original]:
    """Return the small messages, each with the headers of the one it is cut from."""
    wires = [to_wire(original.copy(original.session_id)) for original in originals]
    small = cut_small([wire for wire in wires if wire is not None])
    return [replace(originals[number], encoding=wire.encoding, text=decompress(wire)) for number, wire in small]


def _of_one_team(originals: Sequence[Original]) -> list[Original]:
    """Return the messages with the token of the first one: a session belongs to one team."""
    tokens = [header for header in originals[0].headers if header[0] == "token"]
    return [
        replace(original, headers=[*tokens, *(header for header in original.headers if header[0] != "token")])
        for original in originals
    ]


def _by_session(originals: Iterable[Original]) -> list[list[Original]]:
    sessions: dict[str, list[Original]] = defaultdict(list)
    for original in originals:
        sessions[original.session_id].append(original)
    return list(sessions.values())


def _copies(sessions: Sequence[list[Original]], size: int) -> Iterator[list[Original]]:
    """Yield the sessions again and again, until they have this many bytes."""
    made = 0
    while made < size:
        for session in sessions:
            yield session
            made += sum(len(original.text) for original in session)


def _interleaved(sessions: Sequence[list[Original]], size: int, random: Random) -> list[tuple[Original, str]]:
    """Spread each copy's messages evenly over the whole load. Each copy begins at a time of its own.

    So the load is in the same state from its beginning to its end: all sessions are under way.
    """
    timed: list[tuple[float, int, Original, str]] = []
    for copy in _copies(sessions, size):
        session_id, phase = _new_id(random), random.random()
        for number, original in enumerate(copy):
            timed.append(((number + phase) / len(copy), len(timed), original, session_id))
    return [(original, session_id) for _, _, original, session_id in sorted(timed, key=lambda each: each[:2])]


def _new_id(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))
