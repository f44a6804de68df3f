"""Opens the restrictions that the settings name."""

from collections.abc import Sequence

from recording_worker.dependencies import RESTRICTIONS_REDIS, Dependencies
from recording_worker.lookups.refreshed import Refreshed, Stores
from recording_worker.lookups.restrictions.refreshed import RefreshedRestrictions
from recording_worker.lookups.restrictions.service import RestrictionService, Rule
from recording_worker.lookups.watched_file import FILE_INTERVAL, WatchedFile
from recording_worker.settings.model import Settings

_REDIS_INTERVAL = 30.0
"""Seconds between two readings from Redis, at most: a token is blocked when something is wrong."""


def open_restrictions(settings: Settings, stores: Stores, dependencies: Dependencies) -> RestrictionService:
    """Read the restrictions of the file and of Redis, if the settings name them. Raises ConfigError and BootError."""
    read: list[Refreshed[Sequence[Rule]]] = []
    if settings.restrictions is not None:
        from recording_worker.lookups.restrictions.static import load_restrictions  # pydantic builds models for it

        file = WatchedFile(settings.restrictions, load_restrictions)
        read.append(stores.read("restrictions_file", file.load, FILE_INTERVAL))
    if settings.restrictions_redis is not None:
        from recording_worker.lookups.restrictions.redis import RedisRestrictions  # an extra brings its library

        in_redis = RedisRestrictions(settings.restrictions_redis)
        watch = dependencies.watch(RESTRICTIONS_REDIS, in_redis.probe)
        read.append(stores.read("restrictions_redis", in_redis.load, _REDIS_INTERVAL, watch=watch))
    return RefreshedRestrictions(read)
