"""RetryBudget: sends requests to S3 again after they failed, for a limited time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential
from tenacity.wait import wait_base

from recording_worker.storage.s3.errors import (
    CutAnswerError,
    code_of,
    describe,
    is_throttling,
    is_transient,
    never_arrived,
    retry_after,
)

_WAIT = wait_random_exponential(multiplier=0.1, max=20.0)
_THROTTLED_WAIT = wait_random_exponential(multiplier=1.0, max=20.0)

log = structlog.get_logger()


OnRequest = Callable[[str, float, bool, int], None]
"""Takes the operation, the seconds, whether it succeeded, and the bytes of its body if it did."""


class StoppedError(Exception):
    """The budget was stopped before a request was sent, or sent again."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long requests to S3 are tried again, in seconds, and with which pauses: exponential, with full jitter."""

    retry_for: float
    """Seconds after the first failure."""
    first_answer_for: float = 10.0
    """At most this long for the first request of a listing: if it fails, the address may be wrong."""
    check_for: float = 10.0
    """The same for the check that is made at the start."""
    abort_for: float = 5.0
    """The same for aborting a multipart upload. That only tidies up, and a life-cycle rule does it as well."""
    wait: wait_base = _WAIT
    throttled_wait: wait_base = _THROTTLED_WAIT
    """Used instead of `wait` if the server asks for fewer requests."""

    def within(self, seconds: float) -> "RetryPolicy":
        """Return this policy with another `retry_for`."""
        return replace(self, retry_for=seconds)


class RetryBudget:
    """Sends requests again if what they failed with may pass, for a time that begins with the first failure of all.

    One budget is for requests that belong together. Several threads may share it. A pause is no shorter than what
    the server asks for with Retry-After, and no longer than what is left of the budget.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        on_retry: Callable[[BaseException], None] = lambda _: None,
        on_answer: Callable[[float], None] = lambda _: None,
        on_request: OnRequest = lambda *_: None,
    ) -> None:
        """`on_retry` gets each failure that is followed by another try, `on_answer` the seconds of each success.

        `on_request` gets how each request ended.
        """
        self.policy = policy
        self._on_retry = on_retry
        self._on_answer = on_answer
        self.on_request = on_request
        self._until: float | None = None
        self._stopped = threading.Event()
        self.unanswered = 0
        """How many requests failed that the server may have carried out."""

    def call(self, request: Callable[..., Any], *, expected: str | None = None, **arguments: Any) -> Any:
        """Return what the request returns. Raises its last failure, or StoppedError.

        An answer that lacks the key `expected`, or the end of its text, was cut, which is a failure too.
        """
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=self._is_spent,
            wait=self._wait,
            sleep=self._sleep,
            before_sleep=self._before_sleep,
            reraise=True,
        )
        return retrying(self._ask, request, expected, arguments)

    def stop(self) -> None:
        """Make all calls that wait, fail or begin from now on give up."""
        self._stopped.set()

    def _ask(self, request: Callable[..., Any], expected: str | None, arguments: dict[str, Any]) -> Any:
        if self._stopped.is_set():
            raise StoppedError("stopped")
        began, succeeded = time.monotonic(), False
        try:
            answer = request(**arguments)
            if expected is not None and _is_cut(answer.get(expected)):
                raise CutAnswerError(f"the answer was cut: it has no {expected}")
            succeeded = True
        except BotoCoreError:  # some of these are ValueErrors as well
            raise
        except ValueError as error:  # boto3 does not expect half a date
            raise CutAnswerError(f"the answer can't be read: {error}") from error
        finally:
            sent = len(arguments.get("Body", b"")) if succeeded else 0
            self.on_request(request.__name__, time.monotonic() - began, succeeded, sent)
        self._on_answer(time.monotonic() - began)
        return answer

    def _is_spent(self, state: RetryCallState) -> bool:
        if not never_arrived(_error_of(state)):
            self.unanswered += 1
        return self._left() <= 0 or self._stopped.is_set()

    def _wait(self, state: RetryCallState) -> float:
        error = _error_of(state)
        wait = self.policy.throttled_wait if is_throttling(error) else self.policy.wait
        return max(0.0, min(wait(state) + retry_after(error), self._left()))

    def _left(self) -> float:
        """Return the seconds that are left since the first failure, which is now if there was none."""
        now = time.monotonic()
        if self._until is None:  # tenacity asks for the pause before it asks whether to stop
            self._until = now + self.policy.retry_for
        return self._until - now

    def _before_sleep(self, state: RetryCallState) -> None:
        error = _error_of(state)
        self._on_retry(error)
        log.warning(
            "S3 request failed, trying again",
            code=code_of(error),
            error=describe(error),
            seconds=round(state.upcoming_sleep, 1),
        )

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StoppedError("stopped")


def _error_of(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    assert error is not None
    return error


def _is_cut(value: object) -> bool:
    """Return whether this is nothing, or a quoted text without its end, as half a header gives."""
    return value in (None, "", '"') or (isinstance(value, str) and value.startswith('"') and not value.endswith('"'))
