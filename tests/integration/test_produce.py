"""`recording-worker produce` to the embedded broker."""

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from recording_worker.kafka.embedded import EmbeddedBroker
from tests.integration.command import Result, run
from tests.sample import SAMPLE, sample_messages
from tests.waiting import wait_for

TOPIC, PARTITIONS = "recordings", 3

JAVA_HASHES = {
    "21": -973932308,
    "abc": 479470107,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
}
"""Keys and their murmur2, from the tests of Kafka's Java client."""


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        embedded.create_topic(TOPIC, PARTITIONS)
        yield embedded


def produce(broker: EmbeddedBroker, *arguments: str | Path) -> Result:
    return run("produce", *arguments, "--topic", TOPIC, "--bootstrap-servers", broker.bootstrap_servers)


def read(broker: EmbeddedBroker, count: int) -> list[KafkaMessage]:
    """Read the first messages; each partition's come in order."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "readers", "log_level": 0})
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(PARTITIONS)])
    messages: list[KafkaMessage] = []
    while len(messages) < count:
        messages += consumer.consume(count, timeout=1)
    consumer.close()
    return messages


def write(path: Path, *keys: str, size: int = 10) -> Path:
    lines = [
        {
            "partition_key": key,
            "timestamp_ms": 1_795_000_000_000 + number,
            "headers": [["number", str(number)], ["number", "again"]],
            "value_b64": base64.b64encode(bytes(size)).decode(),
        }
        for number, key in enumerate(keys)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_messages_arrive_unchanged(broker: EmbeddedBroker) -> None:
    small = [message for message in sample_messages() if len(message.value or b"") < 100_000]
    result = produce(broker, SAMPLE)
    assert (result.code, result.err) == (0, "")
    assert re.search(r"messages\W+82\b", result.out)
    found = {(message.key(), message.value()): message for message in read(broker, 82)}
    assert len(small) > 50
    for message in small:
        arrived = found[message.key, message.value]
        assert arrived.headers() == message.headers
        assert arrived.timestamp()[1] == message.timestamp_ms


def test_keys_decide_the_partition_as_with_java_clients(broker: EmbeddedBroker, tmp_path: Path) -> None:
    assert produce(broker, write(tmp_path / "keys", *JAVA_HASHES)).code == 0
    arrived = {(message.key() or b"").decode(): message.partition() for message in read(broker, len(JAVA_HASHES))}
    assert arrived == {key: (number & 0x7FFF_FFFF) % PARTITIONS for key, number in JAVA_HASHES.items()}


def test_no_faster_than_the_rate(broker: EmbeddedBroker, tmp_path: Path) -> None:
    started = time.monotonic()
    assert produce(broker, write(tmp_path / "keys", *"abcdefghijk"), "--rate", "10").code == 0
    assert time.monotonic() - started >= 1


def test_lines_before_a_bad_one_are_sent(broker: EmbeddedBroker, tmp_path: Path) -> None:
    path = write(tmp_path / "bad", "a", "b")
    with path.open("a") as file:
        file.write("[]\n")
    result = produce(broker, path)
    assert (result.code, result.error) == (1, f"{path}:3: not a JSON object")
    assert len(read(broker, 2)) == 2


def test_a_followed_group_never_falls_behind_what_the_broker_keeps(broker: EmbeddedBroker, tmp_path: Path) -> None:
    count, size = 40, 500_000
    stop = threading.Event()
    received: list[int] = []

    def consume() -> None:
        settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "slow", "enable.auto.commit": False}
        consumer = Consumer(settings | {"auto.offset.reset": "earliest", "log_level": 0})
        consumer.subscribe([TOPIC])
        while not stop.is_set():
            arrived = consumer.consume(2, timeout=0.1)
            received.extend(len(message.value() or b"") for message in arrived if message.error() is None)
            try:
                consumer.commit(asynchronous=False)
            except KafkaException:
                continue  # nothing to commit yet, or a rebalance: next time
        consumer.close()

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        result = produce(broker, write(tmp_path / "large", *["one key"] * count, size=size), "--follow-group", "slow")
        assert (result.code, result.err) == (0, "")
        wait_for(lambda: len(received) >= count, "all to arrive")
    finally:
        stop.set()
        thread.join()
    assert received == [size] * count


def test_what_the_embedded_broker_would_lose_is_refused(broker: EmbeddedBroker, tmp_path: Path) -> None:
    path = write(tmp_path / "large", "key", size=3_000_000)
    result = produce(broker, path, "--follow-group", "readers")
    assert result.code == 1
    assert result.error.startswith(f"{path}:1: a message of 3,000,")
    assert "too large to be sent while a group is followed" in result.error


def test_messages_the_broker_refuses_are_counted(broker: EmbeddedBroker, tmp_path: Path) -> None:
    broker.push_request_errors(0, [10] * 20)  # Produce: MESSAGE_TOO_LARGE
    result = produce(broker, write(tmp_path / "keys", *"abc"))
    assert result.code == 1
    assert result.error == "Kafka refused 3 of 3 messages, most often because: Broker: Message size too large"
    assert re.search(r"refused: Broker: Message size too large\W+3\b", result.out)


def test_a_missing_broker() -> None:
    result = run("produce", SAMPLE, "--bootstrap-servers", "127.0.0.1:1")
    assert result.code == 3
    assert result.error.startswith("no Kafka broker reachable at 127.0.0.1:1: ")


def test_a_missing_topic(broker: EmbeddedBroker) -> None:
    result = run("produce", SAMPLE, "--topic", "nowhere", "--bootstrap-servers", broker.bootstrap_servers)
    assert result.code == 3
    assert "topic nowhere" in result.error
