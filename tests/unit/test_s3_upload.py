"""What an upload makes of the answer that the object is already there: it may be its own."""

import base64
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tenacity import wait_fixed

from recording_worker.errors import FlushError
from recording_worker.settings.model import Settings
from recording_worker.storage.s3.client import S3Client, connect
from recording_worker.storage.s3.location import S3Location
from recording_worker.storage.s3.retry import RetryBudget, RetryPolicy
from recording_worker.storage.s3.upload import Dialect, Upload, _pieces
from tests.servers.s3 import use_credentials

BODY = b"content"
METADATA = {"batch-id": "1"}


def checksum(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


OURS = {"ContentLength": len(BODY), "Metadata": METADATA, "ChecksumCRC32": checksum(BODY)}


@pytest.fixture(scope="module")
def client() -> Iterator[S3Client]:
    with pytest.MonkeyPatch.context() as patch:
        use_credentials(patch)
        yield connect(Settings(storage="s3://bucket", s3_region="eu-west-1"), connections=1)


@pytest.fixture
def server(client: S3Client) -> Iterator[Stubber]:
    """Answers the requests, in the order in which a test expects them."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def upload(client: S3Client) -> Iterator[Upload]:
    budget = RetryBudget(RetryPolicy(60, wait=wait_fixed(0)))
    with ThreadPoolExecutor(1) as pool:
        yield Upload(client, pool, S3Location("bucket", "key"), METADATA, budget=budget, dialect=Dialect())


def refuse(server: Stubber, request: str, code: str, status: int) -> None:
    server.add_client_error(request, code, http_status_code=status)


@pytest.mark.parametrize(
    "head",
    [
        OURS,
        {**OURS, "Metadata": {"Batch-Id": "1"}},  # rclone's server writes capitals
        {"ContentLength": len(BODY), "Metadata": METADATA},  # a server without checksums
        {**OURS, "ChecksumCRC32": f"{checksum(BODY)}-1"},  # a checksum of parts, which says nothing about the whole
    ],
)
def test_an_object_that_is_there_and_its_own_is_stored(upload: Upload, server: Stubber, head: dict[str, Any]) -> None:
    refuse(server, "put_object", "PreconditionFailed", 412)
    server.add_response("head_object", head)
    upload.run([BODY])


@pytest.mark.parametrize(
    "other",
    [
        {**OURS, "ContentLength": len(BODY) + 1},
        {**OURS, "Metadata": {"batch-id": "2"}},
        {**OURS, "ChecksumCRC32": checksum(b"another")},
    ],
)
def test_another_object_is_an_error_but_only_if_two_answers_say_so(
    upload: Upload, server: Stubber, other: dict[str, Any]
) -> None:
    refuse(server, "put_object", "PreconditionFailed", 412)
    server.add_response("head_object", other)
    server.add_response("head_object", OURS)
    upload.run([BODY])
    refuse(server, "put_object", "PreconditionFailed", 412)
    server.add_response("head_object", other)
    server.add_response("head_object", other)
    with pytest.raises(FlushError, match=r"^can't write s3://bucket/key: there is another object of this name$"):
        upload.run([BODY])


def test_an_object_that_was_there_and_is_gone_is_an_error(upload: Upload, server: Stubber) -> None:
    refuse(server, "put_object", "PreconditionFailed", 412)
    refuse(server, "head_object", "404", 404)
    with pytest.raises(FlushError, match="there is another object of this name"):
        upload.run([BODY])


@pytest.mark.parametrize("status", [403, 409])
def test_any_other_refusal_is_not_looked_into(upload: Upload, server: Stubber, status: int) -> None:
    refuse(server, "put_object", "AccessDenied", status)
    with pytest.raises(FlushError, match="access denied"):
        upload.run([BODY])


def begin(server: Stubber, upload_id: str) -> None:
    """Expect the requests of a multipart upload of two parts, up to its completion."""
    server.add_response("create_multipart_upload", {"UploadId": upload_id})
    for _ in range(2):
        server.add_response("upload_part", {"ETag": "x"})


@pytest.mark.parametrize(("code", "status"), [("NoSuchUpload", 404), ("InvalidPart", 400), ("PreconditionFailed", 412)])
def test_a_completed_upload_whose_answer_was_lost_is_stored(
    upload: Upload, server: Stubber, code: str, status: int
) -> None:
    parts = checksum(b"".join(zlib.crc32(part).to_bytes(4, "big") for part in (BODY, BODY)))
    begin(server, "1")
    refuse(server, "complete_multipart_upload", code, status)
    server.add_response(
        "head_object", {"ContentLength": 2 * len(BODY), "Metadata": METADATA, "ChecksumCRC32": f"{parts}-2"}
    )
    upload.run([BODY, BODY], part_bytes=len(BODY))


def test_an_upload_of_which_a_part_is_refused_as_unknown_begins_again(upload: Upload, server: Stubber) -> None:
    server.add_response("create_multipart_upload", {"UploadId": "1"})
    server.add_response("upload_part", {"ETag": "x"})
    refuse(server, "upload_part", "NoSuchUpload", 404)
    refuse(server, "abort_multipart_upload", "NoSuchUpload", 404)
    begin(server, "2")
    refuse(server, "complete_multipart_upload", "InternalError", 500)
    server.add_response("complete_multipart_upload", {"ETag": "x"})
    with capture_logs() as logs:
        upload.run([BODY, BODY], part_bytes=len(BODY))
    assert [line["event"] for line in logs] == [
        "multipart upload begins again",
        "S3 request failed, trying again",
    ]


def test_an_upload_whose_beginning_was_not_answered_is_aborted_and_no_other(upload: Upload, server: Stubber) -> None:
    refuse(server, "create_multipart_upload", "InternalError", 500)  # and may have been carried out
    server.add_response("create_multipart_upload", {"UploadId": "2"})
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    uploads = [
        {"Key": key, "UploadId": number, "Initiated": begun}
        for key, number in (("key", "1"), ("key", "2"), ("key/below", "3"))
    ]
    server.add_response("list_multipart_uploads", {"Bucket": "bucket", "Uploads": uploads, "IsTruncated": False})
    server.add_response("abort_multipart_upload", {}, {"Bucket": "bucket", "Key": "key", "UploadId": "1"})
    for _ in range(2):
        server.add_response("upload_part", {"ETag": "x"})
    server.add_response("complete_multipart_upload", {"ETag": "x"})
    upload.run([BODY, BODY], part_bytes=len(BODY))


@pytest.mark.parametrize(
    ("code", "events"), [("NoSuchUpload", []), ("AccessDenied", ["can't abort a multipart upload"])]
)
def test_an_upload_that_fails_is_aborted_and_only_a_failure_of_that_is_logged(
    upload: Upload, server: Stubber, code: str, events: list[str]
) -> None:
    begin(server, "1")
    refuse(server, "complete_multipart_upload", "AccessDenied", 403)
    refuse(server, "abort_multipart_upload", code, 403)
    with capture_logs() as logs, pytest.raises(FlushError, match="access denied"):
        upload.run([BODY, BODY], part_bytes=len(BODY))
    assert [line["event"] for line in logs] == events


def test_a_header_that_is_refused_is_left_out_from_then_on_and_no_other(upload: Upload, server: Stubber) -> None:
    body = {"Bucket": "bucket", "Key": "key", "Body": BODY, "Metadata": METADATA, "ChecksumCRC32": checksum(BODY)}
    server.add_client_error(
        "put_object", "NotImplemented", http_status_code=501, expected_params={**body, "IfNoneMatch": "*"}
    )
    for _ in range(2):
        server.add_response("put_object", {}, body)
    upload.run([BODY])
    upload.run([BODY])


def test_a_refusal_that_stays_without_the_headers_is_an_error(upload: Upload, server: Stubber) -> None:
    for _ in range(3):
        refuse(server, "put_object", "InvalidRequest", 400)
    with pytest.raises(FlushError, match="the server refuses"):
        upload.run([BODY])


@pytest.mark.parametrize(("code", "status"), [("NoSuchUpload", 404), ("InvalidPart", 400)])
def test_an_error_that_comes_again_after_fresh_uploads_is_shown_as_the_server_said_it(
    upload: Upload, server: Stubber, code: str, status: int
) -> None:
    said = "These parts won't do."
    for number in range(3):
        begin(server, str(number))
        server.add_client_error("complete_multipart_upload", code, said, http_status_code=status)
        refuse(server, "head_object", "404", 404)
        server.add_response("abort_multipart_upload", {})
    with capture_logs() as logs, pytest.raises(FlushError, match=rf"the server refuses \({code}: {said}\); .* 3 "):
        upload.run([BODY, BODY], part_bytes=len(BODY))
    assert [line["error"] for line in logs] == [f"the server refuses ({code}: {said})"] * 3


@given(parts=st.lists(st.binary(max_size=40), max_size=8), size=st.integers(1, 30))
def test_all_pieces_but_the_last_have_one_size(parts: list[bytes], size: int) -> None:
    pieces = list(_pieces(parts, size))
    assert b"".join(pieces) == b"".join(parts)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces[-1:])
