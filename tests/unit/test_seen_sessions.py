"""Stored sessions are marked for PostHog's consumer."""

import redis

from recording_worker.lookups.seen_sessions import SeenSessions
from recording_worker.metrics import Metrics
from tests.builders import KEYS, counted
from tests.unit.steps.scripted_redis import ScriptedRedis

REFUSED = redis.ResponseError("OOM")


def test_each_session_is_marked_once_as_posthog_marks_it() -> None:
    link, metrics = ScriptedRedis([True, True], [True]), Metrics()
    seen = SeenSessions(link, KEYS, metrics)
    seen.mark([(1, "a"), (2, "a"), (1, "a")])
    seen.mark([(2, "a"), (1, "b")])
    seen.mark([(1, "b")])
    key = "@posthog/replay/session-seen:"
    assert link.asked == [
        [("SET", f"{key}1:a", 1, "EX", 172_800), ("SET", f"{key}2:a", 1, "EX", 172_800)],
        [("SET", f"{key}1:b", 1, "EX", 172_800)],
    ]
    assert counted(metrics, "sessions_unmarked_total") == 0


def test_what_redis_does_not_take_is_counted_and_marked_with_the_next_part() -> None:
    link, metrics = ScriptedRedis(None, [True, REFUSED], [True]), Metrics()
    seen = SeenSessions(link, KEYS, metrics)
    for _ in range(3):
        seen.mark([(1, "a"), (1, "b")])
    assert [len(commands) for commands in link.asked] == [2, 2, 1]
    assert counted(metrics, "sessions_unmarked_total") == 3


def test_many_sessions_are_marked_a_thousand_at_a_time() -> None:
    link = ScriptedRedis([True] * 1000, [True] * 1000, [True])
    SeenSessions(link, KEYS, Metrics()).mark((1, str(number)) for number in range(2001))
    assert [len(commands) for commands in link.asked] == [1000, 1000, 1]


def test_session_ids_that_are_too_long_are_not_marked() -> None:
    link = ScriptedRedis([True])
    SeenSessions(link, KEYS, Metrics()).mark([(1, "x" * 257), (1, "x" * 256)])
    assert [command[1] for command in link.asked[0]] == ["@posthog/replay/session-seen:1:" + "x" * 256]
