"""Calls of a transaction, and questions to a coordinator, that are made again: which errors allow it, how long."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from recording_worker.kafka.admin import ask_coordinator
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


def answering(*errors: int) -> tuple[list[object], Callable[..., "dict[str, Future[str]]"]]:
    """Return a question that is refused with these errors and then answered, and what was asked."""
    left, asked = list(errors), list[object]()

    def ask(requests: list[object], **_options: object) -> "dict[str, Future[str]]":
        asked.extend(requests)
        answer = Future[str]()
        if left:
            answer.set_exception(KafkaException(KafkaError(left.pop(0))))
        else:
            answer.set_result("offsets")
        return {"recorders": answer}

    return asked, ask


def test_a_coordinator_that_is_away_is_asked_again() -> None:
    """A broker that has just started says so for a moment."""
    asked, ask = answering(
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR
    )
    assert ask_coordinator("recorders", ask, "request") == "offsets"
    assert asked == ["request"] * 4


def test_a_coordinator_that_refuses_is_asked_once() -> None:
    asked, ask = answering(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException) as refused:
        ask_coordinator("recorders", ask, "request")
    assert refused.value.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED
    assert asked == ["request"]
