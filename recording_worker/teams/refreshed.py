"""Teams that are read again in the background."""

from recording_worker.refresh import Refreshed
from recording_worker.teams.service import Team

_MOST_UNKNOWN = 10_000


class RefreshedTeams:
    """Teams as they were read last. A token seen for the first time and unknown asks for an early refresh.

    Tokens that stay unknown ask once, so that traffic nobody wants does not keep the store busy.
    """

    def __init__(self, teams: Refreshed[dict[str, Team]]) -> None:
        self._teams = teams
        self._unknown: set[str] = set()

    def get(self, token: str, /) -> Team | None:
        team = self._teams.value.get(token)
        if team is None and token not in self._unknown:
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown.add(token)
            self._teams.hurry()
        return team
