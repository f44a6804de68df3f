"""Transactions when connections are lost in the middle of a request: they go on, and what arrives late is refused."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from recording_worker.errors import WorkerError
from recording_worker.kafka.offsets import Position
from recording_worker.kafka.transactions import TransactionalProducer
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from tests.faults.ledger import CommittedReader
from tests.faults.proxy import Api, Mode, Proxy, Side
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

AWAY_SECONDS = 1.5
CONCURRENT_TRANSACTIONS = 51
"""What a broker answers while it still ends the transaction before, or notes a change of this one. It does nothing."""
REFUSED = {KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED, CONCURRENT_TRANSACTIONS}
NUMBERS = itertools.count()


class Link(NamedTuple):
    """A broker, and the way to it that can be cut."""

    kafka: KafkaServer
    proxy: Proxy


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    proxy = Proxy()
    advertised = {"PROXY": f"127.0.0.1:{proxy.port}"}
    with KafkaServer(tmp_path_factory.mktemp("kafka"), advertised=advertised) as kafka:
        proxy.connect_to(kafka.ports["PROXY"])
        yield Link(kafka, proxy)
    proxy.close()


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("api", [Api.PRODUCE, Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT, Api.END_TXN])
def test_transaction_goes_on(link: Link, api: Api, side: Side) -> None:
    transactions = Transactions(link)
    trap = link.proxy.trap(api, side=side)
    first = transactions.start(b"first", 1)
    trap.wait().cut(0.5)
    link.proxy.set_mode(Mode.REFUSING)
    time.sleep(AWAY_SECONDS)
    link.proxy.set_mode(Mode.OPEN)
    assert first.result(60) is None
    assert transactions.start(b"second", 2).result(60) is None
    assert transactions.committed() == ([b"first", b"second"], 2)


@pytest.mark.parametrize(
    ("late", "meets"),
    [
        (Api.PRODUCE, Api.END_TXN),
        (Api.ADD_PARTITIONS_TO_TXN, Api.END_TXN),
        (Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT),
        (Api.TXN_OFFSET_COMMIT, Api.END_TXN),
        (Api.END_TXN, Api.TXN_OFFSET_COMMIT),
    ],
)
def test_request_that_arrives_in_the_next_transaction_changes_nothing(link: Link, late: Api, meets: Api) -> None:
    transactions = Transactions(link)
    trap = link.proxy.trap(late)
    first = transactions.start(b"first", 1)
    request = trap.wait().keep_back()
    assert first.result(60) is None

    trap = link.proxy.trap(meets)
    second = transactions.start(b"second", 2)
    held = trap.wait()
    answer = link.proxy.deliver_late(request)
    held.forward()
    assert second.result(60) is None
    assert transactions.committed() == ([b"first", b"second"], 2)
    if late in (Api.ADD_OFFSETS_TO_TXN, Api.END_TXN):
        assert error_in(answer) in REFUSED


def test_late_offsets_between_two_transactions_hold_up_nobody(link: Link) -> None:
    transactions = Transactions(link)
    trap = link.proxy.trap(Api.ADD_OFFSETS_TO_TXN)
    first = transactions.start(b"first", 1)
    request = trap.wait().keep_back()
    assert first.result(60) is None
    errors: list[int] = []

    def is_taken() -> bool:
        errors.append(error_in(link.proxy.deliver_late(request)))
        return errors[-1] != CONCURRENT_TRANSACTIONS

    wait_for(is_taken, "the first transaction has ended", 30)
    assert errors[-1] == 0, "the broker takes it for a new transaction"
    assert transactions.start(b"second", 2).result(60) is None
    assert transactions.committed() == ([b"first", b"second"], 2)


class Transactions:
    """A worker's producer behind the proxy, with topics of its own."""

    def __init__(self, link: Link) -> None:
        self._topic = f"t{next(NUMBERS)}"
        self._kafka = link.kafka
        for topic in (self._topic, f"{self._topic}-out"):
            link.kafka.create_topic(topic)
        address = f"127.0.0.1:{link.proxy.port}"
        settings = Settings(bootstrap_servers=address, topic=self._topic, group_id=self._topic)
        self._producer = TransactionalProducer(settings, self._topic, Metrics())
        self._producer.begin()
        self._membership = _of_no_member(link.kafka, self._topic)

    def start(self, value: bytes, offset: int) -> Future[object]:
        """Begin a transaction of one record and one offset. librdkafka's calls can't be interrupted, so on a thread."""
        done: Future[object] = Future()
        record = OutputRecord(f"{self._topic}-out", b"key", value, [], 0)

        def transact() -> None:
            try:
                done.set_result(self._producer.transact([record], {0: Position(offset)}, self._membership))
            except WorkerError as error:
                done.set_exception(error)

        threading.Thread(target=transact, daemon=True).start()
        return done

    def committed(self) -> tuple[list[bytes | None], int]:
        """The records and the offset that count."""
        reader = CommittedReader(self._kafka.bootstrap_servers, [f"{self._topic}-out"])
        values = [record.value() for record in reader.read_to_end(30)]
        reader.close()
        group = Consumer({"bootstrap.servers": self._kafka.bootstrap_servers, "group.id": self._topic})
        [at] = group.committed([TopicPartition(self._topic, 0)], timeout=30)
        group.close()
        return values, at.offset


def error_in(answer: bytes) -> int:
    """The error of an answer to AddOffsetsToTxn or EndTxn: after its size, its correlation id and the throttle time."""
    return int.from_bytes(answer[12:14], "big", signed=True)


def _of_no_member(kafka: KafkaServer, group: str) -> bytes:
    """What a client that has not joined says: taken while the group has no members."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group, "log_level": 0})
    membership = consumer.consumer_group_metadata()
    consumer.close()
    assert isinstance(membership, bytes)
    return membership
