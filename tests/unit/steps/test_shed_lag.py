import pytest

from recording_worker.messages import Message
from recording_worker.outcome import Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.shed_lag import ShedLag
from tests.builders import NOW_MS, FakeClock, batch, headers, message

SESSIONS = [f"session-{number}" for number in range(1_000)]


def old(session_id: str | None, age_ms: int = 3_600_000, offset: int = 0, key: bytes | None = None) -> Message:
    return message(offset, headers=headers(session_id=session_id), timestamp_ms=NOW_MS - age_ms, key=key)


def shed(rows: MessageBatch, share: float = 1.0) -> list[int]:
    ParseHeaders().run(rows)
    ShedLag(60.0, share, FakeClock()).run(rows)
    ended = [row for row in range(len(rows)) if rows.dispositions[row]]
    assert all(rows.reasons[row] == Reason.LAG_SHED for row in ended)
    return ended


def test_only_messages_older_than_the_limit_are_redirected() -> None:
    assert shed(batch(old("a", 60_001), old("a", 60_000), old("a", 0), old("a", -5_000))) == [0]


def test_a_message_without_a_timestamp_stays() -> None:
    assert shed(batch(message(timestamp_ms=-1), message(timestamp_ms=0), old("a"))) == [1, 2]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_of_all_sessions_is_shed_the_same_for_every_worker(share: float) -> None:
    chosen = shed(batch(*(old(session_id) for session_id in SESSIONS)), share)
    assert abs(len(chosen) / len(SESSIONS) - share) < 0.05
    twice = shed(batch(*(old(session_id) for session_id in SESSIONS for _ in range(2))), share)
    assert twice == [row for first in chosen for row in (2 * first, 2 * first + 1)]


def test_a_greater_share_holds_the_sessions_of_a_smaller_one() -> None:
    few, many = (set(shed(batch(*(old(session_id) for session_id in SESSIONS)), share)) for share in (0.2, 0.4))
    assert few < many


def test_without_a_session_header_the_key_counts() -> None:
    by_header = shed(batch(*(old(session_id) for session_id in SESSIONS)), 0.5)
    assert shed(batch(*(old(None, key=session_id.encode()) for session_id in SESSIONS)), 0.5) == by_header
    assert shed(batch(old(None, key=None)), 1.0) == [0]


def test_a_message_whose_time_jumps_has_no_effect_on_the_others() -> None:
    """One may be from the future, another from long ago: each message is judged by its own time."""
    jumps = [old("a", -3 * 3_600_000), old("a", 0), old("a", 50 * 365 * 86_400_000), old("a", 0), old("a", 60_001)]
    assert shed(batch(*jumps)) == [2, 4]
