"""A transaction goes on when all its connections are lost in the middle of a request, and the network stays away."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer

from recording_worker.kafka.offsets import Position
from recording_worker.kafka.transactions import TransactionalProducer
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from tests.faults.ledger import CommittedReader
from tests.faults.proxy import Api, Mode, Proxy, Side
from tests.servers.kafka import KafkaServer

AWAY_SECONDS = 1.5
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
    name = f"t{next(NUMBERS)}"
    for topic in (name, f"{name}-out"):
        link.kafka.create_topic(topic)
    settings = Settings(bootstrap_servers=f"127.0.0.1:{link.proxy.port}", topic=name, group_id=name)
    producer = TransactionalProducer(settings, name, Metrics())
    producer.begin()
    membership = _of_no_member(link.kafka, name)

    def transact(value: bytes, offset: int) -> object:
        record = OutputRecord(f"{name}-out", b"key", value, [], 0)
        return producer.transact([record], {0: Position(offset)}, membership)

    # librdkafka's calls can't be interrupted: if one never returns, only its thread hangs
    first: Future[object] = Future()
    trap = link.proxy.trap(api, side=side)
    threading.Thread(target=lambda: first.set_result(transact(b"first", 1)), daemon=True).start()
    caught = trap.wait()
    caught.cut(0.5)
    link.proxy.set_mode(Mode.REFUSING)
    time.sleep(AWAY_SECONDS)
    link.proxy.set_mode(Mode.OPEN)
    assert first.result(60) is None
    assert transact(b"second", 2) is None

    reader = CommittedReader(link.kafka.bootstrap_servers, [f"{name}-out"])
    assert [record.value() for record in reader.read_to_end(30)] == [b"first", b"second"]
    reader.close()


def _of_no_member(kafka: KafkaServer, group: str) -> bytes:
    """What a client that has not joined says: taken while the group has no members."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group, "log_level": 0})
    membership = consumer.consumer_group_metadata()
    consumer.close()
    assert isinstance(membership, bytes)
    return membership
