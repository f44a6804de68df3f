"""SeenSessions: tells PostHog's consumer, through Redis, which sessions are stored."""

from collections.abc import Iterable

from recording_worker.formats.session_keys import MAX_SESSION_ID_LENGTH, REMEMBERED_SECONDS, Session, SessionKeys
from recording_worker.lookups.lru import LruCache
from recording_worker.lookups.redis_commands import Redis
from recording_worker.metrics import Metrics

_CAPACITY = 100_000
"""Sessions that need not be marked again: about 20 MB."""
_AT_ONCE = 1000
"""Sessions that are marked in one round trip."""


class SeenSessions:
    """Marks sessions as seen once a part of them is committed. For one thread.

    To PostHog's consumer the mark means that the session goes on, so it looks for the session's encryption key, and
    makes none. If the mark came sooner, it could be on a session that nobody has stored.
    """

    def __init__(self, redis: Redis, keys: SessionKeys, metrics: Metrics) -> None:
        self._redis = redis
        self._keys = keys
        self._metrics = metrics
        self._marked: LruCache[Session, bool] = LruCache(_CAPACITY)

    def mark(self, sessions: Iterable[Session]) -> None:
        """Mark these sessions. Those that Redis does not take are counted, and marked with their next part."""
        new = [each for each in dict.fromkeys(sessions) if self._marked.get(each) is None]
        new = [each for each in new if len(each[1]) <= MAX_SESSION_ID_LENGTH]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            replies = self._redis.ask([("SET", self._keys.seen(each), 1, "EX", REMEMBERED_SECONDS) for each in some])
            taken = [each for each, reply in zip(some, replies or [], strict=False) if reply is True]
            for each in taken:
                self._marked.put(each, True)
            self._metrics.sessions_unmarked.inc(len(some) - len(taken))
