"""pin_retention: keeps each session at the retention period that it began with."""

from recording_worker._native import set_rows
from recording_worker.formats.retention import RETENTIONS
from recording_worker.formats.session_keys import MAX_SESSION_ID_LENGTH, PINNED_SECONDS, Session, SessionKeys
from recording_worker.lookups.lru import LruCache
from recording_worker.lookups.redis_commands import Command, Redis
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import Ending, MessageBatch
from recording_worker.pipeline.step import Step

_CAPACITY = 100_000
"""Sessions whose pins this process remembers: about 20 MB."""


class PinRetention(Step):
    """Reads `teams`, `decoded`; sets `retentions`, which hold the teams' periods, to what the sessions are pinned to.

    The first worker that sees a session pins it to its team's period. So if the team changes its period, no part of a
    session lives longer than the others. Reading messages again changes nothing.
    Ends rows of sessions that are pinned to something that is not a period: drop.

    Asks Redis in one round trip about the sessions it has not seen. If Redis can't be asked, the rows keep the team's
    period, and the session does not count as pinned.
    """

    name = "pin_retention"

    def __init__(self, redis: Redis, keys: SessionKeys, metrics: Metrics) -> None:
        self._redis = redis
        self._keys = keys
        self._metrics = metrics
        self._pins: LruCache[Session, str] = LruCache(_CAPACITY)

    def run(self, batch: MessageBatch) -> None:
        decoded = batch.decoded
        if decoded is None:
            return
        codes, first, sessions = batch.sessions(decoded, MAX_SESSION_ID_LENGTH)
        pins: dict[Session, str] = {}
        new: dict[Session, str] = {}
        groups_of: dict[Session, list[int]] = {}
        for group, session in sessions.items():
            groups_of.setdefault(session, []).append(group)
            pin = self._pins.get(session)
            if pin is not None:
                pins[session] = pin
            elif session not in new:
                new[session] = RETENTIONS[batch.retentions[first[group]]]
        if new:
            pins |= self._pin(new)
        by_group = {group: pin for session, pin in pins.items() for group in groups_of[session]}
        periods = {group: RETENTIONS.index(pin) for group, pin in by_group.items() if pin in RETENTIONS}
        set_rows(batch.retentions, codes, periods)
        others = {group: self._ending(pin) for group, pin in by_group.items() if group not in periods}
        batch.end_all(codes, others)

    def _ending(self, pin: str) -> Ending:
        text = f"the session is pinned to {pin[:20]!r}, which is not a retention period"
        return Ending(Disposition.DROP, Reason.TEAM_MISSING_RETENTION_PERIOD, self.name, text)

    def _pin(self, new: dict[Session, str]) -> dict[Session, str]:
        """Pin the sessions of `new`. Return session → the period it was pinned to first, as far as Redis answers."""
        commands: list[Command] = []
        for session, period in new.items():
            key = self._keys.retention(session)
            commands += [("SET", key, period, "NX", "EX", PINNED_SECONDS), ("GET", key)]
        pins: dict[Session, str] = {}
        replies = self._redis.ask(commands) or []
        for session, reply in zip(new, replies[1::2], strict=False):
            if isinstance(reply, bytes):
                pins[session] = pin = reply.decode(errors="replace")
                if pin in RETENTIONS:
                    self._pins.put(session, pin)
        self._metrics.retention_unpinned.inc(len(new) - len(pins))
        return pins
