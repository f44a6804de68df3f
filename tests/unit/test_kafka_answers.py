"""What is known of Kafka by the supervisor's small requests."""

import time
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from recording_worker.kafka.answers import KafkaAnswers
from recording_worker.metrics import Metrics
from tests.builders import FakeClock, counted

TIMED_OUT = KafkaError._TIMED_OUT


class Bench:
    def __init__(self) -> None:
        self.clock, self.metrics = FakeClock(), Metrics()
        self.answers = KafkaAnswers(self.clock, self.metrics)

    def ask(self, after_ms: int, error: int | None = None) -> None:
        """Follow a request that ends after a time, with an error or without one."""
        request: Future[str] = Future()
        self.answers.follow(request)
        self.clock.ms += after_ms
        if error is None:
            request.set_result("described")
        else:
            request.set_exception(KafkaException(KafkaError(error)))
        self.answers.take(request)


def test_an_answer_says_how_long_it_took() -> None:
    bench = Bench()
    assert (str(bench.answers), bench.answers.silent_for()) == ("not asked yet", 0)
    bench.ask(after_ms=25)
    assert str(bench.answers) == "answers in 25 ms"
    assert counted(bench.metrics, "kafka_round_trip_seconds") == pytest.approx(0.025, abs=1e-6)
    assert counted(bench.metrics, "kafka_answered_timestamp_seconds") == pytest.approx(time.time(), abs=600)


def test_what_a_broker_refuses_is_an_answer() -> None:
    bench = Bench()
    bench.ask(after_ms=25, error=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert (str(bench.answers), bench.answers.silent_for()) == ("answers in 25 ms", 0)


def test_silence_counts_from_the_first_request_that_nobody_answers() -> None:
    bench = Bench()
    bench.ask(after_ms=25)
    with capture_logs() as logs:
        bench.ask(after_ms=3_000, error=TIMED_OUT)
        assert bench.answers.silent_for() == 3
        bench.clock.ms += 500
        bench.ask(after_ms=3_000, error=TIMED_OUT)
        assert bench.answers.silent_for() == 6.5
        assert str(bench.answers).startswith("no answer for 6 s: ")
        bench.ask(after_ms=10)
    assert [(line["event"], line.get("silent_seconds")) for line in logs] == [
        ("Kafka does not answer", None),
        ("Kafka answers again", 6.5),
    ]
    assert (str(bench.answers), bench.answers.silent_for()) == ("answers in 10 ms", 0)


def test_a_request_that_is_long_under_way_counts_as_silence_already() -> None:
    bench = Bench()
    request: Future[str] = Future()
    bench.answers.follow(request)
    bench.clock.ms += 1_000
    assert bench.answers.silent_for() == 0
    bench.clock.ms += 1_000
    assert bench.answers.silent_for() == 2
    assert str(bench.answers) == "no answer for 2 s"


def test_what_the_client_says_of_its_connection_is_told() -> None:
    bench = Bench()
    refused = KafkaError(KafkaError._TRANSPORT, "kafka:9092/1: Connection refused")
    bench.answers.client_error(refused)
    with capture_logs() as logs:
        bench.ask(after_ms=3_000, error=TIMED_OUT)
    assert "Connection refused" in logs[0]["error"]
    assert "Connection refused" in str(bench.answers)
    bench.ask(after_ms=10)
    bench.ask(after_ms=3_000, error=TIMED_OUT)
    assert "Connection refused" not in str(bench.answers)
