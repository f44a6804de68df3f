"""What the demo calls a pass: each message came out where it should, however often it was read."""

from collections import Counter

import pytest

from recording_worker.demo.outputs import Recorded
from recording_worker.demo.run import DemoResult
from recording_worker.demo.traffic import OK, Outcome
from recording_worker.outcome import Disposition, Reason

BLOCKED = Outcome(Disposition.DROP, Reason.SESSION_BLOCKED)
DLQ = Outcome(Disposition.DLQ, Reason.INVALID_JSON)


def result(came_out: Counter[Outcome], *, read_again: int = 0, events: int = 6) -> DemoResult:
    produced = Counter({OK: 3, BLOCKED: 2, DLQ: 1})
    recorded = Recorded(messages={("topic/0", offset): 2 for offset in range(came_out[OK])})
    return DemoResult(produced, came_out, events, recorded, read_again, value_bytes=1, seconds=1.0)


@pytest.mark.parametrize(
    ("ok", "blocked", "dlq", "read_again", "adds_up"),
    [
        pytest.param(3, 2, 1, 0, True, id="all as produced"),
        pytest.param(3, 2, 1, 4, True, id="recorded messages were read again"),
        pytest.param(3, 3, 2, 2, True, id="others were read again"),
        pytest.param(3, 3, 2, 1, False, id="more than were read again"),
        pytest.param(3, 3, 1, 0, False, id="one too many"),
        pytest.param(3, 1, 1, 0, False, id="one is missing"),
        pytest.param(3, 1, 2, 5, False, id="one is missing, and others were read again"),
        pytest.param(2, 2, 1, 5, False, id="a recorded one is missing"),
        pytest.param(4, 2, 1, 5, False, id="one was recorded that should not be"),
    ],
)
def test_each_message_comes_out_once_for_each_time_it_was_read(
    ok: int, blocked: int, dlq: int, read_again: int, adds_up: bool
) -> None:
    came_out = Counter({OK: ok, BLOCKED: blocked, DLQ: dlq})
    assert result(came_out, read_again=read_again, events=2 * ok).adds_up is adds_up


def test_events_that_are_missing() -> None:
    came_out = Counter({OK: 3, BLOCKED: 2, DLQ: 1})
    assert not result(came_out, read_again=3, events=7).adds_up
