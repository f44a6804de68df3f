"""The rules of the deliveries, with a producer that does what the test says. Kafka's part is tested on a broker."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from typing import Any

import pytest

from recording_worker.errors import FlushError
from recording_worker.formats.accounts import Account
from recording_worker.kafka.offsets import Position
from recording_worker.kafka.transactions import Aborted
from recording_worker.messages import OutputRecord, RecordChain
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.processes.control import Channel, Flushed, FromWorker, Placement, SupervisorChannel
from recording_worker.processes.worker.assignment import Assignment
from recording_worker.processes.worker.delivery import AtLeastOnceDelivery, ExactlyOnceDelivery
from recording_worker.recording.flush import FlushedBatch, FlushedPartition
from recording_worker.recording.session_batch import NO_COUNTS, FlushReason, PartitionCounts, Since
from tests.builders import counted

STALE = Aborted("ILLEGAL_GENERATION", "the group has moved on", membership_is_stale=True)
TIMED_OUT = Aborted("_TIMED_OUT", "timed out", membership_is_stale=False)


class FakeTransactions:
    """Answers each transaction with the next answer: an error, or something to do first and None."""

    def __init__(self) -> None:
        self.answers: list[Aborted | Callable[[], Aborted | None]] = []
        self.asked: list[tuple[list[OutputRecord], dict[int, Position], bytes]] = []

    def transact(
        self, records: Sequence[OutputRecord], positions: Mapping[int, Position], membership: bytes
    ) -> Aborted | None:
        self.asked.append((list(records), dict(positions), membership))
        answer = self.answers.pop(0) if self.answers else None
        return answer() if callable(answer) else answer


class FakeClusters:
    """Keeps the records of the topic "elsewhere"."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[bytes | None]]] = []
        self.fault: Exception | None = None

    def send(self, batch_id: str, records: RecordChain) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append((batch_id, [record.value for record in records if record.topic == "elsewhere"]))

    def leave(self, records: RecordChain) -> RecordChain:
        return records.without("elsewhere".__eq__)


class Bench:
    def __init__(self) -> None:
        ours, theirs = Pipe()
        self.supervisor: SupervisorChannel = Channel(ours)
        self.channel: Any = Channel(theirs)
        self.producer = FakeTransactions()
        self.assignment, self.metrics = Assignment(), Metrics()
        producer: Any = self.producer
        self.others = FakeClusters()
        others: Any = self.others
        self.delivery = ExactlyOnceDelivery(producer, others, self.assignment, self.channel, "recorders", self.metrics)

    def said(self) -> list[FromWorker]:
        return list(self.supervisor.receive())


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.supervisor.close()
    made.channel.close()


def record(topic: str, number: int) -> OutputRecord:
    return OutputRecord(topic, b"key", str(number).encode(), [], 0)


def flushed(metadata: bool = True, **nexts: int) -> FlushedBatch:
    """A batch of partitions p0, p1, …, each with three messages, two of them recorded, up to these offsets."""
    partitions = {
        int(name[1:]): FlushedPartition(
            Account(end - 3, end, recorded=2, dlq=1),
            [record("dlq", int(name[1:]))],
            [record("metadata", int(name[1:]))] if metadata else [],
        )
        for name, end in nexts.items()
    }
    return FlushedBatch("batch", "recordings", FlushReason.AGE, partitions, 2, 4, 7, 100, 50)


def told(records: Sequence[OutputRecord]) -> dict[str, dict[str, int]]:
    """The accounts in the one header there is."""
    [(_, value)] = [header for record in records for header in record.headers]
    assert value is not None
    partitions: dict[str, dict[str, int]] = json.loads(value)["partitions"]
    return partitions


def test_records_and_offsets_go_together(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40), Placement(1, 12, 50)])
    bench.assignment.join(b"first")
    bench.delivery.deliver(flushed(p0=43, p1=53))
    [(records, offsets, membership)] = bench.producer.asked
    assert [(at.topic, at.value) for at in records] == [
        ("dlq", b"0"), ("dlq", b"1"), ("metadata", b"0"), ("metadata", b"1"),
    ]  # fmt: skip
    assert (offsets, membership) == ({0: Position(43), 1: Position(53)}, b"first")
    assert {number: (at["start"], at["next"], at["recorded"]) for number, at in told(records).items()} == {
        "0": (40, 43, 2), "1": (50, 53, 2),
    }  # fmt: skip
    assert bench.said() == [Flushed((Placement(0, 11, 43), Placement(1, 12, 53)), True, 2, 7, 50)]


def test_records_of_other_clusters_are_sent_once_before_the_first_transaction(bench: Bench) -> None:
    def look() -> Aborted:
        assert bench.others.sent == [("batch", [b"7", b"8"])]
        return TIMED_OUT

    bench.assignment.take([Placement(0, 11, 40)])
    batch = flushed(p0=43)
    batch.partitions[0].records.extend([record("elsewhere", 7), record("elsewhere", 8)])
    bench.producer.answers = [look, TIMED_OUT]
    bench.delivery.deliver(batch)
    assert len(bench.others.sent) == 1
    assert [[at.topic for at in records] for records, _, _ in bench.producer.asked] == [["dlq", "metadata"]] * 3


def test_nothing_is_committed_if_another_cluster_takes_no_records(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40)])
    bench.others.fault = FlushError("no broker")
    with pytest.raises(FlushError, match="no broker"):
        bench.delivery.deliver(flushed(p0=43))
    assert bench.producer.asked == []
    assert bench.said() == []


def test_a_record_says_how_far_the_partitions_are_recorded_if_there_is_a_topic_for_it(bench: Bench) -> None:
    producer: Any = bench.producer
    others: Any = bench.others
    delivery = ExactlyOnceDelivery(
        producer, others, bench.assignment, bench.channel, "recorders", bench.metrics, "progress"
    )
    bench.assignment.take([Placement(0, 11, 40), Placement(2, 12, 50)])
    batch = flushed(p0=43, p1=53, p2=63)
    batch.partitions[2].seconds.update({(Since.RECEIVED, 1_795_000_000): 1, (Since.RECEIVED, 1_795_000_007): 2})
    delivery.deliver(batch)
    [(records, offsets, _)] = bench.producer.asked
    assert [at.topic for at in records] == ["dlq", "dlq", "metadata", "metadata", "progress"]
    assert records[-1].key == b"recorders/recordings"
    assert json.loads(records[-1].value or b"") == {
        "topic": "recordings",
        "group": "recorders",
        "batch_id": "batch",
        "partitions": {
            "0": {"next_offset": 43, "recorded_until": None},
            "2": {"next_offset": 63, "recorded_until": 1_795_000_007},
        },
    }
    assert offsets.keys() == {0, 2}


def test_the_smallest_metadata_record_carries_the_account(bench: Bench) -> None:
    """A session id may be of any length, and a record too large for its topic is left out."""
    bench.assignment.take([Placement(0, 11, 40), Placement(1, 12, 50)])
    batch = flushed(p0=43, p1=53)
    for number, size in ((0, 1_000), (1, 100)):
        batch.partitions[number].metadata[0] = record("metadata", number)._replace(value=b"x" * size)
    bench.delivery.deliver(batch)
    [(records, _, _)] = bench.producer.asked
    assert [len(at.value or b"") for at in records if at.headers] == [100]
    assert told(records).keys() == {"0", "1"}


def test_without_a_block_the_account_is_carried_to_the_next_batch(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40)])
    bench.delivery.deliver(flushed(metadata=False, p0=43))
    bench.delivery.deliver(flushed(metadata=False, p0=47))
    bench.delivery.deliver(flushed(p0=50))
    bench.delivery.deliver(flushed(p0=53))
    (_, first, _), (_, second, _), (third, offsets, _), (fourth, _, _) = bench.producer.asked
    assert first == {0: Position(43, Account(40, 43, recorded=2, dlq=1))}
    assert second == {0: Position(47, Account(40, 47, recorded=4, dlq=2))}
    assert offsets == {0: Position(50)}
    assert (told(third)["0"]["start"], told(third)["0"]["recorded"]) == (40, 6)
    assert (told(fourth)["0"]["start"], told(fourth)["0"]["recorded"]) == (50, 2)


def test_an_account_goes_on_where_another_worker_left_it(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40, Account(30, 40, dropped=10))])
    bench.delivery.deliver(flushed(p0=43))
    [(records, _, _)] = bench.producer.asked
    assert (told(records)["0"]["start"], told(records)["0"]["dropped"]) == (30, 10)


def test_a_stale_membership_waits_for_a_newer_one(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40)])
    bench.assignment.join(b"first")
    bench.producer.answers = [STALE]
    news = threading.Timer(0.05, bench.assignment.join, [b"second"])
    news.start()
    bench.delivery.deliver(flushed(p0=43))
    news.join()
    assert [membership for _, _, membership in bench.producer.asked] == [b"first", b"second"]
    assert len(bench.said()) == 1


def test_what_was_lost_meanwhile_is_left_out(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40), Placement(1, 12, 50)])

    def lose_one() -> Aborted:
        bench.assignment.drop([0])
        bench.assignment.join(b"second")
        return STALE

    bench.producer.answers = [lose_one]
    bench.delivery.deliver(flushed(p0=43, p1=53))
    records, offsets, _ = bench.producer.asked[1]
    assert [(at.topic, at.value) for at in records] == [("dlq", b"1"), ("metadata", b"1")]
    assert list(told(records)) == ["1"]
    assert offsets == {1: Position(53)}
    assert bench.said() == [Flushed((Placement(1, 12, 53),), True, 2, 7, 50)]


def test_a_batch_of_which_all_is_lost_is_discarded(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40)])

    def lose_all() -> Aborted:
        bench.assignment.drop([0])
        return STALE

    bench.producer.answers = [lose_all]
    bench.delivery.deliver(flushed(p0=43))
    assert len(bench.producer.asked) == 1
    assert bench.said() == []


def test_what_may_pass_is_tried_again(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40)])
    bench.producer.answers = [TIMED_OUT, TIMED_OUT]
    bench.delivery.deliver(flushed(p0=43))
    assert len(bench.producer.asked) == 3
    assert len(bench.said()) == 1
    assert counted(bench.metrics, "transactions_aborted_total", error="_TIMED_OUT") == 2


def test_a_delivery_that_is_tried_again_and_again_shows_until_it_ends(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40)])
    seen: list[tuple[str, float | None]] = []

    def look() -> Aborted:
        seen.append((bench.delivery.trouble, counted(bench.metrics, "delivery_retries")))
        bench.assignment.join(b"%d" % len(seen))  # so that the next try is at once
        return TIMED_OUT._replace(membership_is_stale=True)

    def fail() -> Aborted:
        look()
        raise FlushError("fenced")

    bench.producer.answers = [look, look, look, fail]
    with pytest.raises(FlushError):
        bench.delivery.deliver(flushed(p0=43))
    assert seen == [("", 0), ("", 1), ("", 2), ("delivery tried again 3 times: timed out", 3)]
    assert (bench.delivery.trouble, counted(bench.metrics, "delivery_retries")) == ("", 0)


def test_what_does_not_pass_is_raised_and_nothing_is_said(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40)])

    def fail() -> Aborted:
        raise FlushError("fenced")

    bench.producer.answers = [fail]
    with pytest.raises(FlushError, match="fenced"):
        bench.delivery.deliver(flushed(p0=43))
    assert bench.said() == []


def test_at_least_once_reports_offsets_to_be_committed(bench: Bench) -> None:
    sent: list[OutputRecord] = []

    class Sender:
        def send(self, records: Sequence[OutputRecord]) -> None:
            sent.extend(records)

    sender: Any = Sender()
    bench.assignment.take([Placement(0, 11, 40)])
    others: Any = bench.others
    AtLeastOnceDelivery(sender, others, bench.assignment, bench.channel, "recorders", bench.metrics).deliver(
        flushed(p0=43, p1=53)
    )
    assert [(at.topic, at.value) for at in sent] == [("dlq", b"0"), ("metadata", b"0")]
    assert told(sent)["0"]["next"] == 43
    assert bench.said() == [Flushed((Placement(0, 11, 43),), False, 2, 7, 50)]


def test_a_delivery_is_noted_only_under_the_epoch_it_belongs_to() -> None:
    assignment = Assignment()
    assignment.take([Placement(0, 11, 40)])
    assignment.carry([Placement(0, 10, 99), Placement(1, 11, 99)])  # an earlier epoch; a partition that is not held
    assert assignment.placements([0, 1]) == (Placement(0, 11, 40),)
    assignment.carry([Placement(0, 11, 50)])
    assert assignment.placements([0, 1]) == (Placement(0, 11, 50),)


def test_the_latency_of_what_was_delivered_is_measured_and_the_latest_time_reported(bench: Bench) -> None:
    now = int(time.time())
    bench.assignment.take([Placement(0, 11, 40), Placement(1, 12, 50)])
    batch = flushed(p0=43, p1=53, p2=63)
    for number, at in ((0, now - 100), (1, now - 50), (2, now)):
        batch.partitions[number].seconds.update({(Since.CAPTURED, at - 3000): 2, (Since.RECEIVED, at): 2})
    batch.partitions[1].seconds[Since.RECEIVED, now - 10] = 2
    bench.delivery.deliver(batch)
    [said] = bench.said()
    assert isinstance(said, Flushed)
    assert said.until == {0: now - 100, 1: now - 10}, "partition 2 is not ours"

    def within(seconds: str, since: str) -> float | None:
        return counted(bench.metrics, "latency_seconds_bucket", le=seconds, since=since)

    assert [within(le, "received") for le in ("7.5", "15.0", "60.0", "120.0")] == [0, 2, 4, 6]
    assert [within(le, "captured") for le in ("1800.0", "3600.0")] == [0, 4]
    assert 6 * 50 < (counted(bench.metrics, "latency_seconds_sum", since="received") or 0) < 6 * 60


def test_what_was_delivered_is_counted_and_nothing_else(bench: Bench) -> None:
    bench.assignment.take([Placement(0, 11, 40)])
    held = NO_COUNTS.held._replace(
        messages=2,
        events=9,
        line_bytes=70,
        console_logs_stored=5,
        console_logs_left_out=4,
        discarded_messages=3,
        discarded_events=8,
    )
    ended: Counter[tuple[int, int]] = Counter({(Disposition.OK, 0): 2, (Disposition.DLQ, Reason.INVALID_JSON): 1})
    batch = flushed(p0=43, p1=53)
    for number, part in batch.partitions.items():
        batch.partitions[number] = replace(part, counts=PartitionCounts(ended, held, Counter({"a_warning": 2})))
    assert counted(bench.metrics, "messages_total", disposition="ok", reason="") == 0
    bench.delivery.deliver(batch)
    counts = {
        "events_total": 9,
        "recorded_message_bytes_sum": 70,
        "recorded_message_bytes_count": 2,
        "console_logs_total": 5,
        "console_logs_left_out_total": 4,
    }
    assert {name: counted(bench.metrics, name) for name in counts} == counts
    assert counted(bench.metrics, "messages_total", disposition="ok", reason="") == 2
    assert counted(bench.metrics, "messages_total", disposition="dlq", reason="invalid_json") == 1
    assert [counted(bench.metrics, "partition_messages_total", partition=number) for number in "01"] == [3, None]
    assert counted(bench.metrics, "events_discarded_total", reason="session_event_limit") == 8
    assert counted(bench.metrics, "ingestion_warnings_total", type="a_warning") == 2
