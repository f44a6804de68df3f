"""What lies in an S3 bucket: batch files, and multipart uploads that nobody has ended."""

from collections.abc import Callable, Iterator
from typing import Any

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.batch_file import created_ms_of
from recording_worker.settings.model import Settings
from recording_worker.storage.base import StoredFile
from recording_worker.storage.s3.client import S3Place, connect
from recording_worker.storage.s3.errors import S3_ERRORS, code_of, describe
from recording_worker.storage.s3.file import S3File, is_batch_file
from recording_worker.storage.s3.listing import list_objects, list_uploads
from recording_worker.storage.s3.retry import Patience


class S3Inventory:
    """Of a bucket, or of what in it is below a prefix."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._place = S3Place.of(url.rstrip("/"))
        self._client = connect(settings, connections=1)
        self._retry_for = settings.s3_retry_for

    def __str__(self) -> str:
        return str(self._place)

    def files(self) -> Iterator[StoredFile]:
        """Batch files, and uploads to the names of such or of a storage's check. Raises ConfigError."""
        try:
            for found in list_objects(self._client, self._place, self._retry_for):
                if is_batch_file(found.place.key, self._place.key):
                    yield StoredFile(self._open(found.place), found.size, created_ms_of(_name(found.place)), False)
            for upload in list_uploads(self._client, self._place, self._retry_for):
                if is_batch_file(upload.place.key, self._place.key) or _name(upload.place).startswith(".check-"):
                    yield StoredFile(self._open(upload.place), 0, upload.begun_ms, True, upload.upload_id)
        except S3_ERRORS as error:
            raise ConfigError(f"{self._place}: {describe(error)}") from error

    def remove(self, file: StoredFile) -> None:
        """Delete an object, or abort an upload; nothing if it is gone already. Raises WorkerError."""
        place = S3Place.of(file.name)
        request: Callable[..., Any] = self._client.delete_object
        upload = {}
        if file.upload_id is not None:
            request, upload = self._client.abort_multipart_upload, {"UploadId": file.upload_id}
        try:
            Patience(self._retry_for).call(request, Bucket=place.bucket, Key=place.key, **upload)
        except S3_ERRORS as error:
            if code_of(error) not in ("NoSuchUpload", "NoSuchKey"):
                raise WorkerError(f"can't remove {file.name}: {describe(error)}") from error

    def _open(self, place: S3Place) -> S3File:
        return S3File(self._client, place, self._retry_for)


def _name(place: S3Place) -> str:
    return place.key.rpartition("/")[2]
