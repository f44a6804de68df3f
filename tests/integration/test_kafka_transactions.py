"""Transactions on Apache Kafka: they commit all or nothing, and only for a current member of the group."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from recording_worker.errors import BootError, FlushError, TransactionTimeoutError
from recording_worker.formats.accounts import Account
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.kafka.group_member import GroupMember
from recording_worker.kafka.offsets import OffsetStore, Position
from recording_worker.kafka.transactions import TransactionalProducer, can_transact
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.settings.choices import GroupProtocol
from recording_worker.settings.model import Settings
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

PARTITIONS = 2
INIT_PRODUCER_ID = 22
ENDS = itertools.count()
CARRIED = Account(0, 7, recorded=5, dropped=2)


class Owner:
    def __init__(self) -> None:
        self.partitions: set[int] = set()

    def on_assign(self, partitions: list[int]) -> None:
        self.partitions.update(partitions)

    def on_revoke(self, partitions: list[int]) -> None:
        self.partitions.difference_update(partitions)

    on_lost = on_revoke


class Member:
    """A host in the group, and the partitions that it owns."""

    def __init__(self, settings: Settings) -> None:
        self.owner = Owner()
        self._member = GroupMember(settings, self.owner, OffsetStore())
        self._member.join()

    def poll(self) -> set[int]:
        self._member.poll(0.05)
        return self.owner.partitions

    def membership(self) -> bytes:
        found = self._member.membership()
        assert found is not None
        return found

    def start_offsets(self) -> dict[int, tuple[Position | None, int]]:
        return self._member.start_offsets(range(PARTITIONS))

    def close(self) -> None:
        self._member.close(5)


@pytest.fixture
def topic(new_topic: NewTopic) -> str:
    return new_topic(PARTITIONS)


@pytest.fixture
def output(new_topic: NewTopic) -> str:
    return new_topic(max_message_bytes=5000)


@pytest.fixture(params=GroupProtocol)
def protocol(request: pytest.FixtureRequest) -> GroupProtocol:
    return GroupProtocol(request.param)


@pytest.fixture
def settings(kafka: KafkaServer, topic: str, group: str) -> Settings:
    return Settings(bootstrap_servers=kafka.bootstrap_servers, topic=topic, group_id=group)


@pytest.fixture
def join(settings: Settings) -> Iterator[Callable[[GroupProtocol], Member]]:
    members: list[Member] = []

    def join_group(protocol: GroupProtocol = GroupProtocol.CLASSIC) -> Member:
        members.append(Member(settings.model_copy(update={"group_protocol": protocol})))
        return members[-1]

    yield join_group
    for member in members:
        member.close()


@pytest.fixture
def producer(settings: Settings, group: str, metrics: Metrics) -> TransactionalProducer:
    transactional = TransactionalProducer(settings, f"{group}-host-0", metrics)
    transactional.begin()
    return transactional


def records(topic: str, *values: bytes) -> list[OutputRecord]:
    return [OutputRecord(topic, b"key", value, [], 0) for value in values]


def read_committed(kafka: KafkaServer, topic: str) -> list[bytes | None]:
    """Return the committed records of a topic with one partition, in order."""
    sentinel = b"the end, %d" % next(ENDS)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    producer.produce(topic, sentinel)
    assert producer.flush(10) == 0
    client = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "readers", "isolation.level": "read_committed"}
    )
    client.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes | None] = []
    while not values or values[-1] != sentinel:
        message = client.poll(10)
        assert message, "the end is not reached: a transaction is open"
        values.append(message.value())
    client.close()
    return [value for value in values if not (value or b"").startswith(b"the end")]


def test_records_and_offsets_commit_together(
    kafka: KafkaServer,
    output: str,
    join: Callable[[GroupProtocol], Member],
    producer: TransactionalProducer,
    protocol: GroupProtocol,
) -> None:
    member = join(protocol)
    wait_for(lambda: len(member.poll()) == PARTITIONS, "the assignment")
    positions = {0: Position(7, CARRIED), 1: Position(9)}
    assert producer.transact(records(output, b"a", b"b"), positions, member.membership()) is None
    assert producer.transact(records(output, b"c"), {1: Position(11)}, member.membership()) is None
    assert read_committed(kafka, output) == [b"a", b"b", b"c"]
    assert member.start_offsets() == {0: (Position(7, CARRIED), 7), 1: (Position(11), 11)}


def test_a_stale_membership_commits_nothing_and_the_new_one_does(
    kafka: KafkaServer,
    output: str,
    join: Callable[[GroupProtocol], Member],
    producer: TransactionalProducer,
    protocol: GroupProtocol,
) -> None:
    first = join(protocol)
    wait_for(lambda: len(first.poll()) == PARTITIONS, "the assignment")
    before = first.membership()
    second = join(protocol)
    wait_for(lambda: len(first.poll()) == len(second.poll()) == 1, "an even split")
    [mine] = first.owner.partitions

    aborted = producer.transact(records(output, b"stale"), {mine: Position(7)}, before)
    assert aborted is not None
    assert aborted.membership_is_stale
    assert read_committed(kafka, output) == []
    assert {position for position, _ in first.start_offsets().values()} == {None}

    assert producer.transact(records(output, b"new"), {mine: Position(7)}, first.membership()) is None
    assert read_committed(kafka, output) == [b"new"]
    assert first.start_offsets()[mine] == (Position(7), 7)


def test_a_later_producer_with_the_same_id_fences_the_earlier_one(
    kafka: KafkaServer,
    settings: Settings,
    group: str,
    output: str,
    join: Callable[[], Member],
    producer: TransactionalProducer,
) -> None:
    member = join()
    wait_for(lambda: len(member.poll()) == PARTITIONS, "the assignment")
    position = {0: Position(7)}
    assert producer.transact(records(output, b"before"), position, member.membership()) is None
    later = TransactionalProducer(settings, f"{group}-host-0", Metrics())
    later.begin()
    with pytest.raises(FlushError, match="fenced") as raised:
        producer.transact(records(output, b"zombie"), position, member.membership())
    assert raised.type is FlushError, "no message is to blame"
    assert later.transact(records(output, b"after"), position, member.membership()) is None
    assert read_committed(kafka, output) == [b"before", b"after"]


def test_a_producer_that_is_fenced_between_two_records_blames_no_message(
    settings: Settings, group: str, output: str, join: Callable[[], Member], producer: TransactionalProducer
) -> None:
    member = join()
    wait_for(lambda: len(member.poll()) == PARTITIONS, "the assignment")

    def fenced_on_the_way() -> Iterator[OutputRecord]:
        yield from records(output, b"a")
        TransactionalProducer(settings, f"{group}-host-0", Metrics()).begin()
        yield from records(output, b"b", b"c")

    with pytest.raises(FlushError, match="fenced") as raised:
        producer.transact(fenced_on_the_way(), {0: Position(7)}, member.membership())
    assert raised.type is FlushError


@pytest.mark.parametrize("later", [[], [b"b", b"c"]], ids=["before the offsets", "between two records"])
def test_a_transaction_that_takes_longer_than_its_time_has_an_error_of_its_own(
    kafka: KafkaServer, settings: Settings, group: str, output: str, join: Callable[[], Member], later: list[bytes]
) -> None:
    producer = TransactionalProducer(
        settings.model_copy(update={"kafka_producer": {"transaction.timeout.ms": 1000}}), f"{group}-host-0", Metrics()
    )
    producer.begin()
    member = join()
    wait_for(lambda: len(member.poll()) == PARTITIONS, "the assignment")
    reader = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "readers", "log_level": 0})

    def slow() -> Iterator[OutputRecord]:
        yield from records(output, b"a")
        at = TopicPartition(output, 0)
        wait_for(lambda: reader.get_watermark_offsets(at, timeout=10)[1] == 2, "the record and the broker's abort")
        yield from records(output, *later)

    with pytest.raises(TransactionTimeoutError, match=r"took longer than 1 seconds: .*fenced"):
        producer.transact(slow(), {0: Position(7)}, member.membership())
    reader.close()
    assert read_committed(kafka, output) == []
    assert member.start_offsets()[0] == (None, 0)


def test_records_too_large_for_their_topic_are_left_out_and_the_rest_is_committed_once(
    kafka: KafkaServer,
    output: str,
    join: Callable[[], Member],
    producer: TransactionalProducer,
    metrics: Metrics,
) -> None:
    member = join()
    wait_for(lambda: len(member.poll()) == PARTITIONS, "the assignment")
    values = [b"a" * 400, b"large" * 2000, b"b" * 500, b"c" * 600, b"larger" * 2000, b"large" * 2000]
    assert producer.transact(records(output, *values), {0: Position(7)}, member.membership()) is None
    assert sorted(value or b"" for value in read_committed(kafka, output)) == [values[0], values[2], values[3]]
    assert member.start_offsets()[0] == (Position(7), 7)
    assert metrics.records_too_large.labels(output)._value.get() == 3


def test_a_missing_topic_fails_the_flush_and_nothing_is_committed(
    join: Callable[[], Member], settings: Settings, group: str
) -> None:
    producer = TransactionalProducer(
        settings.model_copy(update={"kafka_producer": {"topic.metadata.propagation.max.ms": 500}}),
        f"{group}-host-1",
        Metrics(),
    )
    producer.begin()
    member = join()
    wait_for(lambda: len(member.poll()) == PARTITIONS, "the assignment")
    with pytest.raises(FlushError, match="nknown topic"):
        producer.transact(records("not-there", b"a"), {0: Position(7)}, member.membership())
    assert member.start_offsets()[0] == (None, 0)


def test_brokers_with_and_without_transactions_are_told_apart(settings: Settings) -> None:
    assert can_transact(settings, 10)
    with EmbeddedBroker() as broker:
        broker.forbid(INIT_PRODUCER_ID)
        there = settings.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
        assert not can_transact(there, 10)


def test_asking_for_transactions_ends_if_no_broker_answers() -> None:
    with EmbeddedBroker() as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, group_id="group")
        broker.set_down()
        with pytest.raises(BootError, match="Kafka transactions can't be used under the transactional id group"):
            can_transact(settings, 0.3)


def test_an_undecided_transaction_holds_up_its_own_partition_alone(
    kafka: KafkaServer, topic: str, group: str, join: Callable[[], Member]
) -> None:
    member = join()
    wait_for(lambda: len(member.poll()) == PARTITIONS, "the assignment")
    undecided = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": f"{group}-undecided"})
    undecided.init_transactions(10)
    undecided.begin_transaction()
    undecided.send_offsets_to_transaction([TopicPartition(topic, 0, 7)], member.membership(), 10)
    assert member.start_offsets() == dict.fromkeys(range(1, PARTITIONS), (None, 0))
    undecided.abort_transaction(10)
    wait_for(lambda: member.start_offsets().keys() == set(range(PARTITIONS)), "the first partition")
