import sys

from recording_worker.messages import Message
from recording_worker.outcome import Reason
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.redirect_hot_sessions import HotSessions, RedirectHotSessions
from tests.builders import NOW_MS, batch, headers, message

SECOND = 1_000
MINUTE = 60 * SECOND


def sent(offset: int, size: int, at_ms: int = NOW_MS, partition: int = 0, **given: str | None) -> Message:
    return message(offset, partition, value=b"x" * size, headers=headers(**given), timestamp_ms=at_ms)


def redirected(step: RedirectHotSessions, *messages: Message) -> list[int]:
    """The offsets of those that were."""
    rows = batch(*messages)
    ParseHeaders().run(rows)
    step.run(rows)
    ended = [row for row in range(len(rows)) if rows.dispositions[row]]
    assert all(rows.reasons[row] == Reason.OVERFLOW_HOT_SESSION for row in ended)
    return [rows.offsets[row] for row in ended]


def test_a_session_that_sends_more_than_the_limit_in_a_minute_is_redirected() -> None:
    step = RedirectHotSessions(100)
    assert redirected(step, sent(0, 60), sent(1, 40), sent(2, 1), sent(3, 0)) == [2, 3]
    assert redirected(step, sent(4, 1, NOW_MS + 59 * SECOND)) == [4]


def test_other_sessions_and_the_same_id_of_another_team_stay() -> None:
    step = RedirectHotSessions(100)
    others = [sent(1, 100, session_id="other"), sent(2, 100, token="other"), sent(3, 1)]
    assert redirected(step, sent(0, 101), *others) == [0, 3]


def test_a_session_that_stays_at_the_limit_is_not_redirected() -> None:
    step = RedirectHotSessions(100)
    assert redirected(step, *(sent(n, 10, NOW_MS + n * 6 * SECOND) for n in range(200))) == []


def test_a_hot_session_is_back_after_a_minute_that_stayed_below_the_limit() -> None:
    step = RedirectHotSessions(100)
    assert redirected(step, sent(0, 101)) == [0]
    # the next minute counts from zero, but the session stays hot in it
    assert redirected(step, sent(1, 50, NOW_MS + MINUTE)) == [1]
    assert redirected(step, sent(2, 50, NOW_MS + 2 * MINUTE)) == []
    # and so is one that was silent for a minute
    assert redirected(step, sent(3, 101, NOW_MS + 3 * MINUTE), sent(4, 1, NOW_MS + 5 * MINUTE)) == [3]


def test_a_message_that_comes_again_is_counted_once() -> None:
    step = RedirectHotSessions(100)
    assert redirected(step, sent(0, 60), sent(1, 30)) == []
    assert redirected(step, sent(0, 60), sent(1, 30), sent(2, 10)) == []
    assert redirected(step, sent(0, 60, partition=1)) == [0]


def test_a_forgotten_partition_is_counted_from_its_next_offset() -> None:
    step = RedirectHotSessions(100)
    assert redirected(step, sent(5, 40), sent(5, 20, partition=1)) == []
    step.forget([0, 7])
    assert redirected(step, sent(5, 20, partition=1), sent(3, 40)) == [], "partition 1 is counted from 6 on"
    assert redirected(step, sent(4, 1)) == [4]


def test_messages_without_a_session_header_or_a_timestamp_pass() -> None:
    step = RedirectHotSessions(100)
    assert redirected(step, sent(0, 1_000, session_id=None), sent(1, 1_000, -1)) == []


def test_messages_with_an_old_timestamp_count_for_the_current_minute() -> None:
    step = RedirectHotSessions(100)
    assert redirected(step, sent(0, 60, NOW_MS), sent(1, 60, NOW_MS - 10 * MINUTE)) == [1]


def test_memory_is_limited_and_a_hot_session_is_not_forgotten() -> None:
    sessions = HotSessions(100, capacity=10)
    assert sessions.is_hot(-1, 101, NOW_MS)
    for other in range(1_000):
        assert not sessions.is_hot(other, 100, NOW_MS)
        assert sessions.is_hot(-1, 0, NOW_MS)
    assert len(sessions._minutes) == 10
    full = HotSessions(100)
    for other in range(60_000):
        full.is_hot(hash(other), 1, NOW_MS)
    one = next(iter(full._minutes._entries.values()))
    assert len(full._minutes) == 50_000
    assert sys.getsizeof(one) < 100


def test_a_message_from_the_future_or_the_past_makes_no_session_hot() -> None:
    """The minute in which it lies would otherwise last until the times of the others get there."""
    for hours in (3, -3, 24 * 365 * 50):
        step = RedirectHotSessions(100)
        assert redirected(step, sent(0, 9, NOW_MS + hours * 60 * MINUTE)) == []
        assert redirected(step, *(sent(n, 9, NOW_MS + n * 6 * SECOND) for n in range(1, 100))) == []


def test_a_session_is_hot_though_its_times_are_out_of_order() -> None:
    step = RedirectHotSessions(100)
    times = [NOW_MS + seconds * SECOND for seconds in (30, 0, 59, 10, 50)]
    assert redirected(step, *(sent(n, 40, at) for n, at in enumerate(times))) == [2, 3, 4]


def test_a_hot_session_whose_times_go_back_is_hot_for_that_minute_only() -> None:
    step = RedirectHotSessions(100)
    back = NOW_MS - 60 * MINUTE
    assert redirected(step, sent(0, 101), sent(1, 50, back)) == [0, 1]
    assert redirected(step, sent(2, 50, back + MINUTE), sent(3, 50, back + 2 * MINUTE)) == [2]
