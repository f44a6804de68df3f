"""Team and TeamService: what the steps ask about a token."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Team:
    """A team that takes recordings."""

    id: int
    console_logs: bool
    retention: str | None
    """A key of RETENTION_DAYS, or None where the team has no valid period."""


class TeamService(Protocol):
    """Resolves tokens. Look-ups never block: a store refreshes in the background. A dict of teams will do."""

    def get(self, token: str, /) -> Team | None:
        """The team of a token, or None where no team has it or recordings are off for it."""
