from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.accounts import Account
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.halt_on_dlq import DlqLimits, HaltOnDlq
from recording_worker.pipeline.steps.handle_results import HandleResults
from recording_worker.pipeline.steps.obtain_batch import ObtainBatch
from recording_worker.recording.session_batch import SessionBatchManager, SessionLimits
from tests.builders import FakeClock, batch, message

OK, DLQ, DROP = "ok", "dlq", "drop"
WANTED = {
    "restricted": (Disposition.DLQ, Reason.REDIRECTED_BY_RESTRICTION),
    "dropped": (Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION),
    "forced": (Disposition.REDIRECT, Reason.OVERFLOW_FORCED),
    "hot": (Disposition.REDIRECT, Reason.OVERFLOW_HOT_SESSION),
    "shed": (Disposition.REDIRECT, Reason.LAG_SHED),
}
"""What operators want: none of it says that messages can't be read."""
ENDS = {
    DLQ: (Disposition.DLQ, Reason.INVALID_JSON),
    DROP: (Disposition.DROP, Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE),
    "crashed": (Disposition.DLQ, Reason.WORKER_CRASHED),
    **WANTED,
}


def rows_of(ends: Sequence[str], partition: int = 0, offset: int = 0) -> MessageBatch:
    rows = batch(*(message(offset + number, partition) for number in range(len(ends))))
    for row, end in enumerate(ends):
        if end != OK:
            rows.end(row, *ENDS[end], "a_step", "an error")
    return rows


def limits(consecutive: int | None = None, ratio: float | None = None, window: int = 10) -> DlqLimits:
    return DlqLimits(consecutive=consecutive, ratio=ratio, window=window)


def polled(watched: DlqLimits, ends: Sequence[str], poll: int) -> int | None:
    """At which message a limit is passed, if these come in polls of this size."""
    for start in range(0, len(ends), poll):
        found = watched.passed(rows_of(ends[start : start + poll]))
        if found:
            return start + found[0][1]
    return None


@given(
    st.lists(st.sampled_from([OK, DLQ, DROP, "crashed", *WANTED]), max_size=60),
    st.integers(1, 6),
    st.sampled_from([0.2, 0.5, 0.75]),
    st.integers(1, 12),
    st.integers(1, 20),
)
def test_the_limits_equal_a_plain_count_for_polls_of_any_size(
    ends: list[str], consecutive: int, ratio: float, window: int, poll: int
) -> None:
    in_a_row = share = None
    read: list[bool] = []
    for at, end in enumerate(ends):
        if end in WANTED:
            continue
        read.append(end in (DLQ, "crashed"))
        if in_a_row is None and len(read) >= consecutive and all(read[-consecutive:]):
            in_a_row = at
        if share is None and len(read) >= window and sum(read[-window:]) > ratio * window:
            share = at
    assert polled(limits(consecutive=consecutive), ends, poll) == in_a_row
    assert polled(limits(ratio=ratio, window=window), ends, poll) == share
    both = [at for at in (in_a_row, share) if at is not None]
    assert polled(limits(consecutive, ratio, window), ends, poll) == min(both, default=None)
    assert polled(limits(), ends, poll) is None


def test_each_partition_is_counted_by_itself() -> None:
    watched = limits(consecutive=3)
    rows = batch(*(message(number // 2, number % 2) for number in range(8)))
    for row in range(0, 8, 2):
        rows.end(row, *ENDS[DLQ], "a_step", "an error")
    assert watched.passed(rows).keys() == {0}


def test_a_forgotten_partition_is_counted_from_zero() -> None:
    watched = limits(consecutive=3)
    assert watched.passed(rows_of([DLQ, DLQ])) == {}
    watched.forget([0, 7])
    assert watched.passed(rows_of([DLQ, DLQ])) == {}
    assert watched.passed(rows_of([DLQ])).keys() == {0}


def test_a_message_that_leaves_the_window_counts_no_longer() -> None:
    watched = limits(ratio=0.5, window=4)
    ends = [DLQ, DLQ, OK, OK, OK, OK, DLQ, DLQ, OK, OK]
    assert polled(watched, ends, poll=1) is None, "never more than 2 of 4"
    assert polled(watched, [DLQ, DLQ, DLQ], poll=1) == 2


@pytest.mark.parametrize("limit", ["consecutive", "ratio"])
def test_no_message_of_a_halted_partition_counts_and_all_others_do(limit: str) -> None:
    manager = SessionBatchManager("recordings", FakeClock(), 1 << 30, 10.0, SessionLimits())
    manager.current.partition(0).advance(0, 4)
    manager.current.partition(1).advance(20, 24)
    watched = limits(consecutive=3) if limit == "consecutive" else limits(ratio=0.5, window=4)
    metrics = Metrics()
    rows = batch(*(message(offset, 0) for offset in range(4, 9)), message(24, 1), message(25, 1))
    for row in (1, 2, 3, 5):
        rows.end(row, *ENDS[DLQ], "a_step", "an error")
    HaltOnDlq(watched, manager, metrics).run(rows)
    assert metrics.dlq_halts.labels(limit)._value.get() == 1
    assert list(rows.dispositions[:5]) == [Disposition.HELD] * 5
    assert list(rows.dispositions[5:]) == [Disposition.DLQ, Disposition.OK]

    why = {"consecutive": "3 messages in a row", "ratio": "3 of the last 4 messages"}[limit]
    assert rows.halts == {
        0: f"partition 0 halted at offset 7: {why} are for the DLQ (dlq_halt_{limit}); the last one for invalid_json,"
        " by a_step: an error. Nothing from the committed offset on counts"
    }
    ObtainBatch(manager).run(rows)
    HandleResults("dlq", "overflow", "backfill", FakeClock(), metrics).run(rows)
    manager.current.take(rows.records, rows.advances())
    assert [partition for partition, _ in rows.records] == [1]
    assert manager.current.offsets == {1: 26}
    assert manager.current.accounts()[1] == Account(20, 26, recorded=1, dlq=1)


def test_the_last_message_of_a_window_may_be_good() -> None:
    rows = rows_of([DLQ, DLQ, OK])
    manager = SessionBatchManager("recordings", FakeClock(), 1, 1.0, SessionLimits())
    HaltOnDlq(limits(ratio=0.5, window=3), manager, Metrics()).run(rows)
    assert rows.halts == {
        0: "partition 0 halted at offset 2: 2 of the last 3 messages are for the DLQ (dlq_halt_ratio)."
        " Nothing from the committed offset on counts"
    }


@pytest.mark.parametrize(("consecutive", "ratio", "are_set"), [(None, None, False), (3, None, True), (None, 0.5, True)])
def test_limits_are_set_if_one_is(consecutive: int | None, ratio: float | None, are_set: bool) -> None:
    assert DlqLimits(consecutive=consecutive, ratio=ratio, window=10).are_set is are_set
