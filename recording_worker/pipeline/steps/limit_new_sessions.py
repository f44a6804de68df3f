"""limit_new_sessions: limits how many sessions a team may begin. Whole sessions are blocked, never parts of one."""

import structlog

from recording_worker.clock import Clock
from recording_worker.formats.session_keys import MAX_SESSION_ID_LENGTH, REMEMBERED_SECONDS, Session, SessionKeys
from recording_worker.lookups.lru import LruCache
from recording_worker.lookups.redis_commands import Command, Redis
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import Ending, MessageBatch
from recording_worker.pipeline.step import Step

log = structlog.get_logger()

_CAPACITY = 100_000
"""Sessions remembered in this process: about 20 MB."""
_TEAMS = 100_000
"""Teams remembered in this process: about 20 MB. With `any_token` a sender can make up any number of them."""
_TELL_SECONDS = 60.0
"""How often the log names a team that is over its limit."""
_NO_ANSWER = object()


class TeamBuckets:
    """One bucket of tokens per team: full at first, refilled at a steady rate.

    Remembers `most_teams`. The bucket of a team that was silent for longest is forgotten first, and full again.
    """

    def __init__(self, capacity: float, per_second: float, clock: Clock, most_teams: int = _TEAMS) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._clock = clock
        self._levels: LruCache[int, tuple[float, float]] = LruCache(most_teams)
        """Team → (tokens left, at which time)."""

    def take(self, team_id: int) -> bool:
        """Take a token out of the team's bucket. Return False if there is none."""
        now = self._clock.monotonic()
        level, then = self._levels.get(team_id) or (self._capacity, now)
        level = min(self._capacity, level + (now - then) * self._per_second)
        enough = level >= 1
        self._levels.put(team_id, (level - 1 if enough else level, now))
        return enough


class LimitNewSessions(Step):
    """Reads `teams`, `decoded`. Ends rows of blocked sessions: drop.

    A session that no worker has let begin takes a token of its team's bucket. If there is none, it is counted and, with
    `block`, blocked. It is blocked in Redis first, and only messages of sessions blocked there are dropped: so a worker
    that reads later messages of the session, or the same ones again, drops them too. A session that has begun, or that
    PostHog's consumer has seen, is never dropped for that.

    Asks Redis in one round trip about the sessions it does not know, and in another to block some. If Redis can't be
    asked, every session passes, and keeps passing in this process, so that it is not cut in two when Redis is back.
    """

    name = "limit_new_sessions"

    def __init__(
        self, redis: Redis, keys: SessionKeys, buckets: TeamBuckets, clock: Clock, metrics: Metrics, *, block: bool
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._buckets = buckets
        self._clock = clock
        self._metrics = metrics
        self._block = block
        self._passes: LruCache[Session, bool] = LruCache(_CAPACITY)
        """Session → whether it passes, as far as known."""
        self._told: LruCache[int, float] = LruCache(_TEAMS)
        """Team → when the log named it."""

    def run(self, batch: MessageBatch) -> None:
        decoded = batch.decoded
        if decoded is None:
            return
        codes, _, sessions = batch.sessions(decoded, MAX_SESSION_ID_LENGTH)
        passes = {session: self._passes.get(session) for session in sessions.values()}
        if unknown := [session for session, known in passes.items() if known is None]:
            passes |= self._ask(unknown)
        text = "the session is blocked: it began when its team had begun too many"
        ending = Ending(Disposition.DROP, Reason.SESSION_BLOCKED, self.name, text)
        batch.end_all(codes, {group: ending for group, session in sessions.items() if not passes[session]})

    def _ask(self, unknown: list[Session]) -> dict[Session, bool]:
        """Return whether each of these passes, as Redis says or as is decided now. Remember it."""
        commands: list[Command] = []
        for session in unknown:
            commands += [("SET", self._keys.begun(session), 1, "NX", "EX", REMEMBERED_SECONDS)]
            commands += [("EXISTS", self._keys.seen(session)), ("EXISTS", self._keys.blocked(session))]
        passes = dict.fromkeys(unknown, True)
        new: list[Session] = []
        unlimited = 0
        replies = self._redis.ask(commands) or [_NO_ANSWER] * len(commands)
        for session, begins, is_seen, is_blocked in zip(unknown, *(replies[n::3] for n in range(3)), strict=True):
            if is_blocked == 1:
                passes[session] = not self._block
            elif is_seen == 1 or begins is None:
                continue
            elif begins is True:
                new.append(session)
            else:  # there was no answer, or an error for one
                unlimited += 1
        self._metrics.unlimited_sessions.inc(unlimited)
        self._metrics.new_sessions.inc(len(new))
        passes |= dict.fromkeys(self._block_those_over_limit(new), False)
        for session, passing in passes.items():
            self._passes.put(session, passing)
        return passes

    def _block_those_over_limit(self, new: list[Session]) -> list[Session]:
        """Take a token for each new session. Return the sessions that got none and are blocked now."""
        over = [session for session in new if not self._buckets.take(session[0])]
        if not over:
            return []
        self._metrics.new_sessions_over_limit.inc(len(over))
        self._tell({team_id for team_id, _ in over})
        if not self._block:
            return []
        commands = [("SET", self._keys.blocked(session), 1, "EX", REMEMBERED_SECONDS) for session in over]
        replies = self._redis.ask(commands)
        blocked = [session for session, reply in zip(over, replies or [], strict=False) if reply is True]
        self._metrics.sessions_blocked.inc(len(blocked))
        return blocked

    def _tell(self, teams: set[int]) -> None:
        now = self._clock.monotonic()
        for team_id in teams:
            told = self._told.get(team_id)
            if told is None or now - told >= _TELL_SECONDS:
                self._told.put(team_id, now)
                log.warning("team begins more sessions than its limit", team=team_id, blocking=self._block)
