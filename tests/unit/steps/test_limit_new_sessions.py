"""The limit on new sessions, for each answer that Redis may give. tests/integration has the same with a real one."""

import hashlib

import redis
from structlog.testing import capture_logs

from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.limit_new_sessions import LimitNewSessions, TeamBuckets
from tests.builders import KEYS, FakeClock, counted, decoded, session_message
from tests.unit.steps.scripted_redis import ScriptedRedis

NEW, OLD, BLOCKED = [True, 0, 0], [None, 0, 0], [None, 0, 1]
"""What Redis answers about a session: whether it begins now, PostHog's consumer has seen it, it is blocked."""
SEEN = [True, 1, 0]
TEAM = int.from_bytes(hashlib.sha256(b"token-1").digest(), "big") >> (256 - 53)
"""The id of the team of the builders' token."""
REFUSED = redis.ResponseError("OOM")


def sessions(*ids: str) -> MessageBatch:
    return decoded(*(session_message(offset, session_id) for offset, session_id in enumerate(ids)))


class Stage:
    """The step with a bucket of tokens, what Redis will answer, and what was counted."""

    def __init__(self, redis: ScriptedRedis, *, tokens: int, block: bool = True) -> None:
        self.clock, self.metrics = FakeClock(), Metrics()
        buckets = TeamBuckets(tokens, 1, self.clock)
        self._step = LimitNewSessions(redis, KEYS, buckets, self.clock, self.metrics, block=block)

    def blocked(self, *ids: str) -> list[str]:
        """Run the step over a message of each session. Return the sessions whose messages were dropped."""
        rows = sessions(*ids)
        self._step.run(rows)
        dropped = [row for row in range(len(rows)) if rows.dispositions[row]]
        assert {(rows.dispositions[row], rows.reasons[row]) for row in dropped} <= {
            (Disposition.DROP, Reason.SESSION_BLOCKED)
        }
        return [ids[row] for row in dropped]

    def counts(self) -> tuple[float | None, ...]:
        """New sessions, over the limit, blocked, not limited."""
        names = "new_sessions", "new_sessions_over_limit", "sessions_blocked", "unlimited_sessions"
        return tuple(counted(self.metrics, f"{name}_total") for name in names)


def test_a_new_session_without_a_token_is_blocked_in_redis_and_then_dropped() -> None:
    link = ScriptedRedis(NEW * 3, [True, True])
    stage = Stage(link, tokens=1)
    assert stage.blocked("a", "b", "a", "c") == ["b", "c"]
    assert stage.counts() == (3, 2, 2, 0)
    begun, seen, block = (f"@posthog/replay/session-{what}:" for what in ("begun", "seen", "blocked"))
    assert link.asked == [
        [
            command
            for session in "abc"
            for command in (
                ("SET", f"{begun}{TEAM}:{session}", 1, "NX", "EX", 172_800),
                ("EXISTS", f"{seen}{TEAM}:{session}"),
                ("EXISTS", f"{block}{TEAM}:{session}"),
            )
        ],
        [("SET", f"{block}{TEAM}:{session}", 1, "EX", 172_800) for session in "bc"],
    ]
    assert stage.blocked("c", "a") == ["c"], "it is remembered, and Redis is not asked again"


def test_a_session_that_could_not_be_blocked_in_redis_passes() -> None:
    assert Stage(ScriptedRedis(NEW, None), tokens=0).blocked("a") == []
    stage = Stage(ScriptedRedis(NEW * 2, [REFUSED, True]), tokens=0)
    assert stage.blocked("a", "b") == ["b"]
    assert stage.counts() == (2, 2, 1, 0)


def test_a_session_that_is_blocked_in_redis_is_dropped_without_a_token() -> None:
    stage = Stage(ScriptedRedis([*BLOCKED, True, 0, 1, *NEW]), tokens=1)
    assert stage.blocked("a", "b", "c") == ["a", "b"]
    assert stage.counts() == (1, 0, 0, 0)


def test_a_session_that_has_begun_or_was_seen_passes_without_a_token() -> None:
    stage = Stage(ScriptedRedis([*OLD, *SEEN]), tokens=0)
    assert stage.blocked("a", "b") == []
    assert stage.counts() == (0, 0, 0, 0)


def test_without_an_answer_every_session_passes_and_keeps_passing() -> None:
    stage = Stage(ScriptedRedis(None, [REFUSED, 0, 0, *BLOCKED]), tokens=0)
    assert stage.blocked("a", "b") == []
    assert stage.counts() == (0, 0, 0, 2)
    assert stage.blocked("a", "c", "d") == ["d"]
    assert stage.counts() == (0, 0, 0, 3)


def test_without_block_sessions_over_the_limit_are_only_counted() -> None:
    stage = Stage(ScriptedRedis([*NEW, *BLOCKED]), tokens=0, block=False)
    assert stage.blocked("a", "b") == []
    assert stage.counts() == (1, 1, 0, 0)


def test_the_log_names_a_team_over_its_limit_once_a_minute() -> None:
    new_and_blocked: list[list[object]] = [[*NEW], [True]]
    stage = Stage(ScriptedRedis(*new_and_blocked * 3), tokens=0)
    with capture_logs() as logs:
        for session, passed_ms in (("a", 0), ("b", 59_999), ("c", 1)):
            stage.clock.ms += passed_ms
            stage.blocked(session)
    assert [(line["team"], line["blocking"]) for line in logs] == [(TEAM, True)] * 2


def test_a_session_id_that_is_too_long_is_not_limited() -> None:
    stage = Stage(ScriptedRedis(NEW, [True]), tokens=0)
    assert stage.blocked("x" * 257) == []
    assert stage.blocked("x" * 256) == ["x" * 256]


def test_a_bucket_is_full_at_first_and_refills_to_its_capacity() -> None:
    clock = FakeClock()
    buckets = TeamBuckets(2, 0.5, clock)
    assert [buckets.take(1) for _ in range(3)] == [True, True, False]
    assert buckets.take(2), "each team has its own"
    clock.ms += 1_999
    assert not buckets.take(1)
    clock.ms += 1
    assert [buckets.take(1) for _ in range(2)] == [True, False]
    clock.ms += 3_600_000
    assert [buckets.take(1) for _ in range(3)] == [True, True, False]


def test_the_buckets_of_teams_that_were_silent_for_longest_are_forgotten() -> None:
    """With `any_token`, a sender makes a team of any token."""
    buckets = TeamBuckets(1, 0, FakeClock(), most_teams=3)
    assert [buckets.take(team) for team in (1, 2, 3, 1)] == [True, True, True, False]
    assert buckets.take(4), "2 is forgotten"
    assert [buckets.take(team) for team in (1, 3, 4)] == [False] * 3
    assert buckets.take(2), "a bucket that was forgotten is full again"
