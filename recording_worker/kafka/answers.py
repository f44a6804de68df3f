"""KafkaAnswers: whether the brokers answer the supervisor's small requests, and how fast."""

import time
from concurrent.futures import Future
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException

from recording_worker.clock import Clock
from recording_worker.metrics import Metrics

log = structlog.get_logger()

_PATIENCE = 1.0
"""Seconds that a request may be on its way before it counts as not answered."""


class KafkaAnswers:
    """What is known of the requests that were followed. For one thread.

    An error that a broker says is an answer. An error of librdkafka itself is not.
    """

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._asked_at: float | None = None
        """When the request was sent that is under way."""
        self._silent_since: float | None = None
        """When the first of the requests was sent that nobody has answered."""
        self._round_trip: float | None = None
        self._ended = 0.0
        self._problem = ""
        """What a client said of its connection since the last answer."""

    def client_error(self, error: KafkaError) -> None:
        """Take an error of the client's connections (`error_cb`), which says more than a time-out."""
        self._problem = error.str()

    def follow(self, request: "Future[Any]") -> None:
        """Watch a request that was just sent. `take` must be called once it is done."""
        self._asked_at = self._ended = self._clock.monotonic()
        request.add_done_callback(self._note_end)  # on a thread of the client

    def take(self, request: "Future[Any]") -> None:
        """Note how a request ended."""
        assert self._asked_at is not None
        asked_at, self._asked_at = self._asked_at, None
        problem = request.exception()
        error = problem.args[0] if isinstance(problem, KafkaException) else None
        if error is not None and error.code() < 0:
            self._note_silence(asked_at, error)
            return
        if self._silent_since is not None:
            log.warning("Kafka answers again", silent_seconds=round(self._ended - self._silent_since, 1))
        self._silent_since, self._problem = None, ""
        self._round_trip = max(0.0, self._ended - asked_at)
        self._metrics.kafka_round_trip.set(self._round_trip)
        self._metrics.kafka_answered.set(time.time())

    def silent_for(self) -> float:
        """Return for how many seconds no broker has answered; 0 if the last request was answered, or is new."""
        now = self._clock.monotonic()
        if self._silent_since is not None:
            return now - self._silent_since
        if self._asked_at is not None and now - self._asked_at > _PATIENCE:
            return now - self._asked_at
        return 0.0

    def __str__(self) -> str:
        """For people: how fast the brokers answer, or for how long they have not."""
        silent = self.silent_for()
        if silent:
            return f"no answer for {silent:.0f} s" + (f": {self._problem}" if self._problem else "")
        return "not asked yet" if self._round_trip is None else f"answers in {1000 * self._round_trip:.0f} ms"

    def _note_end(self, _request: "Future[Any]") -> None:
        self._ended = self._clock.monotonic()

    def _note_silence(self, asked_at: float, error: KafkaError) -> None:
        if self._silent_since is None:
            self._silent_since = asked_at
            self._problem = self._problem or error.str()
            log.warning("Kafka does not answer", error=self._problem)
