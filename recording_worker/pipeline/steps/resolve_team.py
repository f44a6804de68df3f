"""resolve_team: finds the team of each message by its token."""

from recording_worker.formats.retention import RETENTION_DAYS
from recording_worker.lookups.teams.service import TeamService
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step


class ResolveTeam(Step):
    """Reads `tokens`; sets `teams`, `retentions`. Ends rows of unknown teams and of teams without a period: drop.

    Looks up each distinct token of a batch once. Never blocks.
    """

    name = "resolve_team"

    def __init__(self, teams: TeamService) -> None:
        self._teams = teams

    def run(self, batch: MessageBatch) -> None:
        known = {token: self._teams.get(token) for token in dict.fromkeys(batch.tokens) if token}
        teams, retentions = batch.teams, batch.retentions
        for row, (token, disposition) in enumerate(zip(batch.tokens, batch.dispositions, strict=True)):
            if disposition:
                continue
            team = known.get(token) if token else None
            if team is None:
                reason = Reason.HEADER_TOKEN_PRESENT_TEAM_MISSING_OR_DISABLED
                batch.end(row, Disposition.DROP, reason, self.name, "no team takes recordings under this token")
            elif team.retention not in RETENTION_DAYS:
                reason = Reason.TEAM_MISSING_RETENTION_PERIOD
                batch.end(row, Disposition.DROP, reason, self.name, f"team {team.id} has no valid retention period")
            else:
                teams[row] = team
                retentions[row] = team.retention
