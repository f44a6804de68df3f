"""The errors of requests to S3: which of them may pass by themselves, and what to tell a person."""

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

from recording_worker.text import one_line


class CutAnswerError(Exception):
    """The answer was cut in its headers: boto3 takes it for one without content, or fails over half a header."""


S3_ERRORS = (ClientError, BotoCoreError, ResponseParserError, CutAnswerError)
"""Everything that a request to S3 raises."""

_THROTTLING = frozenset(
    {"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequests"}
)
_DAMAGED_IN_TRANSIT = frozenset({"BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentSHA256Mismatch"})
_PASSING = frozenset({"RequestTimeout", "InternalError", "OperationAborted", "ConditionalRequestConflict"})
_IDENTITY_PASSING = frozenset({"InvalidIdentityToken", "IDPCommunicationError"})
"""STS could not check a web identity token just now. It also says so of a token that it will never take."""
_TRANSIENT_CODES = _THROTTLING | _DAMAGED_IN_TRANSIT | _PASSING | _IDENTITY_PASSING
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PERMANENT_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")
"""OpenSSL's names for a certificate that is not trusted, and for a server without TLS."""
_MISUNDERSTOOD = frozenset({"NotImplemented", "NotSupported", "InvalidArgument", "InvalidRequest", "InvalidHeader"})

_MEANINGS = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "404": "not found",
    "AccessDenied": "access denied: these credentials may not do this",
    "403": "access denied",
    "InvalidAccessKeyId": "the server does not know this access key",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "InvalidIdentityToken": "STS can't check the web identity token",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "AuthorizationHeaderMalformed": "the region is wrong (s3_region)",
    "PermanentRedirect": "the bucket is in another region (s3_region, s3_endpoint)",
}


def code_of(error: BaseException) -> str:
    """Return S3's name of the error, like `SlowDown`, or without an answer the exception's, like `ReadTimeoutError`."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "")) or str(status_of(error))
    return type(error).__name__


def label_of(error: BaseException) -> str:
    """Return the name of an error that may pass, for a metric. What a server makes up is its HTTP status."""
    code = code_of(error)
    return str(status_of(error)) if isinstance(error, ClientError) and code not in _TRANSIENT_CODES else code


def status_of(error: BaseException) -> int:
    """Return the HTTP status of the answer; 0 if there was none."""
    return int(_answer(error).get("HTTPStatusCode", 0))


def retry_after(error: BaseException) -> float:
    """Return the seconds that the server asks to wait; 0 if it does not ask."""
    text = str(_answer(error).get("HTTPHeaders", {}).get("retry-after", ""))
    return float(text) if text.isdecimal() else 0.0


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed later."""
    if isinstance(error, ClientError):
        return code_of(error) in _TRANSIENT_CODES or status_of(error) in _TRANSIENT_STATUS
    if isinstance(error, SSLError):
        return not any(reason in str(error) for reason in _PERMANENT_TLS)
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
    """Return whether the server can't have seen the request."""
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError)


def is_throttling(error: BaseException) -> bool:
    """Return whether the server asks for fewer requests."""
    return code_of(error) in _THROTTLING or status_of(error) in (429, 503)


def is_misunderstanding(error: BaseException) -> bool:
    """Return whether the server may have refused a header that it does not know."""
    return status_of(error) == 501 or code_of(error) in _MISUNDERSTOOD


def describe(error: BaseException) -> str:
    """Return one line for a person: what is wrong, and what the server said."""
    if isinstance(error, ClientError):
        code = code_of(error)
        said = one_line(error.response.get("Error", {}).get("Message", ""))
        meaning = _MEANINGS.get(code, "the server refuses" if status_of(error) < 500 else "the server fails")
        return f"{meaning} ({code}: {said})" if said and said != code else f"{meaning} ({code})"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else boto3 takes them from"
            f" ({one_line(error)})"
        )
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return f"can't reach the server ({one_line(error)})"
    if isinstance(error, ReadTimeoutError):
        return f"no answer in time ({one_line(error)})"
    if isinstance(error, SSLError) and "WRONG_VERSION_NUMBER" in str(error):
        return f"the server speaks http, not https ({one_line(error)})"
    return one_line(error)


def _answer(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, ClientError):
        return {}
    answer: dict[str, Any] = error.response.get("ResponseMetadata", {})
    return answer
