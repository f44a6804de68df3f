import pytest

from recording_worker.errors import FlushError
from recording_worker.formats.accounts import Account
from recording_worker.kafka.consumer import OffsetGap, PartitionFault, PartitionState
from recording_worker.processes.control import (
    Discard,
    Membership,
    PartitionStopped,
    Placement,
    Progress,
    Released,
    Revoke,
    Stop,
    ToWorker,
)
from recording_worker.recording.session_batch import FlushReason
from tests.builders import event, value
from tests.unit.worker_bench import Bench, assigned, message


def test_reads_what_it_was_given_and_runs_the_pipeline(bench: Bench) -> None:
    bench.comes(message(7), message(8))
    bench.turn(assigned(0, offset=7))
    assert bench.consumer.assigned == {0: 7}
    assert bench.pipeline.runs == [[7, 8]]
    bench.turn()
    assert bench.pipeline.runs[-1] == [], "an empty batch, so that a session batch is flushed by its age"


@pytest.mark.parametrize("bench", [{"cut_after": 2}], indirect=True)
def test_messages_that_were_cut_off_come_first_in_the_next_batch(bench: Bench) -> None:
    bench.comes(*(message(offset) for offset in range(3)))
    bench.turn(assigned(0))
    bench.comes(message(3))
    polls = bench.consumer.polls
    bench.turn()
    assert bench.consumer.polls == polls, "no poll while there is a rest"
    bench.turn()
    assert bench.pipeline.runs == [[0, 1], [2], [3]]


def test_a_full_batch_behind_a_flush_stops_the_polling_but_not_the_orders(bench: Bench) -> None:
    bench.turn(assigned(0, 1))
    bench.flusher.takes_waits = 3
    bench.comes(*(message(offset) for offset in range(5)))
    bench.turn()
    assert bench.flusher.busy, "the first batch is on its way"
    bench.comes(*(message(offset) for offset in range(5, 11)))
    bench.turn()
    polls = bench.consumer.polls
    bench.comes(message(11))
    bench.turn()
    bench.turn(assigned(2, epoch=2))
    assert bench.consumer.polls == polls
    assert bench.consumer.assigned.keys() == {0, 1, 2}
    bench.turn()
    assert [held for held, _ in bench.flusher.flushed] == [{0: [0, 1, 2, 3, 4]}, {0: [5, 6, 7, 8, 9, 10]}]
    assert bench.consumer.polls == polls, "the full batch went first"
    bench.turn()
    assert bench.pipeline.runs[-1] == [11]


@pytest.mark.parametrize("bench", [{"cut_after": 5}], indirect=True)
def test_the_rest_of_a_cut_batch_waits_while_the_session_batch_is_full(bench: Bench) -> None:
    bench.turn(assigned(0))
    bench.flusher.takes_waits = 3
    bench.comes(*(message(offset) for offset in range(12)))
    for _ in range(8):
        bench.turn()
    assert [run for run in bench.pipeline.runs if run] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


@pytest.mark.parametrize("bench", [{"large_bytes": 100_000}], indirect=True)
def test_a_large_message_waits_until_no_session_batch_is_held(bench: Bench) -> None:
    bench.turn(assigned(0))
    large = message(2, value=value([event(text="x" * 300_000)]))
    bench.comes(message(0), message(1), large, message(3), large._replace(offset=4))
    bench.turn()
    assert bench.pipeline.runs[-1] == [0, 1]
    assert not bench.flusher.flushed
    bench.turn()
    assert bench.flusher.flushed == [({0: [0, 1]}, FlushReason.MEMORY)]
    polls, bench.flusher.takes_waits = bench.consumer.polls, 3
    while bench.flusher.busy:
        bench.turn()
    assert bench.pipeline.runs[-1] == [0, 1], "it waits for the flush, too"
    while bench.pipeline.runs[-1] != [4]:
        bench.turn()
    assert bench.pipeline.runs[-2:] == [[2, 3], [4]]
    assert bench.consumer.polls == polls
    assert bench.flusher.flushed[1:] == [({0: [2, 3]}, FlushReason.SIZE), ({0: [4]}, FlushReason.SIZE)]


@pytest.mark.parametrize("bench", [{"held_bytes": 1}], indirect=True)
def test_nothing_is_read_while_session_batches_take_too_much_memory(bench: Bench) -> None:
    bench.turn(assigned(0))
    bench.comes(message(0), message(1))
    bench.turn()
    polls = bench.consumer.polls
    bench.comes(message(2))
    bench.turn()
    assert bench.flusher.flushed == [({0: [0, 1]}, FlushReason.MEMORY)]
    bench.flusher.takes_waits = 3
    while bench.flusher.busy:
        bench.turn()
    assert bench.consumer.polls == polls
    bench.turn()
    assert bench.pipeline.runs[-1] == [2], "what the decoder keeps for itself does not count"


@pytest.mark.parametrize("bench", [{"held_bytes": 4 << 20}], indirect=True)
def test_what_a_flush_in_flight_holds_counts_too(bench: Bench) -> None:
    bench.turn(assigned(0))
    bench.flusher.busy, bench.flusher.raw_bytes, bench.flusher.takes_waits = True, 4 << 20, 3
    polls = bench.consumer.polls
    while bench.flusher.busy:
        bench.turn()
    assert bench.consumer.polls == polls
    bench.turn()
    assert bench.consumer.polls == polls + 1


@pytest.mark.parametrize("bench", [{"cut_after": 2}], indirect=True)
def test_revoked_partitions_are_flushed_then_released(bench: Bench) -> None:
    bench.comes(message(0), message(0, partition=1), message(1))
    bench.turn(assigned(0, 1))
    bench.flusher.takes_waits = 3
    said = bench.turn(Revoke((0,)))
    assert bench.flusher.flushed == [({0: [0], 1: [0]}, FlushReason.REVOKE)]
    assert not bench.flusher.busy, "the flush is over before the partition is released"
    assert said == [Released((Placement(0, 1, 0),))]
    assert bench.consumer.assigned.keys() == {1}
    assert [1] not in bench.pipeline.runs, "the rest of a revoked partition is another's to read"
    assert bench.assignment.placements([0, 1]) == (Placement(1, 1, 0),)


def test_revoking_a_partition_for_which_nothing_is_held_flushes_nothing(bench: Bench) -> None:
    bench.comes(message(0))
    bench.turn(assigned(0, 1))
    assert bench.turn(Revoke((1,))) == [Released((Placement(1, 1, 0),))]
    assert bench.flusher.flushed == []


def test_partitions_are_released_after_the_flush_in_flight(bench: Bench) -> None:
    bench.comes(*(message(offset) for offset in range(5)))
    bench.turn(assigned(0))
    assert bench.flusher.busy
    bench.flusher.takes_waits = 2
    assert bench.turn(Revoke((0,))) == [Released((Placement(0, 1, 0),))]
    assert not bench.flusher.busy


def test_a_session_batch_that_filled_during_a_flush_is_flushed_after_it(bench: Bench) -> None:
    bench.flusher.takes_waits = 3
    bench.comes(*(message(offset) for offset in range(5)))
    bench.turn(assigned(0))
    bench.comes(message(5))
    bench.turn()
    assert bench.flusher.busy
    assert bench.manager.current.offsets == {0: 6}
    assert bench.turn(Revoke((0,))) == [Released((Placement(0, 1, 0),))]
    assert [held for held, _ in bench.flusher.flushed] == [{0: [0, 1, 2, 3, 4]}, {0: [5]}]


def test_lost_partitions_are_discarded(bench: Bench) -> None:
    bench.comes(message(0), message(0, partition=1))
    bench.turn(assigned(0, 1))
    assert bench.turn(Discard((0,))) == []
    assert bench.take_held() == {1: [0]}
    assert bench.flusher.flushed == []
    assert bench.assignment.placements([0, 1]) == (Placement(1, 1, 0),)
    assert bench.metrics.sessions_revoked._value.get() == 1
    bench.comes(message(1, partition=1))
    bench.turn()
    assert bench.metrics.sessions_revoked._value.get() == 0, "recording goes on"


def test_a_partition_that_is_assigned_and_lost_at_once_is_not_held(bench: Bench) -> None:
    bench.turn(assigned(0, 1), Discard((0,)))
    assert bench.assignment.placements([0, 1]) == (Placement(1, 1, 0),)
    assert bench.consumer.assigned.keys() == {1}


def test_no_partition_comes_back_while_a_flush_may_hold_its_earlier_messages(bench: Bench) -> None:
    bench.comes(*(message(offset) for offset in range(5)))
    bench.turn(assigned(0))
    assert bench.flusher.busy
    bench.flusher.takes_waits = 4
    bench.turn(Discard((0,)), assigned(0, epoch=2))
    assert not bench.flusher.busy
    assert bench.assignment.placements([0]) == (Placement(0, 2, 0),)


def test_a_flush_learns_about_losses_and_then_about_the_new_membership(bench: Bench) -> None:
    bench.turn(Membership(b"first"), assigned(0, 1))
    bench.comes(message(0), message(0, partition=1))
    bench.turn()
    bench.flusher.takes_waits = 4
    seen = []
    orders: list[ToWorker] = [Discard((0,)), Membership(b"second"), assigned(0, epoch=2)]

    def group_moves_on() -> None:
        seen.append(bench.assignment.look([0, 1]))
        if orders:
            assert bench.supervisor.try_send(orders.pop(0))

    bench.flusher.on_wait = group_moves_on
    bench.turn(Revoke((1,)))
    assert [(membership, sorted(held)) for membership, held in seen[:4]] == [
        (b"first", [0, 1]), (b"first", [1]), (b"second", [1]), (b"second", [1]),
    ], "the partition that comes again is not taken up while a flush may hold messages of the time before"  # fmt: skip
    assert bench.assignment.placements([0, 1]) == (Placement(0, 2, 0),)


@pytest.mark.parametrize("bench", [{"cut_after": 1}], indirect=True)
def test_a_gap_in_the_log_is_skipped_after_all_messages_before_it(bench: Bench) -> None:
    bench.comes(message(3), message(4))
    bench.consumer.gaps = [OffsetGap(0, 5, 9), OffsetGap(1, 7, 8)]
    bench.turn(assigned(0, 1, offset=3))
    assert bench.manager.current.offsets == {0: 4}, "a message from before the gap is still to come"
    bench.turn()
    accounts = bench.manager.current.accounts()
    assert accounts == {0: Account(3, 9, recorded=2, skipped=4), 1: Account(7, 8, skipped=1)}
    bench.turn()
    assert bench.manager.current.accounts() == accounts, "once"


def test_stop_flushes_everything_and_ends(bench: Bench) -> None:
    bench.comes(message(0), message(0, partition=1))
    bench.turn(assigned(0, 1))
    bench.supervisor.try_send(Stop())
    bench.worker.run(lambda _: None)
    assert bench.flusher.flushed == [({0: [0], 1: [0]}, FlushReason.STOP)]
    assert not bench.flusher.busy
    assert bench.consumer.assigned == {}
    assert bench.consumer.closed
    assert bench.flusher.closed


def test_a_flush_that_failed_on_stop_is_raised(bench: Bench) -> None:
    bench.comes(message(0))
    bench.turn(assigned(0))
    bench.flusher.fault = FlushError("the disk is full")
    bench.supervisor.try_send(Stop())
    with pytest.raises(FlushError, match="the disk is full"):
        bench.worker.run(lambda _: None)


def test_a_stopped_partition_is_reported_under_its_epoch(bench: Bench) -> None:
    bench.turn(assigned(0, 1, epoch=5))
    bench.consumer.faults = [PartitionFault(1, 40, "partition 1 stopped: a hole")]
    assert bench.turn() == [PartitionStopped(Placement(1, 5, 0), "partition 1 stopped: a hole")]


@pytest.mark.parametrize("bench", [{"cut_after": 1, "dlq_halt_consecutive": 1}], indirect=True)
def test_a_halted_partition_is_read_no_longer_and_what_is_not_flushed_is_dropped(bench: Bench) -> None:
    bench.comes(message(0), message(0, partition=1))
    bench.turn(assigned(0, 1, epoch=5))
    bench.turn()
    bad = message(1, value=b"not json"), message(2, value=b"not json")
    bench.comes(bad[0], message(1, partition=1), bad[1], message(2, partition=1))
    (stopped,) = bench.turn()
    assert isinstance(stopped, PartitionStopped)
    assert (stopped.placement, stopped.halted) == (Placement(0, 5, 0), True)
    assert stopped.text.startswith("partition 0 halted at offset 1: 1 messages in a row are for the DLQ")
    assert bench.consumer.assigned == {1: 0}
    bench.turn()
    assert bench.pipeline.runs[-1] == [2], "the rest of the halted partition waits no longer"
    assert bench.take_held() == {1: [0, 1, 2]}
    assert bench.turn(Revoke((0,))) == [Released((Placement(0, 5, 0),))]
    assert bench.flusher.flushed == []


@pytest.mark.parametrize("bench", [{"dlq_halt_consecutive": 3}], indirect=True)
@pytest.mark.parametrize("order", [Revoke((0,)), Discard((0,))])
def test_dlq_limits_forget_a_partition_that_is_taken_away(bench: Bench, order: ToWorker) -> None:
    bad = [message(offset, value=b"not json") for offset in range(3)]
    bench.turn(assigned(0))
    bench.comes(*bad[:2])
    bench.turn()
    bench.turn(order)
    bench.comes(*bad[:2])
    assert bench.turn(assigned(0, epoch=2)) == [], "or it would be the fourth in a row"
    bench.comes(bad[2])
    assert [type(said) for said in bench.turn()] == [PartitionStopped]


def test_progress_is_reported_once_a_second(bench: Bench) -> None:
    assert bench.turn(assigned(0, offset=4)) == []
    bench.clock.ms += 1000
    assert bench.turn() == [Progress({0: PartitionState(4, 100)}, flushing=False)]
    assert bench.turn() == []


def test_without_a_supervisor_it_ends(bench: Bench) -> None:
    bench.supervisor.close()
    with pytest.raises(EOFError):
        bench.worker.run(lambda _: None)


@pytest.mark.parametrize("bench", [{"encrypts": True}], indirect=True)
def test_messages_wait_for_the_key_store_and_are_recorded_once_it_is_back(bench: Bench) -> None:
    bench.keys.is_away = True
    bench.comes(message(0), message(1), message(0, 1))
    bench.turn(assigned(0, 1))
    bench.comes(message(2))
    polls = bench.consumer.polls
    bench.turn()
    assert bench.consumer.polls == polls, "nothing more is read"
    assert bench.take_held() == {}
    bench.keys.is_away = False
    bench.turn()
    assert bench.take_held() == {0: [0, 1], 1: [0]}
    bench.turn()
    assert bench.take_held() == {0: [2]}


@pytest.mark.parametrize("bench", [{"encrypts": True, "cut_after": 2}], indirect=True)
def test_a_partition_can_be_revoked_while_its_messages_wait(bench: Bench) -> None:
    bench.keys.is_away = True
    bench.comes(message(0), message(0, 1), message(1), message(1, 1))
    bench.turn(assigned(0, 1))
    said = bench.turn(Revoke((0,)))
    assert [order for order in said if isinstance(order, Released)] == [Released((Placement(0, 1, 0),))]
    bench.keys.is_away = False
    bench.turn()
    bench.turn()
    assert bench.take_held() == {1: [0, 1]}, "another worker reads what was revoked"


@pytest.mark.parametrize("bench", [{"encrypts": True}], indirect=True)
def test_what_was_read_before_is_flushed_while_messages_wait(bench: Bench) -> None:
    bench.turn(assigned(0))
    bench.comes(*(message(offset) for offset in range(4)))
    bench.turn()
    bench.keys.is_away = True
    bench.clock.ms += 1_000_000
    bench.comes(message(4))
    bench.turn()
    bench.turn(Stop())
    assert bench.flusher.flushed == [({0: [0, 1, 2, 3]}, FlushReason.STOP)]
