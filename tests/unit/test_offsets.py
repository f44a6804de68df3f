from hypothesis import given
from hypothesis import strategies as st

from recording_worker.kafka.offsets import OffsetStore


def test_goes_on_from_what_is_committed() -> None:
    store = OffsetStore()
    assert store.begin(0, committed=7, start=0) == 7
    assert store.pending() == {}


def test_a_first_start_is_committed_at_once() -> None:
    store = OffsetStore()
    assert store.begin(0, committed=None, start=40) == 40
    assert store.pending() == {0: 40}
    store.committed({0: 40})
    assert store.pending() == {}


@given(st.lists(st.integers(0, 100)))
def test_offsets_never_move_backwards(reported: list[int]) -> None:
    store = OffsetStore()
    store.begin(0, committed=10, start=0)
    newest = 10
    for offset in reported:
        store.advance(0, offset)
        newest = max(newest, offset)
        assert store.pending() == ({0: newest} if newest > 10 else {})


def test_a_commit_that_failed_is_sent_again_with_newer_offsets() -> None:
    store = OffsetStore()
    store.begin(0, committed=0, start=0)
    store.advance(0, 5)
    assert store.pending() == {0: 5}
    store.advance(0, 8)
    assert store.pending() == {0: 8}


def test_an_older_answer_leaves_newer_offsets_pending() -> None:
    store = OffsetStore()
    store.begin(0, committed=0, start=0)
    store.advance(0, 5)
    sent = store.pending()
    store.advance(0, 8)
    store.committed(sent)
    assert store.pending() == {0: 8}
    assert store.committed_offset(0) == 5


def test_handing_over_again_keeps_what_is_ahead_of_the_broker() -> None:
    store = OffsetStore()
    store.begin(0, committed=3, start=0)
    store.advance(0, 9)
    assert store.begin(0, committed=3, start=0) == 9
    assert store.pending() == {0: 9}


def test_partitions_of_others_are_forgotten() -> None:
    store = OffsetStore()
    store.begin(0, committed=3, start=0)
    store.advance(0, 9)
    store.forget([0, 1])
    store.committed({0: 9})
    assert store.pending() == {}
    assert store.committed_offset(0) is None
    assert store.begin(0, committed=4, start=0) == 4, "what another host committed counts"
