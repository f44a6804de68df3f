"""One session's events out of batch files, in time order, each once."""

from collections.abc import Iterable, Iterator

from recording_worker.errors import WorkerError
from recording_worker.reading.index import BatchFileError, Block
from recording_worker.reading.timestamps import event_timestamp


def only_team(blocks: Iterable[Block], session_id: str) -> None:
    """Raise WorkerError where the blocks are of several teams that happen to use the same session id."""
    teams = sorted({block.entry.team_id for block in blocks})
    if len(teams) > 1:
        raise WorkerError(
            f"session {session_id} is in several teams: say which with --team ({', '.join(map(str, teams))})"
        )


def session_lines(blocks: Iterable[Block]) -> list[bytes]:
    """The lines of a session's blocks, byte for byte, by timestamp; lines of equal timestamp in source order.

    A message that is in several blocks is taken once: equal (source, offset) is the same message.
    Holds all of the session's lines. Raises BatchFileError.
    """
    seen: set[tuple[str, int]] = set()
    events: list[tuple[float, bytes]] = []
    for block in sorted(blocks, key=_source_order):
        for offset, lines in _messages(block):
            message = (block.entry.source, offset)
            if message not in seen:
                seen.add(message)
                events.extend((_timestamp(block, line), line) for line in lines)
    events.sort(key=lambda event: event[0])
    return [line for _, line in events]


def _source_order(block: Block) -> tuple[str, int, int, str, int]:
    entry = block.entry
    return entry.source, entry.first_offset, block.index.created_ms, block.index.batch_id, entry.start


def _messages(block: Block) -> Iterator[tuple[int, list[bytes]]]:
    """(source offset, lines with their line breaks) of each message of a block."""
    lines = block.read().split(b"\n")
    counts = [count for _, count in block.entry.messages]
    if lines.pop() != b"" or len(lines) != sum(counts):
        raise BatchFileError(f"{block.file.name}: block at byte {block.entry.start} has not the lines its index gives")
    start = 0
    for offset, count in block.entry.messages:
        yield offset, lines[start : start + count]
        start += count


def _timestamp(block: Block, line: bytes) -> float:
    try:
        return event_timestamp(line)
    except ValueError as error:
        raise BatchFileError(
            f"{block.file.name}: block at byte {block.entry.start} holds a line that is no event: {error}"
        ) from error
