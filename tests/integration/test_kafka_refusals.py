"""Records that a topic of Apache Kafka refuses: what becomes of them, with and without transactions."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from structlog.testing import capture_logs

from recording_worker.errors import FlushError
from recording_worker.kafka.group_member import GroupMember
from recording_worker.kafka.offsets import OffsetStore, Position
from recording_worker.kafka.producer import RecordProducer
from recording_worker.kafka.transactions import TransactionalProducer
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from tests.builders import counted
from tests.integration.test_kafka_transactions import Owner
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

DAY_MS = 86_400_000
DATED = {"message_timestamp_before_max_ms": DAY_MS, "message_timestamp_after_max_ms": 3_600_000}

Send = Callable[[Iterable[OutputRecord]], None]


@pytest.fixture
def settings(kafka: KafkaServer, new_topic: NewTopic, group: str) -> Settings:
    return Settings(bootstrap_servers=kafka.bootstrap_servers, topic=new_topic(), group_id=group)


@pytest.fixture(params=["in a transaction", "without one"])
def send(request: pytest.FixtureRequest, settings: Settings, group: str, metrics: Metrics) -> Iterator[Send]:
    """Sends records, and commits them."""
    if request.param == "without one":
        yield RecordProducer(settings, metrics).send
        return
    owner = Owner()
    member = GroupMember(settings, owner, OffsetStore())
    member.join()

    def has_joined() -> bool:
        member.poll(0.05)
        return bool(owner.partitions)

    wait_for(has_joined, "the assignment")
    producer = TransactionalProducer(settings, f"{group}-host-0", metrics)
    producer.begin()
    membership = member.membership()
    assert membership is not None

    def transact(records: Iterable[OutputRecord]) -> None:
        assert producer.transact(records, {0: Position(7)}, membership) is None
        assert member.start_offsets([0])[0] == (Position(7), 7)

    yield transact
    member.close(5)


def read(kafka: KafkaServer, topic: str) -> list[Any]:
    """The committed records of a topic with one partition: value → its time, sorted by value."""
    client = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": "readers",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    client.assign([TopicPartition(topic, 0, 0)])
    found = []
    while (message := client.poll(10)) is not None and not message.error():
        found.append((message.value(), message.timestamp()[1]))
    client.close()
    return sorted(found)


def dlq_record(topic: str, number: int, timestamp_ms: int = 0, key: bytes | None = b"key") -> OutputRecord:
    return OutputRecord(topic, key, b"%03d" % number, [("dlq-offset", b"%d" % number)], timestamp_ms, as_it_came=True)


def test_a_time_that_the_topic_refuses_becomes_the_present_time(
    kafka: KafkaServer, new_topic: NewTopic, send: Send, metrics: Metrics
) -> None:
    topic, other = new_topic(**DATED), new_topic()
    now = int(time.time() * 1000)
    times = [0, now - 10 * DAY_MS, now + DAY_MS, now - 1000]
    send([*(dlq_record(topic, number, at) for number, at in enumerate(times)), dlq_record(other, 9, now - 5000)])
    found = read(kafka, topic)
    assert [value for value, _ in found] == [b"000", b"001", b"002", b"003"]
    assert all(abs(at - now) < 600_000 for _, at in found)
    assert read(kafka, other) == [(b"009", now - 5000)]
    assert counted(metrics, "records_redated_total", topic=topic) in (2, 3), "the last one too if it was sent with them"


def test_many_old_records_need_few_transactions(
    kafka: KafkaServer, new_topic: NewTopic, send: Send, metrics: Metrics
) -> None:
    topic = new_topic(**DATED)
    old = int(time.time() * 1000) - 30 * DAY_MS
    values = [b"%05d" % number + b"x" * 200_000 for number in range(60)]  # several batches
    with capture_logs() as logs:
        send([OutputRecord(topic, b"key", value, [("dlq-offset", value[:5])], old) for value in values])
    assert [value for value, _ in read(kafka, topic)] == values
    assert counted(metrics, "records_redated_total", topic=topic) == len(values)
    assert 1 <= sum(entry["event"].startswith("records sent with the present time") for entry in logs) <= 2


def test_records_without_a_key_are_left_out_of_a_compacted_topic(
    kafka: KafkaServer, new_topic: NewTopic, send: Send, metrics: Metrics
) -> None:
    topic = new_topic(cleanup_policy="compact")
    send([dlq_record(topic, number, key=None if number % 3 == 0 else b"%d" % number) for number in range(30)])
    assert [int(value) for value, _ in read(kafka, topic)] == [number for number in range(30) if number % 3]
    assert counted(metrics, "records_refused_total", topic=topic, error="INVALID_RECORD") == 10


def test_refusals_of_several_kinds_at_once(
    kafka: KafkaServer, new_topic: NewTopic, send: Send, metrics: Metrics
) -> None:
    topic = new_topic(cleanup_policy="compact", max_message_bytes=5000, **DATED)
    old = int(time.time() * 1000) - 30 * DAY_MS
    good = [dlq_record(topic, number, old if number % 2 else 0, b"%d" % number) for number in range(10)]
    large = dlq_record(topic, 10, old)._replace(value=b"x" * 9000)
    send([*good[:5], dlq_record(topic, 11, old, key=None), large, large, *good[5:]])
    assert [int(value) for value, _ in read(kafka, topic)] == [*range(10)]
    assert counted(metrics, "records_refused_total", topic=topic, error="INVALID_RECORD") == 1
    assert counted(metrics, "records_too_large_total", topic=topic) == 2


def test_a_topic_that_refuses_the_present_time_fails_the_flush(
    new_topic: NewTopic, settings: Settings, metrics: Metrics
) -> None:
    """Then the clock of the host is wrong, and no record is at fault. Such a topic takes no end of a transaction.

    It takes a record that arrives in the millisecond of its time, so there are more records than that allows.
    """
    topic = new_topic(message_timestamp_before_max_ms=0)
    with pytest.raises(FlushError, match=f"topic {topic} refuses the present time: is the clock of this host right"):
        RecordProducer(settings, metrics).send([dlq_record(topic, number) for number in range(2000)])
