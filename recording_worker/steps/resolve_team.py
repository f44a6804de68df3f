"""resolve_team: the team of each message's token."""

from recording_worker.batch import Disposition, MessageBatch
from recording_worker.reasons import Reason
from recording_worker.teams.service import RETENTION_DAYS, Team, TeamService


class ResolveTeam:
    """Reads `tokens`; sets `teams`. Ends rows of unknown teams and of teams without a retention period: drop.

    Asks for each distinct token of a batch once. Never blocks.
    """

    name = "resolve_team"

    def __init__(self, teams: TeamService) -> None:
        self._teams = teams

    def run(self, batch: MessageBatch) -> None:
        known: dict[str, Team | None] = {}
        for row in batch.ok_rows():
            token = batch.tokens[row] or ""
            if token not in known:
                known[token] = self._teams.get(token)
            team = known[token]
            if team is None:
                reason = Reason.HEADER_TOKEN_PRESENT_TEAM_MISSING_OR_DISABLED
                batch.end(row, Disposition.DROP, reason, self.name, "no team takes recordings under this token")
            elif team.retention not in RETENTION_DAYS:
                reason = Reason.TEAM_MISSING_RETENTION_PERIOD
                batch.end(row, Disposition.DROP, reason, self.name, f"team {team.id} has no valid retention period")
            else:
                batch.teams[row] = team
