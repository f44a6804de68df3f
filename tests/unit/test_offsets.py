from hypothesis import given
from hypothesis import strategies as st

from recording_worker.kafka.offsets import OffsetStore, Position


def test_goes_on_from_what_is_committed() -> None:
    store = OffsetStore()
    store.begin(0, committed=Position(7), start=0)
    assert store.newest(0).offset == 7
    assert store.pending() == {}


def test_a_first_start_is_committed_at_once() -> None:
    store = OffsetStore()
    store.begin(0, committed=None, start=40)
    assert store.newest(0).offset == 40
    assert store.pending() == {0: Position(40)}
    store.committed({0: Position(40)})
    assert store.pending() == {}


@given(st.lists(st.integers(0, 100)))
def test_offsets_never_move_backwards(reported: list[int]) -> None:
    store = OffsetStore()
    store.begin(0, committed=Position(10), start=0)
    newest = 10
    for offset in reported:
        store.advance(0, Position(offset))
        newest = max(newest, offset)
        assert store.pending() == ({0: Position(newest)} if newest > 10 else {})


def test_a_commit_that_failed_is_sent_again_with_newer_offsets() -> None:
    store = OffsetStore()
    store.begin(0, committed=Position(0), start=0)
    store.advance(0, Position(5))
    assert store.pending() == {0: Position(5)}
    store.advance(0, Position(8))
    assert store.pending() == {0: Position(8)}


def test_an_older_answer_leaves_newer_offsets_pending() -> None:
    store = OffsetStore()
    store.begin(0, committed=Position(0), start=0)
    store.advance(0, Position(5))
    sent = store.pending()
    store.advance(0, Position(8))
    store.committed(sent)
    assert store.pending() == {0: Position(8)}
    assert store.committed_offset(0) == 5


def test_handing_over_again_keeps_what_is_ahead_of_the_broker() -> None:
    store = OffsetStore()
    store.begin(0, committed=Position(3), start=0)
    store.advance(0, Position(9))
    store.begin(0, committed=Position(3), start=0)
    assert store.newest(0).offset == 9
    assert store.pending() == {0: Position(9)}


def test_partitions_of_others_are_forgotten() -> None:
    store = OffsetStore()
    store.begin(0, committed=Position(3), start=0)
    store.advance(0, Position(9))
    store.forget([0, 1])
    store.committed({0: Position(9)})
    assert store.pending() == {}
    assert store.committed_offset(0) is None
    store.begin(0, committed=Position(4), start=0)
    assert store.newest(0).offset == 4, "what another host committed counts"
