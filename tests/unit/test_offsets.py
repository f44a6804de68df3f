from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.accounts import Account, Committed
from recording_worker.kafka.offsets import OffsetStore, Position, position_of, topic_partitions


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


@given(st.lists(st.integers(0, 100)))
def test_committed_offsets_never_move_backwards(answers: list[int]) -> None:
    store = OffsetStore()
    store.begin(0, committed=Position(10), start=0)
    newest = 10
    for offset in answers:
        store.committed({0: Position(offset)})
        newest = max(newest, offset)
        assert store.committed_offset(0) == newest
        assert store.newest(0).offset == newest
        assert store.pending() == {}


def test_of_equal_offsets_the_account_that_came_first_counts() -> None:
    """The answer to a commit may come without its metadata, and a late one with an older account."""
    store = OffsetStore()
    store.begin(0, committed=Position(0), start=0)
    first = Position(5, Account(0, 5, dropped=5))
    store.advance(0, first)
    store.advance(0, Position(5))
    store.committed({0: Position(5)})
    assert store.newest(0) == first


def test_an_account_is_the_metadata_of_its_offset() -> None:
    account = Account(3, 7, recorded=2, dlq=2)
    first, second = topic_partitions("recordings", {0: Position(7, account, "id"), 4: Position(9)})
    text = Committed("id", account).to_text()
    assert (first.topic, first.partition, first.offset, first.metadata) == ("recordings", 0, 7, text)
    assert (second.topic, second.partition, second.offset, second.metadata or "") == ("recordings", 4, 9, "")
    assert position_of(first) == Position(7, account, "id")
    assert position_of(second) == Position(9)


def test_handing_over_again_keeps_what_is_ahead_of_the_broker() -> None:
    store = OffsetStore()
    store.begin(0, committed=Position(3), start=0)
    store.advance(0, Position(9))
    store.begin(0, committed=Position(3), start=0)
    assert store.newest(0).offset == 9
    assert store.pending() == {0: Position(9)}


def test_offsets_of_a_topic_created_again_may_be_smaller() -> None:
    store = OffsetStore()
    store.begin(0, Position(9, None, "old"), 0, "old")
    store.begin(0, None, 2, "new")
    assert store.newest(0) == Position(2, None, "new")
    store.advance(0, Position(12, None, "old"))
    store.committed({0: Position(12, None, "old")})
    assert store.pending() == {0: Position(2, None, "new")}, "what comes late of the old topic does not count"
    store.committed({0: Position(2)})
    assert store.pending() == {}


def test_an_offset_without_an_id_is_of_the_topic_that_is_there() -> None:
    store = OffsetStore()
    store.begin(0, Position(9), 0, "new")
    assert store.newest(0) == Position(9, None, "new")


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
