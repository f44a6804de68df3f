"""Team and TeamService: what the steps ask about a token."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Team:
    """A team that takes recordings."""

    id: int
    console_logs: bool
    retention: str | None
    """A key of RETENTION_DAYS, or None if the team has no valid period."""


class TeamService(Protocol):
    """Finds teams by their tokens. Never blocks: stores are refreshed in the background. A dict of teams is one."""

    def get(self, token: str, /) -> Team | None:
        """Return the team of a token; None if no team has it, or its team has recordings off."""
