"""Requests to S3 that fail: which are sent again, after which pauses, and for how long."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from structlog.testing import capture_logs
from tenacity import wait_fixed

from recording_worker.storage.s3.errors import (
    CutAnswerError,
    code_of,
    describe,
    is_misunderstanding,
    is_throttling,
    is_transient,
    label_of,
    never_arrived,
)
from recording_worker.storage.s3.retry import RetryBudget, RetryPolicy, StoppedError

UNREACHABLE = EndpointConnectionError(endpoint_url="http://storage.test")
UNANSWERED = ReadTimeoutError(endpoint_url="http://storage.test")


def refused(code: str, status: int, message: str = "why", **headers: str) -> ClientError:
    answer = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": answer}, "PutObject")


def failing(*errors: Exception) -> Callable[..., dict[str, Any]]:
    """Return a request that fails with these errors, one after the other, and then answers."""
    left = list(errors)

    def request(**_: Any) -> dict[str, Any]:
        if left:
            raise left.pop(0)
        return {"ETag": "x"}

    return request


@pytest.mark.parametrize(
    ("error", "transient", "throttling"),
    [
        (refused("SlowDown", 503), True, True),
        (refused("ServiceUnavailable", 503), True, True),
        (refused("TooManyRequests", 429), True, True),
        (refused("Throttling", 400), True, True),
        (refused("", 503), True, True),
        (refused("", 429), True, True),
        (refused("InternalError", 500), True, False),
        *[(refused("", status), True, False) for status in (408, 500, 502, 504)],
        (refused("", 409), False, False),
        (refused("", 505), False, False),
        (refused("RequestTimeout", 400), True, False),
        (refused("BadDigest", 400), True, False),
        (refused("ConditionalRequestConflict", 409), True, False),
        (refused("InvalidIdentityToken", 400), True, False),
        (refused("IDPCommunicationError", 400), True, False),
        (refused("AccessDenied", 403), False, False),
        (refused("NoSuchBucket", 404), False, False),
        (refused("PreconditionFailed", 412), False, False),
        (refused("NotImplemented", 501), False, False),
        (UNREACHABLE, True, False),
        (UNANSWERED, True, False),
        (CutAnswerError("cut"), True, False),
        (SSLError(endpoint_url="https://storage.test", error="EOF occurred"), True, False),
        (SSLError(endpoint_url="https://storage.test", error="CERTIFICATE_VERIFY_FAILED"), False, False),
        (SSLError(endpoint_url="https://storage.test", error="WRONG_VERSION_NUMBER"), False, False),
        (NoCredentialsError(), False, False),
    ],
)
def test_transient_errors_and_throttling(error: Exception, transient: bool, throttling: bool) -> None:
    assert (is_transient(error), is_throttling(error)) == (transient, throttling)


def test_only_a_connection_that_was_never_made_leaves_no_request_behind() -> None:
    errors = [UNREACHABLE, ConnectTimeoutError(endpoint_url="x"), UNANSWERED, refused("InternalError", 500)]
    assert [never_arrived(error) for error in errors] == [True, True, False, False]


def test_a_server_that_does_not_know_a_header_answers_in_several_ways() -> None:
    assert is_misunderstanding(refused("NotImplemented", 501))
    assert is_misunderstanding(refused("", 501))
    assert is_misunderstanding(refused("InvalidArgument", 400))
    assert not is_misunderstanding(refused("AccessDenied", 403))
    assert not is_misunderstanding(refused("InternalError", 500))


def test_errors_are_named_and_described_in_one_line() -> None:
    assert code_of(refused("SlowDown", 503)) == "SlowDown"
    assert code_of(refused("", 503)) == "503"
    assert code_of(UNANSWERED) == "ReadTimeoutError"
    assert describe(refused("AccessDenied", 403)).endswith("may not do this (AccessDenied: why)")
    assert describe(refused("Odd", 400)) == "the server refuses (Odd: why)"
    assert describe(refused("Odd", 500)) == "the server fails (Odd: why)"
    assert describe(refused("Odd", 500, "")) == describe(refused("Odd", 500, "Odd")) == "the server fails (Odd)"
    assert describe(UNREACHABLE).startswith("can't reach the server (")
    assert describe(UNANSWERED).startswith("no answer in time (")
    assert "\n" not in describe(CutAnswerError("two\nlines"))


class Awake(RetryBudget):
    """A budget that does not sleep, but says in its log how long it would."""

    def _sleep(self, seconds: float) -> None:
        pass


def pauses(policy: RetryPolicy, *errors: Exception) -> list[float]:
    """Return the pauses that are made after these errors."""
    with capture_logs() as logs:
        assert Awake(policy).call(failing(*errors)) == {"ETag": "x"}
    assert {line["event"] for line in logs} == {"S3 request failed, trying again"}
    return [line["seconds"] for line in logs]


FIXED = RetryPolicy(60, wait=wait_fixed(0.1), throttled_wait=wait_fixed(0.2))


def test_a_server_that_asks_for_fewer_requests_is_left_alone_for_longer() -> None:
    assert pauses(FIXED, refused("InternalError", 500), refused("SlowDown", 503), UNANSWERED) == [0.1, 0.2, 0.1]


def test_a_pause_is_no_shorter_than_retry_after_and_no_longer_than_the_time_that_is_left() -> None:
    assert pauses(FIXED, refused("SlowDown", 503, **{"retry-after": "1"})) == [1.2]
    assert pauses(FIXED, refused("SlowDown", 503, **{"retry-after": "soon"})) == [0.2]
    [pause] = pauses(FIXED, refused("SlowDown", 503, **{"retry-after": "100"}))
    assert 50 < pause <= 60


def test_pauses_grow_at_random_and_are_longer_if_the_server_throttles() -> None:
    after_errors = pauses(RetryPolicy(1e9), *[refused("InternalError", 500)] * 100)
    throttled = pauses(RetryPolicy(1e9), *[refused("SlowDown", 503)] * 100)
    assert after_errors[0] <= 0.1
    assert max(after_errors[:4]) <= 0.8
    assert max(throttled[:4]) <= 8
    assert sum(throttled[:5]) > sum(after_errors[:5])
    for given in (after_errors, throttled):
        assert 10 < max(given) <= 20
        assert len(set(given)) > 20


def test_the_time_begins_with_the_first_failure_and_is_shared() -> None:
    budget = RetryBudget(RetryPolicy(60, wait=wait_fixed(0.01)))
    assert budget.call(failing()) == {"ETag": "x"}
    assert budget._until is None
    began = time.monotonic()
    assert budget.call(failing(UNANSWERED)) == {"ETag": "x"}
    until = budget._until
    assert until is not None
    assert 60 <= until - began < 90
    assert budget.call(failing(UNANSWERED)) == {"ETag": "x"}
    assert budget._until == until
    budget._until = began
    with pytest.raises(ReadTimeoutError):
        budget.call(failing(UNANSWERED))


def test_each_request_is_reported_with_its_end() -> None:
    told: list[tuple[str, bool, int]] = []
    budget = Awake(FIXED, on_request=lambda operation, _, succeeded, sent: told.append((operation, succeeded, sent)))
    budget.call(failing(UNANSWERED), Body=b"1234")
    with pytest.raises(CutAnswerError):
        Awake(RetryPolicy(0), on_request=budget.on_request).call(failing(), expected="UploadId")
    assert [(succeeded, sent) for _, succeeded, sent in told] == [(False, 0), (True, 4), (False, 0)]


def test_what_a_server_makes_up_is_no_label() -> None:
    assert label_of(refused("SlowDown", 503)) == "SlowDown"
    assert label_of(refused("a-name-of-its-own", 503)) == "503"
    assert label_of(UNANSWERED) == "ReadTimeoutError"


def test_the_time_is_used_to_its_end() -> None:
    assert pauses(RetryPolicy(0.9, wait=wait_fixed(0)), UNANSWERED) == [0.0]


def test_the_time_outs_of_the_check_and_of_listings_are_as_documented() -> None:
    policy = RetryPolicy(60)
    assert (policy.first_answer_for, policy.check_for, policy.abort_for) == (10, 10, 5)


def test_a_permanent_error_is_raised_at_once_and_not_reported() -> None:
    retried: list[BaseException] = []
    budget = RetryBudget(RetryPolicy(60, wait=wait_fixed(0.01)), retried.append)
    with pytest.raises(ClientError, match="AccessDenied"):
        budget.call(failing(UNREACHABLE, UNANSWERED, refused("AccessDenied", 403)))
    assert retried == [UNREACHABLE, UNANSWERED]
    assert budget.unanswered == 1, "the server can't have seen the first, and answered the last"


@pytest.mark.parametrize("cut", ["", '"', '"0123'])
def test_an_answer_with_half_an_expected_text_was_cut(cut: str) -> None:
    budget = RetryBudget(RetryPolicy(5, wait=wait_fixed(0)))
    answers = [{"ETag": cut}, {"ETag": '"0123"'}]
    assert budget.call(lambda: answers.pop(0), expected="ETag") == {"ETag": '"0123"'}


def test_an_answer_without_an_expected_key_was_cut() -> None:
    answers = [{}, {"UploadId": "1"}]
    budget = RetryBudget(RetryPolicy(60, wait=wait_fixed(0.01)))
    assert budget.call(lambda: answers.pop(0), expected="UploadId") == {"UploadId": "1"}
    assert budget.unanswered == 1


def test_an_answer_that_boto3_can_not_read_was_cut() -> None:
    with capture_logs() as logs:
        assert RetryBudget(RetryPolicy(60, wait=wait_fixed(0))).call(failing(ValueError("half a date"))) == {
            "ETag": "x"
        }
    assert [line["code"] for line in logs] == ["CutAnswerError"]


def test_stop_ends_a_pause() -> None:
    budget = RetryBudget(RetryPolicy(60, wait=wait_fixed(30)))
    threading.Timer(0.1, budget.stop).start()
    began = time.monotonic()
    with pytest.raises(StoppedError):
        budget.call(failing(UNANSWERED))
    assert time.monotonic() - began < 20


def test_a_stopped_budget_sends_nothing() -> None:
    budget = RetryBudget(RetryPolicy(60))
    budget.stop()
    with pytest.raises(StoppedError):
        budget.call(pytest.fail)
