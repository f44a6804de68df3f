"""What is known of Kafka by the supervisor's small requests."""

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from recording_worker.dependencies import KAFKA, DependencyWatch
from recording_worker.kafka.answers import KafkaAnswers
from tests.builders import FakeClock

TIMED_OUT = KafkaError._TIMED_OUT


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.watch = DependencyWatch(KAFKA, self.clock)
        self.answers = KafkaAnswers(self.clock, self.watch)

    def ask(self, after_ms: int, error: int | None = None) -> None:
        """Follow a request that ends after a time, with an error or without one."""
        request: Future[str] = Future()
        self.answers.follow(request)
        self.clock.ms += after_ms
        if error is None:
            request.set_result("described")
        else:
            request.set_exception(KafkaException(KafkaError(error)))

    @property
    def failing_for(self) -> float | None:
        since = self.watch.state.failing_since
        return None if since is None else self.clock.monotonic() - since


def test_an_answer_says_how_long_it_took() -> None:
    bench = Bench()
    bench.ask(after_ms=25)
    assert bench.watch.state.seconds == pytest.approx(0.025, abs=1e-6)
    assert bench.failing_for is None


def test_what_a_broker_refuses_is_an_answer() -> None:
    bench = Bench()
    bench.ask(after_ms=25, error=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert bench.failing_for is None
    assert bench.watch.state.answered_at == bench.clock.now_ms() / 1000


def test_a_failure_counts_from_the_first_request_that_nobody_answers() -> None:
    bench = Bench()
    bench.ask(after_ms=25)
    bench.ask(after_ms=3_000, error=TIMED_OUT)
    assert bench.failing_for == 3
    bench.clock.ms += 500
    bench.ask(after_ms=3_000, error=TIMED_OUT)
    assert bench.failing_for == 6.5
    bench.ask(after_ms=10)
    assert bench.failing_for is None


def test_what_the_client_says_of_its_connection_is_told() -> None:
    bench = Bench()
    bench.answers.client_error(KafkaError(KafkaError._TRANSPORT, "kafka:9092/1: Connection refused"))
    bench.ask(after_ms=3_000, error=TIMED_OUT)
    assert "Connection refused" in bench.watch.state.problem
    bench.ask(after_ms=10)
    bench.ask(after_ms=3_000, error=TIMED_OUT)
    assert "Connection refused" not in bench.watch.state.problem
