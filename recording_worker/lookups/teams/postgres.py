"""PostgresTeams: teams from PostHog's PostgreSQL database."""

import psycopg
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from recording_worker.errors import StoreError
from recording_worker.formats.retention import RETENTION_DAYS
from recording_worker.lookups.refreshed import Reading
from recording_worker.lookups.teams.service import Team
from recording_worker.postgres import conninfo, deadline
from recording_worker.text import error_line

QUERY = """
SELECT id, api_token, capture_console_log_opt_in, session_recording_retention_period
FROM posthog_team
WHERE session_recording_opt_in = true
ORDER BY id
"""
_ANY_ROW = "SELECT id FROM posthog_team LIMIT 1"
_CONNECT_TIMEOUT = 10
"""Seconds, for each address."""
_QUERY_TIMEOUT = 60.0
"""Seconds to query and receive all teams."""
_PROBE_TIMEOUT = 3
"""Seconds to connect, and to get an answer, when it is only asked whether the database answers."""


class PostgresTeams:
    """Reads token → team with one query, each time on a new connection. Probes keep one of their own."""

    def __init__(self, url: SecretStr, *, query_timeout: float = _QUERY_TIMEOUT) -> None:
        """Raises ConfigError if the URL can't be parsed."""
        self._conninfo = conninfo("teams_postgres", url, connect_timeout=_CONNECT_TIMEOUT)
        self._probe_conninfo = make_conninfo(self._conninfo, connect_timeout=_PROBE_TIMEOUT)
        self._query_timeout = query_timeout
        self._had_teams = False
        self._probing: psycopg.Connection | None = None
        """The connection of the last probe that succeeded."""

    def load(self) -> Reading[dict[str, Team]]:
        """Return all teams that take recordings, and which rows can't be used. Raises StoreError.

        It is also an error if there were teams before, and now the table is empty or none of its rows can be used:
        somebody is changing it, or made a mistake. If all teams have recordings off, that is no error.
        """
        try:
            with psycopg.connect(self._conninfo) as connection, deadline(connection, self._query_timeout):
                connection.read_only = True
                rows = connection.execute(QUERY).fetchall()
                is_empty = not rows and connection.execute(_ANY_ROW).fetchone() is None
        except (psycopg.Error, OSError) as error:
            raise StoreError(error_line(error)) from error
        reading = teams_of(rows)
        if self._had_teams and is_empty:
            raise StoreError("posthog_team is empty")
        if self._had_teams and rows and not reading.value:
            raise StoreError(f"no row of posthog_team can be used, such as {reading.rejected[0]}")
        self._had_teams = bool(reading.value)
        return reading

    def probe(self) -> None:
        """Find out whether the database answers. Raises StoreError. For one thread.

        A connection that is kept makes that cheap. If it has broken, a new one decides: a proxy may have closed it.
        """
        kept, self._probing = self._probing, None
        if kept is not None and _answers(kept):
            self._probing = kept
            return
        try:
            connection = psycopg.connect(self._probe_conninfo, autocommit=True)
        except (psycopg.Error, OSError) as error:
            raise StoreError(error_line(error)) from error
        if not _answers(connection):
            raise StoreError("no answer on a new connection")
        self._probing = connection

    def close(self) -> None:
        """Close the connection of the probes."""
        if self._probing is not None:
            self._probing.close()


def _answers(connection: psycopg.Connection) -> bool:
    """Return whether a connection answers in time. One that does not is closed."""
    try:
        with deadline(connection, _PROBE_TIMEOUT):
            connection.execute("SELECT 1")
    except (psycopg.Error, OSError):
        connection.close()
        return False
    return True


def teams_of(rows: list[tuple[object, ...]]) -> Reading[dict[str, Team]]:
    """Make teams of the query's rows. A team whose retention period is unknown is kept without one."""
    teams: dict[str, Team] = {}
    rejected: list[str] = []
    for team_id, token, console_logs, period in rows:
        problem = ""
        if not isinstance(team_id, int) or isinstance(team_id, bool) or team_id <= 0:
            problem = "its id is not a positive whole number"
        elif not isinstance(token, str) or not token:
            problem = "its token is not a text"
        elif not isinstance(console_logs, bool | None):
            problem = f"its capture_console_log_opt_in is not true, false or null: {console_logs!r}"
        elif token in teams:
            problem = f"team {teams[token].id} has the same token"
        else:
            known = isinstance(period, str) and period in RETENTION_DAYS
            if not known and period is not None:
                rejected.append(f"team {team_id}: its retention period is unknown: {period!r}")
            teams[token] = Team(team_id, bool(console_logs), str(period) if known else None)
        if problem:
            rejected.append(f"team {team_id!r}: {problem}")
    return Reading(teams, len(teams), rejected)
