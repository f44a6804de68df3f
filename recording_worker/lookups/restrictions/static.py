"""Restrictions from a TOML file."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from recording_worker.lookups.restrictions.service import Restriction, Rule
from recording_worker.settings.toml import read_toml


class _RestrictionTable(BaseModel):
    """A `[[restriction]]` table."""

    model_config = ConfigDict(extra="forbid", strict=False)

    type: Restriction
    token: str = Field(min_length=1)
    distinct_ids: list[str] = []
    session_ids: list[str] = []
    event_names: list[str] = []
    event_uuids: list[str] = []


class _RestrictionFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    restriction: list[_RestrictionTable] = []


def load_restrictions(path: Path) -> Sequence[Rule]:
    """Read the rules of a TOML file of `[[restriction]]` tables. Raises ConfigError, which names file and key."""
    return [
        Rule(
            table.type,
            table.token,
            frozenset(table.distinct_ids),
            frozenset(table.session_ids),
            frozenset(table.event_names),
            frozenset(table.event_uuids),
        )
        for table in read_toml(path, _RestrictionFile).restriction
    ]
