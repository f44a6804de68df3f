"""redirect_hot_sessions: sends sessions that exceed their share to the overflow topic."""

from collections.abc import Collection

from recording_worker.lookups.lru import LruCache
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step

_MINUTE_MS = 60_000
_CAPACITY = 50_000
"""Sessions that are remembered: about 12 MB. A hot one comes too often to be forgotten."""


class _Minute:
    """What one session sent in a minute, which begins with the earliest of its messages."""

    __slots__ = ("hot", "sent", "start_ms")

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self.sent = 0
        self.hot = False


class HotSessions:
    """Knows the hot sessions. They sent more than `limit_bytes` in a minute, and in each minute since."""

    def __init__(self, limit_bytes: int, capacity: int = _CAPACITY) -> None:
        self._limit_bytes = limit_bytes
        self._minutes: LruCache[int, _Minute] = LruCache(capacity)

    def is_hot(self, session: int, size: int, at_ms: int) -> bool:
        """Count `size` bytes that a session sent at `at_ms`. Return whether it is hot now."""
        minute = self._minutes.get(session)
        if minute is None:
            minute = _Minute(at_ms)
            self._minutes.put(session, minute)
        elif (past := at_ms - minute.start_ms) >= _MINUTE_MS:
            minute.hot = minute.sent > self._limit_bytes and past < 2 * _MINUTE_MS
            minute.start_ms, minute.sent = at_ms, 0
        elif past < 0:  # else a minute that begins with a message from the future would last until then
            minute.start_ms = at_ms
        minute.sent += size
        if minute.sent > self._limit_bytes:
            minute.hot = True
        return minute.hot


class RedirectHotSessions(Step):
    """Reads token and session headers, values and timestamps. Ends rows of hot sessions: redirect. Never blocks.

    Counts the bytes that Kafka carries, by Kafka timestamp: so it measures how fast a session sends, and no session
    becomes hot because a worker catches up. A message that comes again because its batch was cut is counted once.
    Messages without a session header or a timestamp pass.
    """

    name = "redirect_hot_sessions"

    def __init__(self, limit_bytes: int) -> None:
        self._sessions = HotSessions(limit_bytes)
        self._next_offsets: dict[int, int] = {}
        """Partition → the first offset that was not counted yet."""

    def run(self, batch: MessageBatch) -> None:
        for row in batch.ok_rows():
            session_id, at_ms = batch.session_id_headers[row], batch.timestamps_ms[row]
            if not session_id or at_ms < 0:
                continue
            partition, offset = batch.partitions[row], batch.offsets[row]
            size = 0
            if offset >= self._next_offsets.get(partition, 0):
                self._next_offsets[partition] = offset + 1
                size = batch.messages.values.size(row)
            # by its hash: ids can be of any length, and memory must be limited
            if self._sessions.is_hot(hash((batch.tokens[row], session_id)), size, at_ms):
                text = "the session sends more bytes a minute than hot_session_bytes_per_minute"
                batch.end(row, Disposition.REDIRECT, Reason.OVERFLOW_HOT_SESSION, self.name, text)

    def forget(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self._next_offsets.pop(partition, None)
