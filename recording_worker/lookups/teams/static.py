"""Teams from a TOML file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recording_worker.lookups.teams.service import Team
from recording_worker.settings.toml import read_toml


class _TeamTable(BaseModel):
    """A `[[team]]` table."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[int, Field(gt=0)]
    token: str = Field(min_length=1)
    console_logs: bool = True
    retention: Literal["30d", "90d", "1y", "5y"] | None = None


class _TeamFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    team: list[_TeamTable] = []

    @model_validator(mode="after")
    def _tokens_differ(self) -> "_TeamFile":
        seen: set[str] = set()
        for table in self.team:
            if table.token in seen:
                raise ValueError(f"token {table.token!r} stands in two [[team]] tables")
            seen.add(table.token)
        return self


def load_teams(path: Path) -> dict[str, Team]:
    """Read token → team from a TOML file of `[[team]]` tables. Raises ConfigError, which names file and key."""
    return {
        table.token: Team(table.id, table.console_logs, table.retention) for table in read_toml(path, _TeamFile).team
    }
