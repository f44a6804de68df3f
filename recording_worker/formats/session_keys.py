"""SessionKeys: the keys under which Redis knows sessions. PostHog's consumer uses all but one of them."""

from dataclasses import dataclass

Session = tuple[int, str]
"""Team id, session id."""

REMEMBERED_SECONDS = 172_800
"""How long a session is remembered: twice as long as the longest session, as PostHog's consumer does
(SESSION_TRACKER_REDIS_TTL_SECONDS in nodejs/src/session-replay/recording-ingestion/constants.ts)."""
PINNED_SECONDS = 86_400
"""How long a session's retention period is kept."""
MAX_SESSION_ID_LENGTH = 256
"""Characters. The clients' ids have 36. Redis knows nothing of sessions with longer ones."""


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """Names the keys of a session. A client chooses its session ids, so keys name the team too."""

    prefix: str
    """What they begin with. PostHog's is "@posthog/replay/"."""
    posthog_retention: bool = False
    """Whether the key of the retention period names no team, as PostHog's does not."""

    def begun(self, session: Session) -> str:
        """A worker has let the session begin. No other consumer knows this key."""
        return self._of("begun", session)

    def seen(self, session: Session) -> str:
        """A part of the session is stored, or it has an encryption key: PostHog's `sessions/session-tracker.ts`."""
        return self._of("seen", session)

    def blocked(self, session: Session) -> str:
        """The session's messages are dropped: PostHog's `sessions/session-filter.ts`."""
        return self._of("blocked", session)

    def retention(self, session: Session) -> str:
        """The retention period of the session."""
        if self.posthog_retention:
            return f"{self.prefix}session-retention-{session[1]}"
        return self._of("retention", session)

    def _of(self, what: str, session: Session) -> str:
        return f"{self.prefix}session-{what}:{session[0]}:{session[1]}"


def cached_key_name(session: Session) -> str:
    """Return the key of Redis under which PostHog's reader keeps the encryption key of a session for a day
    (nodejs/src/session-replay/shared/keystore/cache/redis-cache.ts)."""
    return f"@posthog/replay/recording-key:{session[0]}:{session[1]}"
