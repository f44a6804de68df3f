from recording_worker.formats.retention import RETENTIONS
from recording_worker.lookups.teams.service import Team
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import NO_PERIOD
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.resolve_team import ResolveTeam
from tests.builders import batch, headers, message

TEAM = Team(1, console_logs=True, retention="90d")


class CountingTeams:
    def __init__(self, teams: dict[str, Team]) -> None:
        self._teams = teams
        self.asked: list[str] = []

    def get(self, token: str) -> Team | None:
        self.asked.append(token)
        return self._teams.get(token)


def test_each_distinct_token_is_asked_for_once() -> None:
    teams = CountingTeams({"a": TEAM, "b": TEAM})
    rows = batch(*(message(n, headers=headers(token=token)) for n, token in enumerate("abab")))
    ParseHeaders().run(rows)
    ResolveTeam(teams).run(rows)
    assert [rows.team(row) for row in range(4)] == [TEAM] * 4
    assert [RETENTIONS[code] for code in rows.retentions] == ["90d"] * 4
    assert teams.asked == ["a", "b"]


def test_unknown_teams_and_teams_without_retention_are_dropped() -> None:
    teams = CountingTeams({"a": Team(1, console_logs=True, retention=None), "b": Team(2, True, "7 days")})
    rows = batch(*(message(n, headers=headers(token=token)) for n, token in enumerate("abc")))
    ParseHeaders().run(rows)
    ResolveTeam(teams).run(rows)
    assert rows.dispositions == bytes([Disposition.DROP] * 3)
    assert list(rows.reasons) == [
        Reason.TEAM_MISSING_RETENTION_PERIOD,
        Reason.TEAM_MISSING_RETENTION_PERIOD,
        Reason.HEADER_TOKEN_PRESENT_TEAM_MISSING_OR_DISABLED,
    ]
    assert rows.retentions == bytes([NO_PERIOD] * 3)
