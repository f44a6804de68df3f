"""KafkaAnswers: whether the brokers answer the supervisor's small requests, and how fast."""

from concurrent.futures import Future
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from recording_worker.clock import Clock
from recording_worker.dependencies import DependencyWatch


class KafkaAnswers:
    """Tells a watch how the requests end that are followed.

    An error that a broker says is an answer. An error of librdkafka itself is not.
    """

    def __init__(self, clock: Clock, watch: DependencyWatch) -> None:
        self._clock = clock
        self._watch = watch
        self._problem = ""
        """What a client said of its connection since the last answer."""

    def client_error(self, error: KafkaError) -> None:
        """Take an error of the client's connections (`error_cb`), which says more than a time-out."""
        self._problem = error.str()

    def follow(self, request: "Future[Any]") -> None:
        """Watch a request that was just sent. Its end is noted on the thread of the client, whatever others do."""
        self._watch.asks()
        request.add_done_callback(partial(self._take, self._clock.monotonic()))

    def _take(self, asked_at: float, request: "Future[Any]") -> None:
        problem = request.exception()
        error = problem.args[0] if isinstance(problem, KafkaException) else None
        if error is not None and error.code() < 0:
            self._watch.failed(self._problem or error.str())
        else:
            self._problem = ""
            self._watch.worked(self._clock.monotonic() - asked_at)
