"""What is in a bucket: objects, and multipart uploads that nobody has completed or aborted."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from recording_worker.storage.s3.client import S3Client
from recording_worker.storage.s3.location import S3Location
from recording_worker.storage.s3.retry import RetryBudget, RetryPolicy


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object of a bucket."""

    location: S3Location
    size: int


@dataclass(frozen=True, slots=True)
class S3Upload:
    """A multipart upload that was not completed and not aborted."""

    location: S3Location
    upload_id: str
    begun_ms: int
    """Milliseconds since 1970."""


def list_objects(client: S3Client, location: S3Location, policy: RetryPolicy) -> Iterator[S3Object]:
    """Yield the object of this key, and all objects below it as if it were a folder, sorted by key. Raises S3_ERRORS.

    Each page has a retry budget of its own; the first one lasts `first_answer_for` at most.
    """
    token: dict[str, str] = {}
    first = policy.within(min(policy.retry_for, policy.first_answer_for))
    while True:
        page = RetryBudget(policy if token else first).call(
            client.list_objects_v2, expected="IsTruncated", Bucket=location.bucket, Prefix=location.key, **token
        )
        for entry in page.get("Contents", []):
            if _is_within(entry["Key"], location.key):
                yield S3Object(S3Location(location.bucket, entry["Key"]), entry["Size"])
        if not page["IsTruncated"]:
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def list_uploads(client: S3Client, location: S3Location, policy: RetryPolicy) -> Iterator[S3Upload]:
    """Yield the multipart uploads of this key, and of all below it as if it were a folder. Raises S3_ERRORS.

    Each page has a retry budget of its own.
    """
    markers: dict[str, str] = {}
    while True:
        try:
            page = RetryBudget(policy).call(
                client.list_multipart_uploads,
                expected="Bucket",
                Bucket=location.bucket,
                Prefix=location.key,
                **markers,
            )
        except client.exceptions.NoSuchUpload:  # some servers say so if there are no uploads at all
            return
        for entry in page.get("Uploads", []):
            if _is_within(entry["Key"], location.key):
                begun: datetime = entry["Initiated"]
                begun_ms = int(begun.timestamp() * 1000)
                yield S3Upload(S3Location(location.bucket, entry["Key"]), entry["UploadId"], begun_ms)
        if not page.get("IsTruncated"):  # some servers leave it out
            return
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _is_within(key: str, folder: str) -> bool:
    return not folder or key == folder or key.startswith(folder.rstrip("/") + "/")
