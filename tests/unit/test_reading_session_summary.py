import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.batch_file import BlockEntry
from recording_worker.reading.session_summary import SessionSummary, summarize_sessions
from tests.builders import NOW_MS


def entry(messages: dict[int, int], first: float = 0, last: float = 0, **given: Any) -> BlockEntry:
    """A block of one-byte lines: events by offset, from `first` to `last` ms after NOW_MS."""
    fields: dict[str, Any] = {
        "team_id": 1,
        "session_id": "session-1",
        "distinct_id": "user-1",
        "source": "recordings/0",
        "partition": 0,
        "first_offset": min(messages, default=0),
        "last_offset": max(messages, default=0),
        "messages": list(messages.items()),
        "events": sum(messages.values()),
        "first_timestamp": float(NOW_MS + first),
        "last_timestamp": float(NOW_MS + last),
        "has_full_snapshot": given.get("first_full_snapshot_timestamp") is not None,
        "size": sum(messages.values()),
        "out_of_order_count": 0,
        "gap_count": 0,
    }
    return BlockEntry(**fields | given)


def only(*entries: BlockEntry) -> SessionSummary:
    (session,) = summarize_sessions(entries)
    return session


def test_a_session_is_put_together_over_its_blocks() -> None:
    session = only(
        entry({7: 2, 9: 1}, 500, 900, distinct_id="later", out_of_order_count=2, gap_count=1),
        entry({3: 4}, 100, 400, distinct_id="first", out_of_order_count=1),
        entry({3: 1}, 950, 1000, source="recordings/1"),
    )
    assert (session.team_id, session.session_id, session.distinct_id) == (1, "session-1", "first")
    assert (session.blocks, session.messages, session.events, session.size) == (3, 4, 8, 8)
    assert (session.first_timestamp, session.last_timestamp) == (NOW_MS + 100, NOW_MS + 1000)
    assert session.duration_ms == 900
    assert (session.out_of_order_count, session.gap_count) == (3, 1)


def test_sessions_differ_by_team_and_id() -> None:
    found = summarize_sessions([entry({1: 1}), entry({2: 1}, team_id=2), entry({3: 1}, session_id="a"), entry({4: 1})])
    assert [(session.team_id, session.session_id, session.events) for session in found] == [
        (1, "a", 1),
        (1, "session-1", 2),
        (2, "session-1", 1),
    ]


def test_a_message_counts_once() -> None:
    session = only(entry({1: 2, 2: 3}), entry({1: 2, 2: 3}, gap_count=4), entry({2: 3, 3: 7}, size=100))
    assert (session.blocks, session.messages, session.events) == (2, 3, 12)
    assert session.size == 5 + 70  # seven of ten events
    assert session.gap_count == 0


messages = st.dictionaries(st.integers(0, 30), st.integers(1, 3), min_size=1, max_size=6)


@given(st.lists(st.tuples(messages, st.sampled_from("ab")), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_in_any_order_each_message_counts_once(blocks: list[tuple[dict[int, int], str]], chance: random.Random) -> None:
    """An offset is one message: it has the same events in every file."""
    events = {(source, offset): 1 + offset % 3 for messages, source in blocks for offset in messages}
    entries = [
        entry({offset: events[source, offset] for offset in messages}, source=source) for messages, source in blocks
    ]
    chance.shuffle(entries)
    session = only(*entries)
    assert (session.messages, session.events) == (len(events), sum(events.values()))


@pytest.mark.parametrize(
    ("spans", "gaps"),
    [
        ([(0, 100)], 0),
        ([(0, 100), (10_100, 20_000)], 0),
        ([(0, 100), (10_101, 20_000)], 1),
        ([(30_000, 40_000), (0, 100), (15_000, 16_000)], 2),
        ([(0, 50_000), (100, 200), (30_000, 30_001)], 0),
        ([(0, 50_000), (100, 200), (60_001, 60_001)], 1),
    ],
    ids=str,
)
def test_gaps_between_blocks_count_too(spans: list[tuple[int, int]], gaps: int) -> None:
    entries = [entry({offset: 1}, *span) for offset, span in enumerate(spans)]
    assert only(*entries).gap_count == gaps
    assert only(entry({99: 1}, gap_count=3), *entries).gap_count == gaps + 3


def test_playable_from_the_earliest_full_snapshot() -> None:
    without = entry({1: 1})
    session = only(without)
    assert (session.has_full_snapshot, session.first_full_snapshot_timestamp) == (False, None)
    late, early = (
        entry({offset: 1}, first_full_snapshot_timestamp=float(NOW_MS + offset), first_full_snapshot_position=0)
        for offset in (9, 5)
    )
    session = only(without, late, early)
    assert (session.has_full_snapshot, session.first_full_snapshot_timestamp) == (True, NOW_MS + 5)


def test_what_older_files_do_not_say_is_unknown() -> None:
    old = entry({1: 1}, has_full_snapshot=True, out_of_order_count=None, gap_count=None)
    for session in (only(old, entry({2: 1}, gap_count=2)), only(entry({2: 1}, gap_count=2), old)):
        assert session.has_full_snapshot
        assert (session.first_full_snapshot_timestamp, session.out_of_order_count, session.gap_count) == (None,) * 3


def test_a_block_without_messages_makes_no_session() -> None:
    assert summarize_sessions([entry({})]) == []
    assert [session.session_id for session in summarize_sessions([entry({}), entry({1: 1})])] == ["session-1"]
