"""What is in a bucket: objects, and multipart uploads that nobody has ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from recording_worker.storage.s3.client import S3Client, S3Place
from recording_worker.storage.s3.retry import Patience


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object of a bucket."""

    place: S3Place
    size: int


@dataclass(frozen=True, slots=True)
class S3Upload:
    """A multipart upload that was neither completed nor aborted."""

    place: S3Place
    upload_id: str
    begun_ms: int
    """Milliseconds since 1970."""


FIRST_ANSWER_SECONDS = 10.0
"""How long a server is waited for that has not answered yet: the way to it may be wrong."""


def list_objects(client: S3Client, place: S3Place, seconds: float) -> Iterator[S3Object]:
    """The object of this key, and all below it as if it were a folder, sorted by key. Raises S3_ERRORS.

    A request that fails is tried again for so many seconds, the first one for 10 at most.
    """
    token: dict[str, str] = {}
    while True:
        page = Patience(seconds if token else min(seconds, FIRST_ANSWER_SECONDS)).call(
            client.list_objects_v2, expected="IsTruncated", Bucket=place.bucket, Prefix=place.key, **token
        )
        for entry in page.get("Contents", []):
            if _is_within(entry["Key"], place.key):
                yield S3Object(S3Place(place.bucket, entry["Key"]), entry["Size"])
        if not page["IsTruncated"]:
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def list_uploads(client: S3Client, place: S3Place, seconds: float) -> Iterator[S3Upload]:
    """The multipart uploads of this key, and of all below it as if it were a folder. Raises S3_ERRORS."""
    markers: dict[str, str] = {}
    while True:
        try:
            page = Patience(seconds).call(
                client.list_multipart_uploads,
                expected="Bucket",
                Bucket=place.bucket,
                Prefix=place.key,
                **markers,
            )
        except client.exceptions.NoSuchUpload:  # said by a server that has none at all
            return
        for entry in page.get("Uploads", []):
            if _is_within(entry["Key"], place.key):
                begun: datetime = entry["Initiated"]
                upload_place = S3Place(place.bucket, entry["Key"])
                yield S3Upload(upload_place, entry["UploadId"], int(begun.timestamp() * 1000))
        if not page.get("IsTruncated"):  # left out by some servers
            return
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _is_within(key: str, folder: str) -> bool:
    return not folder or key == folder or key.startswith(folder.rstrip("/") + "/")
