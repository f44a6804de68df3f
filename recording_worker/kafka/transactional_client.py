"""TransactionalClient: librdkafka's producer for transactions, without requests that arrive late.

librdkafka sends a request again if its connection is lost, and does not say so. The first one may still be on its way.
A commit that arrives late ends the *next* transaction if that has the same producer epoch, and offsets that arrive late
replace newer ones (librdkafka issue 5423; before KIP-890 no broker refuses them). So after a call that may have needed
a second request, a new producer takes over: its first request moves the epoch, and brokers refuse what is older.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, stop_never

from recording_worker.kafka.clients import as_config_error, is_fatal

log = structlog.get_logger()

_CALL_TIMEOUT = 5.0
"""Seconds that a call waits before it is made again; it then goes on with what it began. The manual advises to let it
wait until it is decided, but meanwhile nobody would know that it waits."""

RETRY_PAUSE_MS = 500
"""librdkafka's pause before it sends a request again, unless the user sets another. It tells a request that was
answered from one that was sent again, so it is longer than brokers usually take to commit."""
_LONGEST_PAUSE_MS = 1000
"""librdkafka's default of retry.backoff.max.ms."""
_SHORTEST_PAUSE = 0.8
"""librdkafka varies the pause at random, from this share of it on."""


class TransactionalClient:
    """A producer, or the one after it. Its calls are made on `producer`, those that talk to brokers by `decide`."""

    def __init__(self, config: Mapping[str, Any], logger: logging.Logger) -> None:
        """Raises ConfigError."""
        self._config = {"retry.backoff.ms": RETRY_PAUSE_MS, **config}
        self._logger = logger
        pause = min(
            float(self._config["retry.backoff.ms"]), float(config.get("retry.backoff.max.ms", _LONGEST_PAUSE_MS))
        )
        self._at_once = _SHORTEST_PAUSE * pause / 1000
        """In less time, seconds, no request was sent a second time."""
        self.in_doubt = False
        """Whether a request may still be on its way to a broker."""
        self.producer = self._new()

    def fence(self, waiting: Callable[[], None]) -> None:
        """Fence all earlier producers with the transactional id, and abort what they left open. Raises KafkaException.

        Waits for the broker as long as it takes, and calls `waiting` every few seconds.
        """
        retry_until_decided(self.producer.init_transactions, waiting)

    def settle(self, waiting: Callable[[], None] = lambda: None) -> None:
        """See to it before a transaction that no request from before can meet it. Raises KafkaException."""
        if self.in_doubt:
            log.info("Kafka transaction: a new producer takes over, a request of the last one may be late")
            self.producer = self._new()
            self.fence(waiting)
            self.in_doubt = False

    def decide(self, call: Callable[[float], Any], waiting: Callable[[], None] = lambda: None) -> None:
        """Make a call of the producer until the broker has decided. Raises KafkaException.

        `call` and `waiting`: see `retry_until_decided`.
        """
        began = time.monotonic()
        try:
            retry_until_decided(call, waiting)
        finally:
            self.in_doubt |= time.monotonic() - began >= self._at_once

    def _new(self) -> Producer:
        try:
            return Producer(self._config, logger=self._logger)
        except KafkaException as problem:
            raise as_config_error(problem) from problem


def retry_until_decided(
    call: Callable[[float], Any], waiting: Callable[[], None] = lambda: None, *, timeout: float | None = None
) -> None:
    """Make a call again while its error is retriable, for `timeout` seconds or without an end. Raises KafkaException.

    `call` takes the seconds that it may wait. `waiting` is called before each further call.
    """

    def before_retry(state: RetryCallState) -> None:
        assert state.outcome is not None
        log.warning("Kafka transaction: waiting for the broker", error=str(state.outcome.exception()))
        waiting()

    retrying = Retrying(
        retry=retry_if_exception(_is_retriable),
        stop=stop_never if timeout is None else stop_after_delay(timeout),
        before_sleep=before_retry,
        reraise=True,
    )
    retrying(call, _CALL_TIMEOUT if timeout is None else min(_CALL_TIMEOUT, timeout))


def _is_retriable(problem: BaseException) -> bool:
    if not isinstance(problem, KafkaException):
        return False
    error: KafkaError = problem.args[0]
    return bool(error.retriable()) and not is_fatal(error)
