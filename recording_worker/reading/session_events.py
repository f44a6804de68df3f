"""Reads one session's events from batch files, in time order, each once."""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush, heapreplace
from itertools import islice
from operator import attrgetter

from recording_worker._native import event_timestamp
from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.formats.block import lines_of
from recording_worker.reading.batch_files import Block
from recording_worker.reading.prefetch import prefetch

MAX_RECORDING_BYTES = 512 * 1024 * 1024
"""The memory that one recording's events may take at a time. What does not fit in is left out."""

_EVENT_BYTES = 200
"""What an event takes in addition to its line."""
_TOLERANCE_MS = 1.0
"""By how much an index may be wrong about a block's first and last timestamp."""

Event = tuple[float, str, int, int, bytes]
"""Timestamp in milliseconds since 1970, source, offset, number within the message, and the line without line break."""
Messages = list[tuple[tuple[str, int], list[Event]]]
"""Each message of a block, as (source, offset), with its events."""


def check_one_team(blocks: Iterable[Block], session_id: str) -> None:
    """Raise WorkerError if the blocks belong to several teams that happen to use the same session id."""
    teams = sorted({block.entry.team_id for block in blocks})
    if len(teams) > 1:
        raise WorkerError(
            f"session {session_id} is in several teams: say which with --team ({', '.join(map(str, teams))})"
        )


def session_lines(
    blocks: Iterable[Block], on_damage: Callable[[BatchFileError], None], max_bytes: int = MAX_RECORDING_BYTES
) -> Iterator[bytes]:
    """Yield the lines of a session's blocks, unchanged, by timestamp; lines with equal timestamps in source order.

    A message that several blocks hold comes once: equal (source, offset) is the same message. A block that can't be
    read is left out; `on_damage` is called with the reason. Only blocks that overlap in time are in memory together. A
    block is left out, too, if they take more than `max_bytes` with it.
    """
    merge = _Merge()
    fitting = (block for block in sorted(blocks, key=_time_order) if _fits(block, max_bytes, on_damage))
    for block, messages in prefetch(_read, fitting, attrgetter("weight")):
        yield from merge.lines_before(block.entry.first_timestamp - 2 * _TOLERANCE_MS)
        if isinstance(messages, BatchFileError):
            on_damage(messages)
        elif merge.size + _size(block) > max_bytes:
            on_damage(_too_large(block, max_bytes))
        else:
            merge.add(messages, _size(block))
    yield from merge.lines_before(float("inf"))


class _Merge:
    """Merges the events of several blocks by time."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()
        self._runs: list[tuple[Event, Iterator[Event], int]] = []
        """A heap: the next event of each block, those after it, and the bytes that the block takes."""
        self.size = 0
        """The bytes that the blocks take which have events left."""

    def add(self, messages: Messages, size: int) -> None:
        """Add the events of a block; leave out messages that came before."""
        events: list[Event] = []
        for message, its_events in messages:
            if message not in self._seen:
                self._seen.add(message)
                events += its_events
        events.sort()
        rest = iter(events)
        if (first := next(rest, None)) is not None:
            heappush(self._runs, (first, rest, size))
            self.size += size

    def lines_before(self, at: float) -> Iterator[bytes]:
        """Give away the lines of the events before a time, in order."""
        while self._runs and self._runs[0][0][0] < at:
            event, rest, size = self._runs[0]
            yield event[-1]
            if (following := next(rest, None)) is not None:
                heapreplace(self._runs, (following, rest, size))
            else:
                heappop(self._runs)
                self.size -= size


def _time_order(block: Block) -> tuple[float, str, int, int, str, int]:
    entry = block.entry
    return (
        *(entry.first_timestamp, entry.source, entry.first_offset),
        *(block.index.created_ms, block.index.batch_id, entry.start),
    )


def _size(block: Block) -> int:
    """Return the bytes of memory that the events of a block take."""
    return block.entry.size + _EVENT_BYTES * block.entry.events


def _fits(block: Block, max_bytes: int, on_damage: Callable[[BatchFileError], None]) -> bool:
    if _size(block) <= max_bytes:
        return True
    on_damage(_too_large(block, max_bytes))
    return False


def _too_large(block: Block, max_bytes: int) -> BatchFileError:
    where = f"{block.file.name}: block at byte {block.entry.start}"
    return BatchFileError(
        f"{where} can't be unpacked: with it, the recording takes more than {max_bytes:,} bytes of memory"
    )


def _read(block: Block) -> tuple[Block, Messages | BatchFileError]:
    """Return a block and its messages, or why it can't be read."""
    try:
        return block, _messages(block)
    except BatchFileError as problem:
        return block, problem
    except ValueError as error:
        where = f"{block.file.name}: block at byte {block.entry.start}"
        return block, BatchFileError(f"{where} is not as its index says: {error}")


def _messages(block: Block) -> Messages:
    """Raises BatchFileError, and ValueError if the block is not as its index says."""
    entry = block.entry
    lines = lines_of(block.read())
    messages = [
        ((entry.source, offset), _events(block, offset, islice(lines, count))) for offset, count in entry.messages
    ]
    if sum(len(events) for _, events in messages) != entry.events or next(lines, None) is not None:
        raise ValueError("it does not hold as many lines")
    return messages


def _events(block: Block, offset: int, lines: Iterable[bytes]) -> list[Event]:
    entry = block.entry
    first, last = entry.first_timestamp - _TOLERANCE_MS, entry.last_timestamp + _TOLERANCE_MS
    events = []
    for number, line in enumerate(lines):
        try:
            at = event_timestamp(line)
        except ValueError as error:
            raise ValueError(f"it holds a line that is not an event: {error}") from error
        if not first <= at <= last:
            raise ValueError("it holds an event that is not between its first and its last")
        events.append((at, entry.source, offset, number, line))
    return events
