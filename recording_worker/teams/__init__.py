"""Which team a token belongs to, and what that team wants: a service and its stores."""

from recording_worker.errors import ConfigError
from recording_worker.settings import Settings
from recording_worker.teams.any_token import AnyTokenTeams
from recording_worker.teams.service import TeamService
from recording_worker.teams.static import StaticTeams, load_teams


def open_teams(settings: Settings) -> TeamService:
    """The team store the settings ask for. Raises ConfigError."""
    if settings.any_token:
        return AnyTokenTeams()
    if settings.teams is not None:
        return StaticTeams(load_teams(settings.teams))
    raise ConfigError("no teams: give a file of teams (--teams FILE), or take every token as a team (--any-token)")
