"""What S3 and the way to it can answer with: what may pass by itself, and what to tell a person."""

from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError


class CutAnswerError(Exception):
    """The answer ends in its headers: boto3 takes it for one without content, or fails over half a header."""


S3_ERRORS = (ClientError, BotoCoreError, ResponseParserError, CutAnswerError)
"""All that a request to S3 raises."""

_THROTTLING = frozenset(
    {"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequests"}
)
_DAMAGED_ON_THE_WAY = frozenset({"BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentSHA256Mismatch"})
_PASSING = frozenset({"RequestTimeout", "InternalError", "OperationAborted", "ConditionalRequestConflict"})
_TRANSIENT_CODES = _THROTTLING | _DAMAGED_ON_THE_WAY | _PASSING
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_NEVER_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")
"""OpenSSL's names for a certificate that is not trusted, and for a server that does not speak TLS."""
_UNDERSTOOD_LESS = frozenset({"NotImplemented", "NotSupported", "InvalidArgument", "InvalidRequest", "InvalidHeader"})

_MEANINGS = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "404": "not found",
    "AccessDenied": "access denied: these credentials may not do this",
    "403": "access denied",
    "InvalidAccessKeyId": "the server does not know this access key",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "AuthorizationHeaderMalformed": "the region is wrong (s3_region)",
    "PermanentRedirect": "the bucket is in another region (s3_region, s3_endpoint)",
}


def code_of(error: BaseException) -> str:
    """S3's name of the error, `SlowDown`; for what never was an answer the exception's, `ReadTimeoutError`."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "")) or str(status_of(error))
    return type(error).__name__


def status_of(error: BaseException) -> int:
    """The HTTP status of the answer; 0 where there was none."""
    return int(_answer(error).get("HTTPStatusCode", 0))


def retry_after(error: BaseException) -> float:
    """How long the server asks to be left alone, seconds; 0 where it asks nothing."""
    text = str(_answer(error).get("HTTPHeaders", {}).get("retry-after", ""))
    return float(text) if text.isdecimal() else 0.0


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, ClientError):
        return code_of(error) in _TRANSIENT_CODES or status_of(error) in _TRANSIENT_STATUS
    if isinstance(error, SSLError):
        return not any(reason in str(error) for reason in _NEVER_TLS)
    return isinstance(
        error,
        HTTPClientError
        | BotoConnectionError
        | IncompleteReadError
        | ResponseParserError
        | CutAnswerError
        | CredentialRetrievalError
        | MetadataRetrievalError,
    )


def never_arrived(error: BaseException) -> bool:
    """Whether the server can't have seen the request."""
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError)


def is_throttling(error: BaseException) -> bool:
    """Whether the server asks for fewer requests."""
    return code_of(error) in _THROTTLING or status_of(error) in (429, 503)


def is_misunderstanding(error: BaseException) -> bool:
    """Whether the server may have refused a header it does not know."""
    return status_of(error) == 501 or code_of(error) in _UNDERSTOOD_LESS


def describe(error: BaseException) -> str:
    """One line for a person: what is wrong, and what the server said."""
    if isinstance(error, ClientError):
        code = code_of(error)
        said = _one_line(error.response.get("Error", {}).get("Message", ""))
        meaning = _MEANINGS.get(code, "the server refuses" if status_of(error) < 500 else "the server fails")
        return f"{meaning} ({code}: {said})" if said and said != code else f"{meaning} ({code})"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else boto3 takes them from"
            f" ({_one_line(error)})"
        )
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return f"can't reach the server ({_one_line(error)})"
    if isinstance(error, ReadTimeoutError):
        return f"no answer in time ({_one_line(error)})"
    if isinstance(error, SSLError) and "WRONG_VERSION_NUMBER" in str(error):
        return f"the server speaks http, not https ({_one_line(error)})"
    return _one_line(error)


def _answer(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, ClientError):
        return {}
    answer: dict[str, Any] = error.response.get("ResponseMetadata", {})
    return answer


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
