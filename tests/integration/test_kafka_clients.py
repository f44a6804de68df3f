"""The consumer, the producer and the group member: the same suite on the embedded broker and on Apache Kafka."""

import gc
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from typing import Any, Protocol

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from recording_worker.errors import FlushError, WorkerError
from recording_worker.formats.accounts import Account
from recording_worker.kafka.consumer import PartitionConsumer, PartitionState
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.kafka.group_member import GroupMember
from recording_worker.kafka.offsets import OffsetStore, Position
from recording_worker.kafka.other_clusters import OtherClusters
from recording_worker.kafka.producer import RecordProducer
from recording_worker.messages import NO_MESSAGES, Headers, Message, OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.processes.control import Channel, Flushed, Placement, SupervisorChannel, WorkerChannel
from recording_worker.processes.worker.assignment import Assignment
from recording_worker.processes.worker.delivery import AtLeastOnceDelivery
from recording_worker.recording.flush import FlushedBatch, FlushedPartition
from recording_worker.recording.session_batch import FlushReason
from recording_worker.settings.choices import GroupProtocol, StartFrom
from recording_worker.settings.model import Settings
from tests.integration.conftest import PARTITIONS
from tests.integration.odd_records import send_with_header
from tests.waiting import wait_for

SettingsOf = Callable[..., Settings]
Send = Callable[..., None]

PRODUCE, FETCH = 0, 1
MESSAGE_TOO_LARGE = 10
TOPIC_AUTHORIZATION_FAILED = 29


NUMBERS = itertools.count()


class Broker(Protocol):
    bootstrap_servers: str

    def create_topic(self, name: str, partitions: int) -> None: ...


@pytest.fixture(scope="module", params=["embedded", "kafka"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    if request.param == "kafka":
        yield request.getfixturevalue("kafka")
    else:
        with EmbeddedBroker() as embedded:
            yield embedded


# its tests have the broker answer with errors
on_embedded_broker = pytest.mark.parametrize("broker", ["embedded"], indirect=True)


@pytest.fixture
def topic(broker: Broker) -> str:
    """A topic that no other test has."""
    name = f"clients-{next(NUMBERS)}"
    broker.create_topic(name, PARTITIONS)
    return name


@pytest.fixture
def settings_of(broker: Broker, topic: str) -> SettingsOf:
    def settings(**given: Any) -> Settings:
        return Settings(bootstrap_servers=broker.bootstrap_servers, topic=topic, group_id=topic, **given)

    return settings


@pytest.fixture
def send(broker: Broker, topic: str) -> Send:
    def send_values(*values: bytes | None, partition: int = 0, **fields: Any) -> None:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        for value in values:
            producer.produce(topic, value=value, partition=partition, **fields)
        assert producer.flush(10) == 0

    return send_values


@pytest.fixture
def consumer(settings_of: SettingsOf) -> Iterator[PartitionConsumer]:
    partition_consumer = PartitionConsumer(settings_of(), Metrics())
    yield partition_consumer
    partition_consumer.close()


def consume(consumer: PartitionConsumer, messages: int, seconds: float = 10) -> list[Message]:
    got: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(got) < messages and time.monotonic() < deadline:
        got += consumer.consume(messages - len(got), 0.2)
    return got


def test_messages_arrive_as_they_were_sent(send: Send, consumer: PartitionConsumer) -> None:
    headers = [("token", b"a"), ("null", None), ("empty", b""), ("token", b"b")]
    send(b"value", key=b"key", headers=headers, timestamp=1_700_000_000_123)
    send(None)
    consumer.assign({0: 0})
    first, second = consume(consumer, 2)
    assert first == Message(0, 0, 1_700_000_000_123, b"key", b"value", headers)
    assert (second.key, second.value, second.headers) == (None, None, [])


def test_messages_outlive_their_consumer(send: Send, settings_of: SettingsOf) -> None:
    send(*[b"x" * 100_000] * 20, key=b"key", headers=[("token", b"a")])
    consumer = PartitionConsumer(settings_of(), Metrics())
    consumer.assign({0: 0})
    columns = NO_MESSAGES
    while len(columns) < 20:
        columns = columns.followed_by(consumer.consume(20, 0.2))
    consumer.close()
    del consumer
    rest = columns[5:]
    del columns
    gc.collect()
    assert [(m.offset, m.key, m.value, m.headers) for m in rest] == [
        (offset, b"key", b"x" * 100_000, [("token", b"a")]) for offset in range(5, 20)
    ]


@pytest.mark.parametrize(
    "fields", [{"value": b"x" * 45_000}, {"key": b"x" * 45_000}, {"headers": [("token", b"x" * 45_000)]}]
)
def test_a_poll_takes_no_more_messages_once_they_have_as_many_bytes_as_a_fetch(
    send: Send, settings_of: SettingsOf, fields: dict[str, Any]
) -> None:
    settings = settings_of(memory="128MiB", max_decompressed_bytes="6MiB")
    value = fields.get("value", b"")
    send(*[value] * 100, **{name: given for name, given in fields.items() if name != "value"})
    consumer = PartitionConsumer(settings, Metrics())
    consumer.assign({0: 0})
    polls: list[int] = []
    deadline = time.monotonic() + 30
    while sum(polls) < 100 and time.monotonic() < deadline:
        polls.append(len(consumer.consume(1_000, 1.0)))
    consumer.close()
    most = settings.budget.fetch_bytes // 45_000 + 16  # it looks at the bytes after each 16 messages
    assert sum(polls) == 100
    assert max(polls) <= most < 80


def test_a_header_whose_name_is_not_utf8_has_a_replaced_name(
    broker: Broker, topic: str, send: Send, consumer: PartitionConsumer
) -> None:
    send(b"before", headers=[("token", b"a")])
    send_with_header(broker.bootstrap_servers, topic, 0, b"tok\xffen", b"value")
    send(b"after", headers=[("token", b"a")])
    consumer.assign({0: 0})
    got = consume(consumer, 3)
    assert [message.headers for message in got] == [[("token", b"a")], [("tok\ufffden", b"x")], [("token", b"a")]]
    assert [message.value for message in got] == [b"before", b"value", b"after"]


def test_a_missing_right_to_read_the_topic_fails_the_worker(topic: str, settings_of: SettingsOf) -> None:
    """librdkafka reports it once, and asks again for ever."""
    with EmbeddedBroker() as broker:
        broker.create_topic(topic, PARTITIONS)
        broker.push_request_errors(FETCH, [TOPIC_AUTHORIZATION_FAILED] * 100)
        consumer = PartitionConsumer(
            settings_of().model_copy(update={"bootstrap_servers": broker.bootstrap_servers}), Metrics()
        )
        consumer.assign({0: 0})
        with pytest.raises(WorkerError, match=f"topic {topic} can't be read: .*authorization failed"):
            consume(consumer, 1)
        consumer.close()


def test_partitions_are_read_from_the_given_offsets(send: Send, consumer: PartitionConsumer) -> None:
    for partition in (0, 1):
        send(*(b"%d" % number for number in range(10)), partition=partition)
    consumer.assign({0: 4})
    consumer.assign({1: 8})
    got = consume(consumer, 8)
    assert sorted((message.partition, message.offset) for message in got) == [(0, n) for n in range(4, 10)] + [
        (1, 8),
        (1, 9),
    ]
    assert consumer.states() == {0: PartitionState(10, 10), 1: PartitionState(10, 10)}


def test_what_is_fetched_and_not_taken_is_measured(send: Send, settings_of: SettingsOf) -> None:
    send(*(b"x" * 1000 for _ in range(100)))
    metrics = Metrics()
    settings = settings_of().model_copy(update={"kafka_consumer": {"statistics.interval.ms": "100"}})
    consumer = PartitionConsumer(settings, metrics)
    consumer.assign({0: 0})
    consume(consumer, 1)

    def queued(most: int) -> float:
        consumer.consume(most, 0.05)
        return metrics.registry.get_sample_value("recording_worker_fetch_queue_bytes") or 0.0

    wait_for(lambda: 1_000 < queued(1) <= 100_000, "a report of the queue")
    wait_for(lambda: queued(100) == 0, "the queue to be empty")
    consumer.close()


def test_what_was_fetched_of_an_unassigned_partition_is_dropped(send: Send, consumer: PartitionConsumer) -> None:
    for partition in (0, 1):
        send(*(b"x" * 100 for _ in range(1000)), partition=partition)
    consumer.assign({0: 0, 1: 0})
    consume(consumer, 100)
    wait_for(lambda: all(at.high == 1000 for at in consumer.states().values()), "both partitions to be fetched")
    consumer.unassign([0, 5])
    rest = consume(consumer, 2000, seconds=1)
    assert {message.partition for message in rest} == {1}
    consumer.assign({0: 500})
    again = consume(consumer, 500)
    assert [message.offset for message in again] == list(range(500, 1000))


def test_a_hole_is_a_fault_of_its_partition(send: Send, consumer: PartitionConsumer) -> None:
    send(b"a", b"b", partition=0)
    send(b"c", partition=1)
    consumer.assign({0: 7, 1: 0})
    assert [message.value for message in consume(consumer, 2, seconds=3)] == [b"c"]
    [fault] = consumer.take_faults()
    assert (fault.partition, fault.offset) == (0, 7)
    assert fault.text.startswith("partition 0 stopped: offset 7 comes next, but the log holds offsets 0 to 1")
    assert fault.text.endswith("; recording-worker rewind sets the group back to what is there")
    assert consumer.take_faults() == []
    assert consumer.states().keys() == {1}


def records(number: int, topic: str) -> list[OutputRecord]:
    return [
        OutputRecord(topic, b"key", b"%d" % n, [("dlq-reason", b"why")], 1_700_000_000_000 + n) for n in range(number)
    ]


def read_back(broker: Broker, topic: str) -> list[tuple[Any, ...]]:
    """Return all records of all partitions of a topic."""
    client = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "readers", "log_level": 0})
    partitions = client.list_topics(topic, timeout=5).topics[topic].partitions
    client.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    got: list[tuple[Any, ...]] = []
    while batch := client.consume(10_000, 1.0):
        got += [(m.key(), m.value(), m.headers(), m.timestamp()[1]) for m in batch]
    client.close()
    return got


def test_records_arrive_even_if_the_queue_is_small(broker: Broker, topic: str, settings_of: SettingsOf) -> None:
    producer = RecordProducer(settings_of(kafka_producer={"queue.buffering.max.messages": 50}), Metrics())
    producer.send(records(500, topic))
    assert sorted(read_back(broker, topic)) == sorted(tuple(record[1:5]) for record in records(500, topic))


@on_embedded_broker
def test_a_record_that_is_refused_fails_the_flush_and_names_its_topic(
    broker: EmbeddedBroker, topic: str, settings_of: SettingsOf
) -> None:
    producer = RecordProducer(settings_of(), Metrics())
    broker.push_request_errors(PRODUCE, [TOPIC_AUTHORIZATION_FAILED])
    with pytest.raises(FlushError, match=rf"1 records? not accepted by Kafka.* topic {topic}: .*authorization"):
        producer.send(records(1, topic))


def test_a_record_that_is_too_large_is_left_out_and_counted(
    broker: Broker, topic: str, settings_of: SettingsOf
) -> None:
    metrics = Metrics()
    producer = RecordProducer(settings_of(kafka_producer={"message.max.bytes": 2000}), metrics)
    small = records(2, topic)
    producer.send([small[0], OutputRecord(topic, None, os.urandom(3000), [], 0), small[1]])
    assert sorted(read_back(broker, topic)) == sorted(tuple(record[1:5]) for record in small)
    assert metrics.records_too_large.labels(topic)._value.get() == 1


@on_embedded_broker
@pytest.mark.parametrize("key", [b"key", None])
@pytest.mark.parametrize("headers", [[], [("dlq-reason", b"invalid_json")]])
def test_a_record_that_the_broker_finds_too_large_is_left_out_and_counted(
    broker: EmbeddedBroker, topic: str, settings_of: SettingsOf, key: bytes | None, headers: Headers
) -> None:
    record = OutputRecord(topic, key, b"value", headers, 0)
    metrics = Metrics()
    producer = RecordProducer(settings_of(), metrics)
    broker.push_request_errors(PRODUCE, [MESSAGE_TOO_LARGE] * 2)  # first in its batch, then alone
    producer.send([record])
    producer.send([record])
    assert len(read_back(broker, topic)) == 1
    assert metrics.records_too_large.labels(topic)._value.get() == 1


@on_embedded_broker
def test_a_broker_that_is_away_fails_the_flush_in_time(
    broker: EmbeddedBroker, topic: str, settings_of: SettingsOf
) -> None:
    producer = RecordProducer(settings_of(progress_deadline=1.0), Metrics())
    broker.set_down()
    began = time.monotonic()
    try:
        with pytest.raises(FlushError, match=r"3 records not accepted by Kafka.*timed out"):
            producer.send(records(3, topic))
    finally:
        broker.set_up()
    assert time.monotonic() - began < 60, "librdkafka itself waits for minutes"


def flushed_batch(topic: str, offsets: dict[int, int], number: int) -> FlushedBatch:
    sent = records(number, topic)
    partitions = {at: FlushedPartition(Account(0, offset), []) for at, offset in offsets.items()}
    partitions[min(offsets)].records.extend(sent)
    return FlushedBatch("id", topic, FlushReason.AGE, partitions, 2, number, 7, 100, 50)


@pytest.fixture
def ends() -> Iterator[tuple[SupervisorChannel, WorkerChannel]]:
    ours, theirs = Pipe()
    supervisor: SupervisorChannel = Channel(ours)
    worker: WorkerChannel = Channel(theirs)
    yield supervisor, worker
    supervisor.close()
    worker.close()


def test_delivery_reports_offsets_once_all_is_acknowledged(
    broker: Broker,
    topic: str,
    settings_of: SettingsOf,
    ends: tuple[SupervisorChannel, WorkerChannel],
) -> None:
    supervisor, worker = ends
    assignment = Assignment()
    assignment.take([Placement(0, 11, 0), Placement(1, 12, 0)])
    settings, metrics = settings_of(), Metrics()
    producer, others = RecordProducer(settings, metrics), OtherClusters(settings, metrics)
    delivery = AtLeastOnceDelivery(producer, others, assignment, worker, "recorders", metrics)
    delivery.deliver(flushed_batch(topic, {0: 40, 1: 50, 2: 60}, 20))
    placements = (Placement(0, 11, 40, Account(0, 40)), Placement(1, 12, 50, Account(0, 50)))
    assert list(supervisor.receive()) == [Flushed(placements, False, 2, 7, 50)]
    assert len(read_back(broker, topic)) == 20


@on_embedded_broker
def test_delivery_that_fails_reports_nothing(
    broker: EmbeddedBroker,
    topic: str,
    settings_of: SettingsOf,
    ends: tuple[SupervisorChannel, WorkerChannel],
) -> None:
    supervisor, worker = ends
    assignment = Assignment()
    assignment.take([Placement(0, 11, 0)])
    settings, metrics = settings_of(), Metrics()
    producer, others = RecordProducer(settings, metrics), OtherClusters(settings, metrics)
    delivery = AtLeastOnceDelivery(producer, others, assignment, worker, "recorders", metrics)
    broker.push_request_errors(PRODUCE, [TOPIC_AUTHORIZATION_FAILED])
    with pytest.raises(FlushError):
        delivery.deliver(flushed_batch(topic, {0: 40}, 1))
    assert list(supervisor.receive()) == []


class Owner:
    def __init__(self) -> None:
        self.partitions: set[int] = set()

    def on_assign(self, partitions: list[int]) -> None:
        self.partitions.update(partitions)

    def on_revoke(self, partitions: list[int]) -> None:
        self.partitions.difference_update(partitions)

    on_lost = on_revoke


@pytest.mark.parametrize("protocol", GroupProtocol)
def test_a_member_owns_partitions_and_commits_where_they_begin(
    send: Send, settings_of: SettingsOf, protocol: GroupProtocol
) -> None:
    send(*(b"x" for _ in range(100)), partition=2)
    owner, offsets = Owner(), OffsetStore()
    member = GroupMember(settings_of(start_from=StartFrom.LATEST, group_protocol=protocol), owner, offsets)
    member.join()

    def owns_all() -> bool:
        member.poll(0.05)
        return owner.partitions == set(range(PARTITIONS))

    wait_for(owns_all, "the assignment")
    assert member.start_offsets([1, 2]) == {}, "the group is founded first"
    assert member.start_offsets([1, 2]) == {1: (Position(0), 0), 2: (Position(100), 100)}
    offsets.begin(2, None, 100)
    offsets.advance(2, Position(130, Account(0, 130, dropped=30)))

    assert not member.is_committing
    member.commit_soon()
    assert member.is_committing

    def all_committed() -> bool:
        member.poll(0.05)
        member.commit_soon()
        return not offsets.pending()

    wait_for(all_committed, "the commit")
    assert not member.is_committing
    assert member.start_offsets([2]) == {2: (Position(130, Account(0, 130, dropped=30)), 130)}
    offsets.advance(2, Position(140))
    member.commit_now(5)
    assert not offsets.pending()
    member.close(5)
    assert owner.partitions == set()


def test_the_flush_thread_and_the_loop_may_use_one_pipe(ends: tuple[SupervisorChannel, WorkerChannel]) -> None:
    supervisor, worker = ends
    message = Flushed((Placement(0, 1, 2),), True, 1, 1, 1)
    thread = threading.Thread(target=worker.send, args=(message,))
    thread.start()
    assert next(supervisor.receive(5)) == message
    thread.join()
