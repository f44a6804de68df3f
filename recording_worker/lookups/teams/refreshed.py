"""Teams that are read again in the background."""

from recording_worker.lookups.refreshed import Refreshed
from recording_worker.lookups.teams.service import Team

_MOST_UNKNOWN = 10_000
_MOST_ASKS = 3
"""More than once, for a replica may lag behind; no more, so that traffic nobody wants does not keep the store busy."""


class RefreshedTeams:
    """Teams as they were read last. An unknown token asks for an early refresh, and for another if it stays unknown."""

    def __init__(self, teams: Refreshed[dict[str, Team]]) -> None:
        self._teams = teams
        self._asks: dict[int, tuple[int, int]] = {}
        """Unknown token, by its hash, for tokens have no bound → how often it asked, and after which reading last."""

    def get(self, token: str, /) -> Team | None:
        team = self._teams.value.get(token)
        if team is None:
            self._ask_for(hash(token))
        return team

    def _ask_for(self, token: int) -> None:
        asks, reading = self._asks.get(token, (0, 0))
        if asks == _MOST_ASKS or reading == self._teams.readings:
            return
        if len(self._asks) >= _MOST_UNKNOWN:
            self._asks.clear()
        self._asks[token] = asks + 1, self._teams.readings
        self._teams.hurry()
