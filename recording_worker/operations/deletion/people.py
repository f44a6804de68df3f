"""The sessions of people, as ClickHouse knows them: also those that the metadata topic has forgotten."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from recording_worker.formats.session_keys import Session

if TYPE_CHECKING:
    from recording_worker.lookups.clickhouse import ClickHouse

_BLOCKS = "session_replay_blocks"
"""The table of deploy/clickhouse with each block's person. PostHog has none."""
_IS_THERE = """SELECT name FROM system.tables
WHERE database = if(empty({database:String}), currentDatabase(), {database:String}) AND name = {name:String}"""
"""Finds a table that the user may read. `EXISTS TABLE` needs a grant for a table that is not there, too."""


class PeopleInClickHouse:
    """Asks one ClickHouse. Everything raises ClickHouseError."""

    def __init__(self, clickhouse: "ClickHouse", table: str) -> None:
        """`table`: PostHog's `session_replay_events`, with its database."""
        self._clickhouse = clickhouse
        self._table = table
        database, _, _name = table.rpartition(".")
        blocks = f"{database}.{_BLOCKS}" if database else _BLOCKS
        self._blocks = blocks if clickhouse.ask(_IS_THERE, {"database": database, "name": _BLOCKS}) else None

    @property
    def unread(self) -> list[str]:
        """Why there may be sessions that were not found."""
        if self._blocks is not None:
            return []
        return [f"table {self._table} has one person for each session and day: others of the session are not known"]

    def sessions_of(self, team_id: int, distinct_ids: Collection[str]) -> set[Session]:
        """Return the sessions of these people, also deleted ones."""
        rows = [
            row
            for table in filter(None, (self._table, self._blocks))
            for distinct_id in distinct_ids
            for row in self._clickhouse.ask(
                f"SELECT DISTINCT session_id FROM {table}"
                " WHERE team_id = {team_id:Int64} AND distinct_id = {distinct_id:String}",
                {"team_id": team_id, "distinct_id": distinct_id},
            )
        ]
        return {(team_id, row["session_id"]) for row in rows}
