"""Outgoing: what is sent after records were refused."""

import pytest
from confluent_kafka import KafkaError

from recording_worker.errors import FlushError
from recording_worker.kafka.refusals import Failure, Outgoing, take_innocent, take_refused
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from tests.builders import counted

TIME, RECORD, POLICY = KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_RECORD, KafkaError.POLICY_VIOLATION
NOW_MS = 1_000


def record(number: int, timestamp_ms: int = 0, key: bytes | None = b"key", topic: str = "t") -> OutputRecord:
    return OutputRecord(topic, key, b"%d" % number, [("dlq-offset", b"%d" % number)], timestamp_ms)


def refused(code: int, *records: OutputRecord) -> list[Failure]:
    return [Failure(at, KafkaError(code)) for at in records]


def test_a_second_refusal_for_time_takes_it_off_all_records_of_the_topic() -> None:
    records = [*(record(number, NOW_MS) for number in range(4)), record(9, NOW_MS, topic="other")]
    metrics = Metrics()
    outgoing = Outgoing(records, metrics)
    outgoing.learn(refused(TIME, records[1]))
    assert [at.timestamp_ms for at in outgoing.others()] == [NOW_MS, 0, NOW_MS, NOW_MS, NOW_MS]
    outgoing.learn(refused(RECORD, records[2]))  # what a broker says of several
    assert [at.timestamp_ms for at in outgoing.others()] == [0, 0, 0, 0, NOW_MS]
    assert counted(metrics, "records_redated_total", topic="t") == 4
    assert outgoing.suspects == []


def test_a_record_without_a_time_that_is_refused_for_it_fails_the_flush() -> None:
    outgoing = Outgoing([record(0), record(1)], Metrics())
    outgoing.learn(refused(TIME, record(0), record(1)))
    assert outgoing.suspects == [record(0), record(1)]
    with pytest.raises(FlushError, match="topic t refuses the present time"):
        outgoing.learn(refused(TIME, record(0)))


def test_one_record_refused_by_a_policy_is_left_out_and_many_fail_the_flush() -> None:
    records = [record(number) for number in range(20)]
    metrics = Metrics()
    outgoing = Outgoing(records, metrics)
    outgoing.learn(refused(POLICY, *records[:15]))
    assert list(outgoing.others()) == records[15:]
    for number in range(10):
        outgoing.learn(refused(POLICY, records[number]))
    assert outgoing.suspects == records[10:15]
    assert counted(metrics, "records_refused_total", topic="t", error="POLICY_VIOLATION") == 10
    with pytest.raises(FlushError, match="topic t refuses more than 10 records"):
        outgoing.learn(refused(POLICY, records[10]))


def test_equal_records_share_what_becomes_of_one_of_them() -> None:
    outgoing = Outgoing([record(0, key=None), record(1), record(0, key=None)], metrics := Metrics())
    outgoing.learn(refused(RECORD, record(0, key=None)))
    assert outgoing.suspects == [record(0, key=None)] * 2
    outgoing.learn(refused(RECORD, record(0, key=None)))
    assert (outgoing.suspects, list(outgoing.others())) == ([], [record(1)])
    assert counted(metrics, "records_refused_total", topic="t", error="INVALID_RECORD") == 2


def test_failures_are_told_apart() -> None:
    innocent = KafkaError._INVALID_DIFFERENT_RECORD
    failures = refused(RECORD, record(0)) + refused(innocent, record(1)) + refused(KafkaError._TIMED_OUT, record(2))
    assert [failure.record for failure in take_refused(failures)] == [record(0)]
    assert take_innocent(failures) == [record(1)]
    assert [failure.record for failure in failures] == [record(2)]
