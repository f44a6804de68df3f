"""Summaries of sessions over several batch files, put together from the files' indexes; no block is read."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from recording_worker.formats.batch_file import BlockEntry
from recording_worker.formats.rrweb import GAP_MS
from recording_worker.formats.session_keys import Session


class SessionSummary:
    """Sums up the blocks of one session. Each message counts once, even if several files hold it.

    Takes about 700 bytes, 16 for each block and 8 for each message. Times are milliseconds since 1970.
    """

    __slots__ = (
        "_gaps_in_blocks",
        "_has_counts",
        "_offsets",
        "_out_of_order",
        "_spans",
        "blocks",
        "distinct_id",
        "events",
        "first_full_snapshot_timestamp",
        "first_timestamp",
        "has_full_snapshot",
        "last_timestamp",
        "messages",
        "session_id",
        "size",
        "snapshot_source",
        "team_id",
    )

    def __init__(self, team_id: int, session_id: str) -> None:
        self.team_id = team_id
        self.session_id = session_id
        self.distinct_id = ""
        """The distinct id of the block that begins first."""
        self.blocks = 0
        """Blocks that hold a message that no block before them held."""
        self.messages = 0
        self.events = 0
        self.size = 0
        """Bytes of the lines. If some of a block's messages came before, its size counts by its share of new events."""
        self.first_timestamp = float("inf")
        self.last_timestamp = 0.0
        self.has_full_snapshot = False
        """Whether it can be played: pages of browsers and screens of mobile apps alike."""
        self.first_full_snapshot_timestamp: float | None = None
        """When the session can be played from; None if it can't be played, or if older files don't say."""
        self.snapshot_source: str | None = None
        """What recorded it, `web` or `mobile`; None if older files don't say."""
        self._has_counts = True
        self._out_of_order = 0
        self._gaps_in_blocks = 0
        self._spans = array("d")
        """The first and last timestamps of the blocks, in pairs."""
        self._offsets: dict[str, array[int]] = {}
        """The offsets of each source's messages, sorted."""

    def add(self, entry: BlockEntry) -> None:
        """Add one of the session's blocks."""
        new = self._new_messages(entry)
        if not new:
            return
        events = sum(count for _, count in new)
        self.blocks += 1
        self.messages += len(new)
        self.events += events
        self.size += entry.size if events == entry.events else round(entry.size * events / max(entry.events, 1))
        if entry.first_timestamp < self.first_timestamp:
            self.first_timestamp, self.distinct_id = entry.first_timestamp, entry.distinct_id
        self.last_timestamp = max(self.last_timestamp, entry.last_timestamp)
        self._spans.extend((entry.first_timestamp, entry.last_timestamp))
        self.snapshot_source = self.snapshot_source or entry.snapshot_source
        if entry.has_full_snapshot:
            self.has_full_snapshot = True
            known = [self.first_full_snapshot_timestamp, entry.first_full_snapshot_timestamp]
            self.first_full_snapshot_timestamp = min((time for time in known if time is not None), default=None)
        if entry.out_of_order_count is None or entry.gap_count is None:
            self._has_counts = False
        else:
            self._out_of_order += entry.out_of_order_count
            self._gaps_in_blocks += entry.gap_count

    def _new_messages(self, entry: BlockEntry) -> list[tuple[int, int]]:
        """Return (offset, events) of the messages that did not come before."""
        seen = self._offsets.get(entry.source)
        if seen is None:
            self._offsets[entry.source] = array("q", sorted(offset for offset, _ in entry.messages))
            return entry.messages
        new = [message for message in entry.messages if not _holds(seen, message[0])]
        if new:
            offsets = sorted(offset for offset, _ in new)
            in_order = offsets[0] > seen[-1]
            seen.extend(offsets)
            if not in_order:
                self._offsets[entry.source] = array("q", sorted(seen))
        return new

    @property
    def key(self) -> Session:
        """Team id and session id."""
        return self.team_id, self.session_id

    @property
    def duration_ms(self) -> float:
        """The time from the first to the last event."""
        return self.last_timestamp - self.first_timestamp

    @property
    def out_of_order_count(self) -> int | None:
        """Events out of order within the blocks; None if older files don't say."""
        return self._out_of_order if self._has_counts else None

    @property
    def gap_count(self) -> int | None:
        """Gaps of more than 10 s within blocks and between blocks; None if older files don't say.

        A gap within a block counts even if another block has events in that time.
        """
        if not self._has_counts:
            return None
        spans = sorted(zip(self._spans[::2], self._spans[1::2], strict=True))
        gaps, end = self._gaps_in_blocks, self.first_timestamp
        for first, last in spans:
            gaps += first - end > GAP_MS
            end = max(end, last)
        return gaps


def summarize_sessions(entries: Iterable[BlockEntry]) -> list[SessionSummary]:
    """Return the sessions of these blocks, sorted by team and id."""
    sessions: dict[tuple[int, str], SessionSummary] = {}
    for entry in entries:
        if not entry.messages:
            continue
        key = entry.team_id, entry.session_id
        session = sessions.get(key)
        if session is None:
            session = sessions[key] = SessionSummary(*key)
        session.add(entry)
    return [sessions[key] for key in sorted(sessions)]


def _holds(offsets: "array[int]", offset: int) -> bool:
    at = bisect_left(offsets, offset)
    return at < len(offsets) and offsets[at] == offset
