"""Calls of a transaction that are made again: which errors allow it, and for how long."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from recording_worker.kafka.transactional_client import retry_until_decided

RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "too slow", False, True, False)
FATAL = KafkaError(KafkaError._FENCED, "fenced", True, True, False)
ABORTABLE = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "denied", False, False, True)


def failing(*errors: KafkaError) -> tuple[list[float], Callable[[float], None]]:
    """Return a call that fails with these errors and then succeeds, and the time-outs that it was given."""
    left, timeouts = list(errors), list[float]()

    def call(timeout: float) -> None:
        timeouts.append(timeout)
        if left:
            raise KafkaException(left.pop(0))

    return timeouts, call


def test_a_call_with_a_retriable_error_is_made_again_until_it_succeeds() -> None:
    timeouts, call = failing(RETRIABLE, RETRIABLE)
    waits: list[str] = []
    with capture_logs() as logs:
        retry_until_decided(call, lambda: waits.append("still waiting"))
    assert timeouts == [5.0] * 3
    assert len(waits) == 2
    assert [(line["event"], "too slow" in line["error"]) for line in logs] == [
        ("Kafka transaction: waiting for the broker", True)
    ] * 2


@pytest.mark.parametrize("error", [FATAL, ABORTABLE])
def test_any_other_error_is_raised_at_once(error: KafkaError) -> None:
    timeouts, call = failing(RETRIABLE, error)
    with pytest.raises(KafkaException) as raised:
        retry_until_decided(call)
    assert raised.value.args[0] is error
    assert len(timeouts) == 2


def test_a_retriable_error_is_raised_once_the_time_is_over() -> None:
    timeouts, call = failing(*[RETRIABLE] * 10)
    with pytest.raises(KafkaException, match="too slow"):
        retry_until_decided(call, timeout=0)
    assert timeouts == [0]
