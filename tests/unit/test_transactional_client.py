"""A new producer takes over after a call that may have needed a second request, and only then."""

import logging
import time
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from recording_worker.kafka.transactional_client import TransactionalClient

QUIET = logging.Logger("quiet")


def client(pause_ms: int, **more: Any) -> TransactionalClient:
    """`pause_ms`: librdkafka's pause before a second request. Nobody listens at the address."""
    config = {"bootstrap.servers": "127.0.0.1:1", "transactional.id": "t", "log_level": 0, "retry.backoff.ms": pause_ms}
    return TransactionalClient({**config, "retry.backoff.max.ms": 300_000, **more}, QUIET)


def test_a_call_that_is_answered_before_a_second_request_keeps_the_producer() -> None:
    made = client(300_000)
    before = made.producer
    made.decide(lambda _timeout: None)
    made.settle()
    assert not made.in_doubt
    assert made.producer is before


@pytest.mark.parametrize("more", [{}, {"retry.backoff.ms": 1000, "retry.backoff.max.ms": 1}])
def test_a_call_that_takes_longer_puts_the_producer_in_doubt(more: dict[str, int]) -> None:
    made = client(1, **more)
    made.decide(lambda _timeout: time.sleep(0.002))
    made.decide(lambda _timeout: None)
    assert made.in_doubt


def test_a_call_that_fails_late_puts_the_producer_in_doubt() -> None:
    def fail(_timeout: float) -> None:
        time.sleep(0.002)
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))

    made = client(1)
    with pytest.raises(KafkaException):
        made.decide(fail)
    assert made.in_doubt


def test_the_new_producer_fences_the_old_one_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = client(1)
    before, fenced = made.producer, []
    monkeypatch.setattr(made, "fence", lambda _waiting: fenced.append(made.producer))
    made.decide(lambda _timeout: time.sleep(0.002))
    made.settle()
    made.settle()
    assert fenced == [made.producer] != [before]
    assert not made.in_doubt
