"""What librdkafka says, in plain words."""

import logging

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER
from recording_worker.kafka.log_lines import log_error


@pytest.mark.parametrize(
    ("line", "level", "event"),
    [
        ("REQTMOUT [worker#producer-1] [thrd:b]: Timed out 3 in-flight", "warning", "a broker does not answer in time"),
        ("CONFWARN [x#y] [thrd:app]: Configuration property x is ignored", "debug", "a property has no effect here"),
        ("MAXPOLL [x#y] [thrd:main]: Application maximum poll interval exceeded", "error", "leaves the group"),
        ("MAXPOLL [thrd:main]: said by the consumer of a worker", "error", "leaves the group"),
        ("NEWWORD [x#y] [thrd:main]: something else", "warning", "Kafka client"),
        ("no facility at all", "warning", "Kafka client"),
    ],
)
def test_a_line_has_a_meaning_and_a_level(line: str, level: str, event: str) -> None:
    with capture_logs() as logged:
        LIBRDKAFKA_LOGGER.log(logging.WARNING, "%s", line)
    [entry] = logged
    assert entry["log_level"] == level
    assert event in entry["event"]


def test_what_comes_as_an_error_too_is_left_out() -> None:
    with capture_logs() as logged:
        LIBRDKAFKA_LOGGER.error("%s [%s] %s", "FAIL", "worker#consumer-1", "[thrd:b]: Connect to b failed")
    assert logged == []


def test_errors_are_in_plain_words_and_the_same_each_time() -> None:
    with capture_logs() as logged:
        for spent in (0, 17):
            text = (
                f"b:9092: Connect failed: refused (after {spent}ms in state CONNECT, 3 identical error(s) suppressed)"
            )
            log_error(KafkaError(KafkaError._TRANSPORT, text))
    assert logged[0] == logged[1]
    assert logged[0]["event"] == "Kafka client: a connection failed"
    assert logged[0]["error"] == "b:9092: Connect failed: refused"
