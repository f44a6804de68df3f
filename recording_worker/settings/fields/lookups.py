"""Settings of what messages are looked up in: teams, restrictions and known sessions."""

from pathlib import Path

from pydantic import Field

from recording_worker.settings.fields.base import Fields
from recording_worker.settings.types import PositiveInt, PositiveNumber, PostgresUrl, RedisUrl, Seconds


class LookupFields(Fields):
    """Settings of what messages are looked up in: teams, restrictions and known sessions."""

    teams: Path | None = Field(None, description="TOML file of teams: [[team]] tables with id, token, retention, ….")
    teams_postgres: PostgresUrl | None = Field(
        None,
        description="PostgreSQL database with PostHog's table posthog_team: postgresql://USER:PASSWORD@HOST/DATABASE.",
    )
    any_token: bool = Field(
        False, description="Accept every token as a team, with retention 30d and console capture on."
    )
    restrictions: Path | None = Field(None, description="TOML file of restrictions: [[restriction]] tables.")
    restrictions_redis: RedisUrl | None = Field(
        None,
        description="Redis with PostHog's event restrictions; they apply in addition to the file's. Read every 30 s.",
    )
    sessions_redis: RedisUrl | None = Field(
        None, description="Redis that knows the sessions and their retention periods: redis://:PASSWORD@HOST:6379/0."
    )
    sessions_redis_prefix: str = Field(
        "@posthog/replay/", description="First part of every key there. Fleets with different ones share no session."
    )
    mark_sessions_seen: bool = Field(
        False, description="Tell PostHog's consumer, through sessions_redis, which sessions are stored."
    )
    posthog_retention_keys: bool = Field(
        False, description="Keep periods under PostHog's Redis keys, for a Redis shared with it; they name no team."
    )
    new_sessions_burst: PositiveInt = Field(
        3000, description="Sessions that a team may begin at once, for each worker process; needs sessions_redis."
    )
    new_sessions_per_second: PositiveNumber = Field(
        300.0, description="Sessions that a team may begin per second in the long run, for each worker process."
    )
    block_new_sessions: bool = Field(
        False, description="Drop all of a session that exceeds this limit; otherwise only count it."
    )
    refresh_interval: Seconds = Field(
        300.0, description="How often teams and restrictions are read again, at least; give or take a fifth."
    )
    stale_after: Seconds = Field(
        1800.0, description="Not ready if teams or restrictions could not be read for this long."
    )
