"""Patience: trying requests to S3 again, within bounds."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError
from tenacity import RetryCallState, Retrying, retry_if_exception

from recording_worker.storage.s3.errors import (
    CutAnswerError,
    code_of,
    describe,
    is_throttling,
    is_transient,
    never_arrived,
    retry_after,
)

FIRST_PAUSE = 0.1
"""Longest pause after a first failure, seconds; it doubles by each further one."""
FIRST_PAUSE_THROTTLED = 1.0
"""The same where the server asks for fewer requests."""
LONGEST_PAUSE = 20.0

log = logging.getLogger(__name__)


class StoppedError(Exception):
    """Trying again was called off."""


class Patience:
    """Tries requests again while what they fail with may pass: for so many seconds after the first failure of all.

    For requests that belong together, from several threads. Pauses are exponential with full jitter, and no
    shorter than what the server asks for with Retry-After.
    """

    def __init__(self, seconds: float, on_failure: Callable[[BaseException], None] = lambda _: None) -> None:
        """`on_failure` is told of each failure that is followed by another try."""
        self._seconds = seconds
        self._on_failure = on_failure
        self._until: float | None = None
        self._stopped = threading.Event()
        self.unanswered = 0
        """How often a request failed that may have been carried out."""

    def call(self, request: Callable[..., Any], *, expected: str | None = None, **arguments: Any) -> Any:
        """What the request returns. Raises what it failed with at last, or StoppedError.

        An answer without the key `expected` was cut, and counts as a failure.
        """
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=self._is_over,
            wait=self._pause,
            sleep=self._sleep,
            before_sleep=self._before_sleep,
            reraise=True,
        )
        return retrying(self._ask, request, expected, arguments)

    def stop(self) -> None:
        """Have all that is tried again fail."""
        self._stopped.set()

    @staticmethod
    def _ask(request: Callable[..., Any], expected: str | None, arguments: dict[str, Any]) -> Any:
        try:
            answer = request(**arguments)
        except BotoCoreError:  # some of these are ValueErrors as well
            raise
        except ValueError as error:  # boto3 does not expect half a date
            raise CutAnswerError(f"the answer can't be read: {error}") from error
        if expected is not None and expected not in answer:
            raise CutAnswerError(f"the answer was cut: it has no {expected}")
        return answer

    def _is_over(self, state: RetryCallState) -> bool:
        if not never_arrived(_error_of(state)):
            self.unanswered += 1
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        return now >= self._until or self._stopped.is_set()

    def _pause(self, state: RetryCallState) -> float:
        error = _error_of(state)
        first = FIRST_PAUSE_THROTTLED if is_throttling(error) else FIRST_PAUSE
        longest = min(LONGEST_PAUSE, first * 2.0 ** min(state.attempt_number - 1, 20))
        pause = random.uniform(0, longest) + retry_after(error)
        return max(0.0, min(pause, (self._until or 0) - time.monotonic()))

    def _before_sleep(self, state: RetryCallState) -> None:
        error = _error_of(state)
        self._on_failure(error)
        log.warning(
            "S3 request failed, trying again in %.1f s: %s: %s", state.upcoming_sleep, code_of(error), describe(error)
        )

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StoppedError("stopped")


def _error_of(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    assert error is not None
    return error
