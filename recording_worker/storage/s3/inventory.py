"""S3Inventory: the batch files in an S3 bucket, and the multipart uploads that nobody has completed or aborted."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.batch_file import created_ms_of, is_surely_ours
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Part, RangedFile, StoredFile
from recording_worker.storage.s3.backend import CHECK_PREFIX, encryption_of
from recording_worker.storage.s3.client import connect
from recording_worker.storage.s3.errors import S3_ERRORS, code_of, describe
from recording_worker.storage.s3.file import S3File, is_batch_file
from recording_worker.storage.s3.listing import list_objects, list_uploads
from recording_worker.storage.s3.location import S3Location
from recording_worker.storage.s3.retry import RetryBudget, RetryPolicy
from recording_worker.storage.s3.upload import Dialect, Upload

_UPLOADS = 4
"""Parts of an object that are sent at a time."""


class S3Inventory:
    """The inventory of a bucket, or of all below a prefix in it."""

    def __init__(self, location: S3Location, settings: Settings) -> None:
        self._location = location
        self._client = connect(settings, connections=_UPLOADS)
        self._encryption = encryption_of(settings)
        self._policy = RetryPolicy(settings.s3_retry_for)

    def __str__(self) -> str:
        return str(self._location)

    def files(self) -> Iterator[StoredFile]:
        """Yield batch files, and uploads that a storage began for a batch file or for its check. Raises ConfigError.

        Uploads with names that PostHog's consumer may have given are left out: nothing else says whose they are.
        """
        prefix = self._location.key
        try:
            for found in list_objects(self._client, self._location, self._policy):
                if is_batch_file(found.location.key, prefix):
                    created_ms = created_ms_of(found.location.name)
                    yield StoredFile(self._open(found.location), found.size, created_ms, temporary=False)
            for upload in list_uploads(self._client, self._location, self._policy):
                at = upload.location
                ours = is_batch_file(at.key, prefix) and is_surely_ours(at.name)
                if ours or at.name.startswith(CHECK_PREFIX):
                    yield StoredFile(self._open(at), 0, upload.begun_ms, temporary=True, upload_id=upload.upload_id)
        except S3_ERRORS as error:
            raise ConfigError(f"{self._location}: {describe(error)}") from error

    def remove(self, file: StoredFile) -> None:
        """Delete an object, or abort an upload; do nothing if it is gone already. Raises WorkerError."""
        location = S3Location.parse(file.name)
        request: Callable[..., Any] = self._client.delete_object
        upload = {}
        if file.upload_id is not None:
            request, upload = self._client.abort_multipart_upload, {"UploadId": file.upload_id}
        try:
            RetryBudget(self._policy).call(request, Bucket=location.bucket, Key=location.key, **upload)
        except S3_ERRORS as error:
            if code_of(error) not in ("NoSuchUpload", "NoSuchKey"):
                raise WorkerError(f"can't remove {file.name}: {describe(error)}") from error

    def replace(self, file: RangedFile, parts: Iterable[Part]) -> None:
        """See Inventory. If two processes replace one object, the later one wins: let one work at a time.

        The object keeps its metadata. What is sent is kept in memory until it is stored, as with every upload.
        """
        location = S3Location.parse(file.name)
        try:
            head = RetryBudget(self._policy).call(self._client.head_object, Bucket=location.bucket, Key=location.key)
        except S3_ERRORS as error:
            raise WorkerError(f"can't replace {file.name}: {describe(error)}") from error
        with ThreadPoolExecutor(_UPLOADS, thread_name_prefix="upload") as pool:
            Upload(
                self._client,
                pool,
                location,
                head.get("Metadata", {}),
                budget=RetryBudget(self._policy),
                dialect=Dialect(conditional=False),  # it is there, and shall be overwritten
                encryption=self._encryption,
            ).run(parts)

    def _open(self, location: S3Location) -> S3File:
        return S3File(self._client, location, self._policy)
