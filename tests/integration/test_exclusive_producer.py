"""ExclusiveProducer on Apache Kafka: a transaction counts as a whole or not at all, and only for the latest process."""

import pytest

from recording_worker.errors import ConfigError
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.exclusive_producer import ExclusiveProducer, FencedError, NewRecord, WrittenAt
from recording_worker.kafka.topic_snapshot import TopicSnapshot
from recording_worker.progress import no_progress
from recording_worker.settings.model import Settings
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer


@pytest.fixture
def settings(kafka: KafkaServer) -> Settings:
    return Settings(bootstrap_servers=kafka.bootstrap_servers)


def producer(settings: Settings, topic: str) -> ExclusiveProducer:
    """A producer that has fenced all others of this topic's name."""
    made = ExclusiveProducer(settings, topic, lambda: None)
    made.fence()
    return made


def values(settings: Settings, topic: str) -> list[bytes | None]:
    """What a read_committed reader finds."""
    snapshot = TopicSnapshot.take(settings, Admin(settings), topic)
    assert snapshot.open_transactions == {}
    return [record.value for record in snapshot.records("", no_progress)]


def record(topic: str, value: bytes, partition: int | None = 0) -> NewRecord:
    return NewRecord(topic, partition, b"key", value, [("h", value)])


def test_what_was_sent_in_a_transaction_counts_at_its_end(settings: Settings, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    sender = producer(settings, topic)
    with sender.transaction() as transaction:
        assert transaction.send([record(topic, b"1"), record(topic, b"2"), record(topic, b"3", 1)]) == [
            WrittenAt(topic, 0, 0),
            WrittenAt(topic, 0, 1),
            WrittenAt(topic, 1, 0),
        ]
        [by_key] = transaction.send([record(topic, b"4", None)])
        # what readers may read ends before the transaction
        snapshot = TopicSnapshot.take(settings, Admin(settings), topic)
        assert snapshot.open_transactions == {0: 0, 1: 0}
        assert snapshot.size == 0
    assert sorted(map(bytes, filter(None, values(settings, topic)))) == [b"1", b"2", b"3", b"4"]
    assert by_key.partition in (0, 1)


def test_an_exception_inside_aborts_the_transaction(settings: Settings, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    sender = producer(settings, topic)

    def failing() -> None:
        with sender.transaction() as transaction:
            transaction.send([record(topic, b"lost")])
            raise ConfigError("in the middle")

    with pytest.raises(ConfigError, match="in the middle"):
        failing()
    with sender.transaction() as transaction:
        transaction.send([record(topic, b"kept")])
    assert values(settings, topic) == [b"kept"]


def test_a_process_that_begins_later_fences_the_one_before(settings: Settings, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    first = producer(settings, topic)

    def fenced_inside() -> ExclusiveProducer:
        with first.transaction() as transaction:
            transaction.send([record(topic, b"of the first")])
            return producer(settings, topic)

    with pytest.raises(FencedError):
        fenced_inside()
    with pytest.raises(FencedError), first.transaction() as transaction:
        transaction.send([record(topic, b"of the first")])
    with producer(settings, topic).transaction() as transaction:
        transaction.send([record(topic, b"of the latest")])
    assert values(settings, topic) == [b"of the latest"]


def test_a_snapshot_is_narrowed_to_a_time(settings: Settings, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    sender = producer(settings, topic)
    for value in (b"0", b"1"):  # the end of a transaction takes an offset
        with sender.transaction() as transaction:
            transaction.send([record(topic, value), record(topic, value)])
    snapshot = TopicSnapshot.take(settings, Admin(settings), topic)
    assert (snapshot.partitions, snapshot.size) == ([0], 6)
    times = [found.timestamp_ms for found in snapshot.records("", no_progress)]
    assert snapshot.since(times[-1] + 60_000).size == 0
    assert snapshot.since(times[0]).size == 6
    assert snapshot.complete_since_ms(0) == 0, "nothing was removed"
