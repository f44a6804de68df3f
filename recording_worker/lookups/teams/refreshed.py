"""RefreshedTeams: teams that are refreshed in the background."""

from recording_worker.lookups.refreshed import Refreshed
from recording_worker.lookups.teams.service import Team

_MAX_UNKNOWN_TOKENS = 10_000
_MAX_REQUESTS = 3
"""Early refreshes per token. More than one, because a replica may lag; not many, because unwanted traffic may go on."""


class RefreshedTeams:
    """The teams that were read last. An unknown token requests an early refresh, and again while it stays unknown."""

    def __init__(self, teams: Refreshed[dict[str, Team]]) -> None:
        self._teams = teams
        self._requests: dict[int, tuple[int, int]] = {}
        """Hash of an unknown token (its length has no bound) → its requests so far, and the reading before the last."""

    def get(self, token: str, /) -> Team | None:
        team = self._teams.value.get(token)
        if team is None:
            self._request_refresh(hash(token))
        return team

    def _request_refresh(self, token: int) -> None:
        requests, reading = self._requests.get(token, (0, 0))
        if requests == _MAX_REQUESTS or reading == self._teams.readings:
            return
        if len(self._requests) >= _MAX_UNKNOWN_TOKENS:
            self._requests.clear()
        self._requests[token] = requests + 1, self._teams.readings
        self._teams.refresh_early()
