"""Checks what messages are looked up in: teams, restrictions, known sessions, keys, and files that settings name."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recording_worker.errors import StoreError
from recording_worker.lookups.refreshed import Reading
from recording_worker.lookups.restrictions.static import load_restrictions
from recording_worker.lookups.teams.static import load_teams
from recording_worker.operations.check.finding import Finding
from recording_worker.operations.check.run import Check
from recording_worker.operations.keys import opened_keys
from recording_worker.settings.choices import KeyStoreKind
from recording_worker.settings.model import Settings
from recording_worker.text import counted

_QUERY_SECONDS = 8.0


def lookup_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check for each thing that the settings name."""
    if settings.any_token:
        yield Check("teams", _any_token)
    if settings.teams is not None:
        yield Check("teams", _file("teams", settings.teams, load_teams, "team"))
    if settings.teams_postgres is not None:
        yield Check("teams", lambda: _postgres(settings))
    if settings.restrictions is not None:
        yield Check("restrictions", _file("restrictions", settings.restrictions, load_restrictions, "restriction"))
    if settings.restrictions_redis is not None:
        yield Check("restrictions_redis", lambda: _restrictions_redis(settings))
    if settings.sessions_redis is not None:
        yield Check("sessions_redis", lambda: _sessions_redis(settings))
    if settings.key_store is not KeyStoreKind.NONE:
        yield Check("key_store", lambda: _key_store(settings))


def _key_store(settings: Settings) -> Iterator[Finding]:
    store = opened_keys(settings)
    try:
        store.try_out()
    except StoreError as error:
        advice = "without it nothing is recorded; `recording-worker keys create` makes the table"
        yield Finding.problem("key_store", f"the key store can't be used: {error}", advice)
    else:
        yield Finding.ok("key_store", f"{settings.key_store.value}: keys can be made, stored and read")
    finally:
        store.close()


def _any_token() -> Iterator[Finding]:
    yield Finding.ok("teams", "every token is a team (any_token)")


def _file(subject: str, path: Path, load: Callable[[Path], Any], noun: str) -> Callable[[], Iterator[Finding]]:
    def look() -> Iterator[Finding]:
        yield _counted(subject, len(load(path)), noun, str(path))

    return look


def _postgres(settings: Settings) -> Iterator[Finding]:
    from recording_worker.lookups.teams.postgres import PostgresTeams  # an extra brings its library

    assert settings.teams_postgres is not None
    yield from _store("teams", PostgresTeams(settings.teams_postgres, query_timeout=_QUERY_SECONDS).load, "team")


def _restrictions_redis(settings: Settings) -> Iterator[Finding]:
    from recording_worker.lookups.restrictions.redis import RedisRestrictions  # an extra brings its library

    assert settings.restrictions_redis is not None
    yield from _store("restrictions_redis", RedisRestrictions(settings.restrictions_redis).load, "restriction")


def _store(subject: str, load: Callable[[], Reading[Any] | None], noun: str) -> Iterator[Finding]:
    try:
        reading = load()
    except StoreError as error:
        yield Finding.problem(subject, f"{subject} can't be read: {error}")
        return
    assert reading is not None, "a first reading has nothing to be the same as"
    yield _counted(subject, reading.entries, noun, "the database")
    for rejected in reading.rejected:
        yield Finding.warning(subject, f"an entry can't be used: {rejected}", "correct it, or remove it")


def _counted(subject: str, number: int, noun: str, where: str) -> Finding:
    if number or noun != "team":
        return Finding.ok(subject, f"{counted(number, noun)} in {where}")
    return Finding.warning(subject, f"there is no team in {where}: every message is dropped", "add the teams")


def _sessions_redis(settings: Settings) -> Iterator[Finding]:
    """The service records without this Redis, so nothing is a problem but its URL."""
    from recording_worker.lookups.redis import try_redis  # an extra brings its library

    assert settings.sessions_redis is not None
    try:
        try_redis("sessions_redis", settings.sessions_redis, settings.sessions_redis_prefix)
    except StoreError as error:
        yield Finding.warning(
            "sessions_redis",
            f"sessions_redis can't be used: {error}",
            "until it can, sessions get their team's period, and new ones are not limited",
        )
        return
    yield Finding.ok("sessions_redis", "answers, and can be written to")
