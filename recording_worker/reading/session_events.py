"""Reads one session's events from batch files, in time order, each once."""

from collections.abc import Callable, Iterable
from itertools import islice

from recording_worker._native import event_timestamp
from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.reading.batch_files import Block
from recording_worker.reading.prefetch import prefetch

Event = tuple[float, bytes]
"""An event's timestamp, in milliseconds since 1970, and its line without the line break."""


def check_one_team(blocks: Iterable[Block], session_id: str) -> None:
    """Raise WorkerError if the blocks belong to several teams that happen to use the same session id."""
    teams = sorted({block.entry.team_id for block in blocks})
    if len(teams) > 1:
        raise WorkerError(
            f"session {session_id} is in several teams: say which with --team ({', '.join(map(str, teams))})"
        )


def session_lines(blocks: Iterable[Block], on_damage: Callable[[BatchFileError], None]) -> list[bytes]:
    """Return the lines of a session's blocks, unchanged, by timestamp; lines with equal timestamps in source order.

    A message that several blocks hold comes once: equal (source, offset) is the same message. A block that can't be
    read is left out; `on_damage` is called with the reason. All of the session's lines are in memory.
    """
    seen: set[tuple[str, int]] = set()
    events: list[Event] = []
    for messages in prefetch(_read, sorted(blocks, key=_source_order)):
        if isinstance(messages, BatchFileError):
            on_damage(messages)
            continue
        for message, its_events in messages:
            if message not in seen:
                seen.add(message)
                events += its_events
    events.sort(key=lambda event: event[0])
    return [line for _, line in events]


def _source_order(block: Block) -> tuple[str, int, int, str, int]:
    entry = block.entry
    return entry.source, entry.first_offset, block.index.created_ms, block.index.batch_id, entry.start


def _read(block: Block) -> list[tuple[tuple[str, int], list[Event]]] | BatchFileError:
    """Return each message of a block, as (source, offset), with its events; or why the block can't be read."""
    try:
        return _messages(block)
    except BatchFileError as problem:
        return problem


def _messages(block: Block) -> list[tuple[tuple[str, int], list[Event]]]:
    lines = block.read().split(b"\n")
    counts = [count for _, count in block.entry.messages]
    if lines.pop() != b"" or len(lines) != sum(counts):
        raise BatchFileError(
            f"{block.file.name}: block at byte {block.entry.start} does not hold as many lines as its index says"
        )
    events = zip((_timestamp(block, line) for line in lines), lines, strict=True)
    return [((block.entry.source, offset), list(islice(events, count))) for offset, count in block.entry.messages]


def _timestamp(block: Block, line: bytes) -> float:
    try:
        return event_timestamp(line)
    except ValueError as error:
        raise BatchFileError(
            f"{block.file.name}: block at byte {block.entry.start} holds a line that is not an event: {error}"
        ) from error
