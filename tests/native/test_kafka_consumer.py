"""What the consumer of the core says if it can't be made. tests/integration reads real messages with it."""

import pytest

from recording_worker import _native
from recording_worker.kafka.consumer import librdkafka_file


def test_a_library_that_is_not_there_or_not_loaded() -> None:
    for library in ("/nowhere/librdkafka.so", "libm.so.6.1"):
        with pytest.raises(ValueError, match=f"^librdkafka can't be used: {library}$"):
            _native.KafkaConsumer(library, {}, "topic")


def test_a_library_that_is_something_else() -> None:
    with pytest.raises(ValueError, match="librdkafka can't be used"):
        _native.KafkaConsumer("libc.so.6", {}, "topic")


@pytest.mark.parametrize(("name", "value"), [("no.such.property", "1"), ("session.timeout.ms", "soon")])
def test_a_property_that_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        _native.KafkaConsumer(librdkafka_file(), {name: value}, "topic")


def test_a_consumer_without_a_broker_waits_says_why_and_closes() -> None:
    properties = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": "7"}
    consumer = _native.KafkaConsumer(librdkafka_file(), properties, "topic")
    consumer.assign({0: 0})
    columns, faults = consumer.poll(10, 1, 0.5)
    assert [len(column) for column in columns] == [0] * 6
    assert consumer.positions([0]) < [0]
    with pytest.raises(OSError, match=r".+"):
        consumer.watermarks(0, 0.1)
    consumer.unassign([0])
    assert faults == [] or all(text for _, _, text in faults)
    assert any(level == -1 for level, _, _ in consumer.take_events())
    consumer.close()
    consumer.close()
