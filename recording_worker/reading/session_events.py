"""One session's events out of batch files, in time order, each once."""

from collections.abc import Callable, Iterable
from itertools import islice

from recording_worker._native import event_timestamp
from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.reading.batch_files import Block
from recording_worker.reading.prefetch import read_ahead

Event = tuple[float, bytes]
"""When, milliseconds since 1970, and its line, without the line break."""


def only_team(blocks: Iterable[Block], session_id: str) -> None:
    """Raise WorkerError where the blocks are of several teams that happen to use the same session id."""
    teams = sorted({block.entry.team_id for block in blocks})
    if len(teams) > 1:
        raise WorkerError(
            f"session {session_id} is in several teams: say which with --team ({', '.join(map(str, teams))})"
        )


def session_lines(blocks: Iterable[Block], on_damage: Callable[[BatchFileError], None]) -> list[bytes]:
    """The lines of a session's blocks, byte for byte, by timestamp; lines of equal timestamp in source order.

    A message that is in several blocks is taken once: equal (source, offset) is the same message. A block that
    can't be read is left out, and `on_damage` told why. Holds all of the session's lines.
    """
    seen: set[tuple[str, int]] = set()
    events: list[Event] = []
    for messages in read_ahead(_read, sorted(blocks, key=_source_order)):
        if isinstance(messages, BatchFileError):
            on_damage(messages)
            continue
        for message, of_message in messages:
            if message not in seen:
                seen.add(message)
                events += of_message
    events.sort(key=lambda event: event[0])
    return [line for _, line in events]


def _source_order(block: Block) -> tuple[str, int, int, str, int]:
    entry = block.entry
    return entry.source, entry.first_offset, block.index.created_ms, block.index.batch_id, entry.start


def _read(block: Block) -> list[tuple[tuple[str, int], list[Event]]] | BatchFileError:
    """The messages of a block, (source, offset), and what is in each; or why that can't be read."""
    try:
        return _messages(block)
    except BatchFileError as problem:
        return problem


def _messages(block: Block) -> list[tuple[tuple[str, int], list[Event]]]:
    lines = block.read().split(b"\n")
    counts = [count for _, count in block.entry.messages]
    if lines.pop() != b"" or len(lines) != sum(counts):
        raise BatchFileError(f"{block.file.name}: block at byte {block.entry.start} has not the lines its index gives")
    events = zip((_timestamp(block, line) for line in lines), lines, strict=True)
    return [((block.entry.source, offset), list(islice(events, count))) for offset, count in block.entry.messages]


def _timestamp(block: Block, line: bytes) -> float:
    try:
        return event_timestamp(line)
    except ValueError as error:
        raise BatchFileError(
            f"{block.file.name}: block at byte {block.entry.start} holds a line that is no event: {error}"
        ) from error
