"""Hot sessions and lag mode: time per message, with known sessions, with new sessions, and with old messages."""

import itertools
import time
from typing import Any

import pytest

from benchmarks.conftest import note_per_message
from recording_worker.clock import SystemClock
from recording_worker.messages import Message, MessageColumns
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.redirect_hot_sessions import RedirectHotSessions
from recording_worker.pipeline.steps.shed_lag import ShedLag

MESSAGES = 500
"""In a poll."""
SESSIONS = 5_000
_OFFSETS = itertools.count()


def poll(sessions: int, age_seconds: float) -> MessageBatch:
    """Return a poll of 1,000-byte messages, whose sessions alternate among `sessions`."""
    at_ms = round((time.time() - age_seconds) * 1000)
    messages = []
    for offset in itertools.islice(_OFFSETS, MESSAGES):
        headers = [("token", b"phc_token"), ("session_id", f"01a209dd-00b1-7b9c-b182-{offset % sessions:012}".encode())]
        messages.append(Message(0, offset, at_ms, None, bytes(1_000), headers))
    batch = MessageBatch("topic", MessageColumns.of(messages))
    ParseHeaders().run(batch)
    return batch


@pytest.mark.parametrize(
    ("step", "sessions", "age_seconds", "redirected"),
    [
        pytest.param(RedirectHotSessions(1 << 40), SESSIONS, 0, 0, id="hot sessions, known"),
        pytest.param(RedirectHotSessions(1 << 40), 10**12, 0, 0, id="hot sessions, each new"),
        pytest.param(ShedLag(600.0, 0.5, SystemClock()), SESSIONS, 0, 0, id="lag, none old"),
        pytest.param(ShedLag(600.0, 0.5, SystemClock()), SESSIONS, 3600, 0.5, id="lag, all old, half shed"),
    ],
)
def test_relief(benchmark: Any, step: Step, sessions: int, age_seconds: float, redirected: float) -> None:
    """Run a step over a poll. `redirected` is the share of the messages that it sends elsewhere."""

    def run(batch: MessageBatch) -> MessageBatch:
        step.run(batch)
        return batch

    batch: MessageBatch = benchmark.pedantic(
        run, setup=lambda: ((poll(sessions, age_seconds),), {}), rounds=200, warmup_rounds=SESSIONS // MESSAGES
    )
    assert sum(map(bool, batch.dispositions)) == pytest.approx(redirected * MESSAGES, abs=0.1 * MESSAGES)
    note_per_message(benchmark, MESSAGES)
