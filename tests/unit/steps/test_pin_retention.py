"""The pins of sessions, for each answer that Redis may give. tests/integration has the same with a real one."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import redis

from recording_worker._native import Decoder
from recording_worker.formats.retention import RETENTIONS
from recording_worker.lookups.redis_commands import Command
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.lookups.teams.service import Team
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.pipeline.steps.pin_retention import PinRetention
from recording_worker.pipeline.steps.resolve_team import ResolveTeam
from tests.builders import KEYS, FakeClock, batch, counted, decoded, headers, message, session_message, value
from tests.unit.steps.scripted_redis import ScriptedRedis

TEAM = AnyTokenTeams().get("token-1")
assert TEAM is not None
TEAM_ID = TEAM.id
REFUSED = redis.ResponseError("OOM")


def pinned(step: PinRetention, *ids: str) -> list[str | None]:
    """Run the step over a message of each session. Return the periods of the rows, None for those that were dropped."""
    rows = decoded(*(session_message(offset, session_id) for offset, session_id in enumerate(ids)))
    step.run(rows)
    dropped = {row for row in range(len(rows)) if rows.dispositions[row]}
    assert {(rows.dispositions[row], rows.reasons[row]) for row in dropped} <= {
        (Disposition.DROP, Reason.TEAM_MISSING_RETENTION_PERIOD)
    }
    return [None if row in dropped else RETENTIONS[rows.retentions[row]] for row in range(len(rows))]


def test_a_session_gets_the_period_it_is_pinned_to_and_keeps_it() -> None:
    link, metrics = ScriptedRedis([None, b"1y", True, b"30d"]), Metrics()
    step = PinRetention(link, KEYS, metrics)
    assert pinned(step, "a", "b", "a") == ["1y", "30d", "1y"]
    key = f"@posthog/replay/session-retention:{TEAM_ID}:"
    assert link.asked == [
        [
            command
            for session in "ab"
            for command in (("SET", key + session, "30d", "NX", "EX", 86_400), ("GET", key + session))
        ]
    ]
    assert pinned(step, "b", "a") == ["30d", "1y"], "Redis is not asked again"
    assert counted(metrics, "retention_unpinned_sessions_total") == 0


class SharedRedis:
    """A Redis that several steps use."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}

    def ask(self, commands: Sequence[Command]) -> list[object]:
        return [
            self.keys.setdefault(str(key), str(*given[:1])) if name == "SET" else self.keys[str(key)].encode()
            for name, key, *given in commands
        ]


@pytest.mark.parametrize("posthog_keys", [False, True])
def test_a_team_can_set_the_period_of_another_teams_session_only_with_posthogs_keys(posthog_keys: bool) -> None:
    shared = SharedRedis()
    step = PinRetention(shared, replace(KEYS, posthog_retention=posthog_keys), Metrics())
    rows = batch(
        message(0, headers=headers(token="one", session_id="s"), value=value(session_id="s")),
        message(1, headers=headers(token="two", session_id="s"), value=value(session_id="s")),
    )
    teams = {"one": Team(1, True, "5y"), "two": Team(2, True, "30d")}
    parse = ParseSessionRecordingMessage(Decoder(), FakeClock(), 7.0, Metrics())
    for each in (ParseHeaders(), parse, ResolveTeam(teams), step):
        each.run(rows)
    periods = [RETENTIONS[code] for code in rows.retentions]
    prefix = "@posthog/replay/session-retention"
    if posthog_keys:
        assert (periods, shared.keys) == (["5y", "5y"], {f"{prefix}-s": "5y"})
    else:
        assert (periods, shared.keys) == (["5y", "30d"], {f"{prefix}:1:s": "5y", f"{prefix}:2:s": "30d"})


def test_without_an_answer_the_teams_period_stays_and_is_asked_for_again() -> None:
    metrics = Metrics()
    step = PinRetention(ScriptedRedis(None, [REFUSED, REFUSED, None, b"5y"]), KEYS, metrics)
    assert pinned(step, "a", "b") == ["30d", "30d"]
    assert counted(metrics, "retention_unpinned_sessions_total") == 2
    assert pinned(step, "a", "b") == ["30d", "5y"]
    assert counted(metrics, "retention_unpinned_sessions_total") == 3


def test_a_session_pinned_to_something_else_is_dropped_until_the_pin_is_right() -> None:
    step = PinRetention(ScriptedRedis([None, b"\xff7 days"], [None, b"90d"]), KEYS, Metrics())
    assert pinned(step, "a", "a") == [None, None]
    assert pinned(step, "a") == ["90d"]


def test_a_session_id_that_is_too_long_keeps_the_teams_period() -> None:
    step = PinRetention(ScriptedRedis([None, b"1y"]), KEYS, Metrics())
    assert pinned(step, "x" * 257) == ["30d"]
    assert pinned(step, "x" * 256) == ["1y"]
