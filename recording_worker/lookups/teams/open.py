"""Opens the teams that the settings name."""

from recording_worker.dependencies import TEAMS_POSTGRES, Dependencies
from recording_worker.errors import ConfigError
from recording_worker.lookups.refreshed import Stores
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.lookups.teams.refreshed import RefreshedTeams
from recording_worker.lookups.teams.service import TeamService
from recording_worker.lookups.watched_file import FILE_INTERVAL, WatchedFile
from recording_worker.settings.model import Settings


def open_teams(settings: Settings, stores: Stores, dependencies: Dependencies) -> TeamService:
    """Read the teams that the settings name. Raises ConfigError and BootError."""
    if settings.any_token:
        return AnyTokenTeams()
    if settings.teams is not None:
        from recording_worker.lookups.teams.static import load_teams  # pydantic builds models for it

        return RefreshedTeams(stores.read("teams", WatchedFile(settings.teams, load_teams).load, FILE_INTERVAL))
    if settings.teams_postgres is not None:
        from recording_worker.lookups.teams.postgres import PostgresTeams  # an extra brings its library

        database = PostgresTeams(settings.teams_postgres)
        watch = dependencies.watch(TEAMS_POSTGRES, database.probe, close=database.close)
        return RefreshedTeams(stores.read("teams", database.load, watch=watch))
    raise ConfigError(
        "no teams: give a file of teams (--teams FILE) or a database (--teams-postgres URL),"
        " or take every token as a team (--any-token)"
    )
