"""resolve_team: finds the team of each message by its token."""

from recording_worker._native import set_rows
from recording_worker.formats.retention import RETENTIONS
from recording_worker.lookups.teams.service import TeamService
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import Ending, MessageBatch
from recording_worker.pipeline.step import Step


class ResolveTeam(Step):
    """Reads `tokens`; sets `teams`, `retentions`. Ends rows of unknown teams and of teams without a period: drop.

    Looks up each distinct token of a batch once. Never blocks.
    """

    name = "resolve_team"

    def __init__(self, teams: TeamService) -> None:
        self._teams = teams

    def run(self, batch: MessageBatch) -> None:
        batch.teams = [self._teams.get(token) if token else None for token in batch.tokens.distinct]
        endings: dict[int, Ending] = {}
        periods: dict[int, int] = {}
        for code, team in enumerate(batch.teams):
            if team is None:
                reason = Reason.HEADER_TOKEN_PRESENT_TEAM_MISSING_OR_DISABLED
                text = "no team takes recordings under this token"
                endings[code] = Ending(Disposition.DROP, reason, self.name, text)
            elif team.retention not in RETENTIONS:
                reason = Reason.TEAM_MISSING_RETENTION_PERIOD
                text = f"team {team.id} has no valid retention period"
                endings[code] = Ending(Disposition.DROP, reason, self.name, text)
            else:
                periods[code] = RETENTIONS.index(team.retention)
        batch.end_all(batch.tokens.codes, endings)
        set_rows(batch.retentions, batch.tokens.codes, periods)
