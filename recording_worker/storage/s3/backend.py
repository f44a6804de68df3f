"""S3Storage: batch files as objects of an S3 bucket."""

import secrets
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from recording_worker.dependencies import STORAGE, DependencyWatch
from recording_worker.errors import BootError, ConfigError, FlushError, StoreError
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Part
from recording_worker.storage.s3.client import connect
from recording_worker.storage.s3.errors import S3_ERRORS, describe, is_transient, label_of, status_of
from recording_worker.storage.s3.location import S3Location
from recording_worker.storage.s3.retry import RetryBudget, RetryPolicy
from recording_worker.storage.s3.upload import PART_BYTES, Dialect, Upload

CHECK_PREFIX = ".check-"
"""How the names of the uploads begin that `check` begins and aborts."""
_CLOSE_TIMEOUT = 5.0
"""Seconds that the end of the process waits for uploads to be aborted."""


class S3Storage:
    """Stores each file as one object, by one request or in parts. Leaves out what a server does not understand."""

    def __init__(
        self,
        location: S3Location,
        settings: Settings,
        metrics: Metrics,
        *,
        part_bytes: int = PART_BYTES,
        policy: RetryPolicy | None = None,
        watch: DependencyWatch | None = None,
    ) -> None:
        """`location` is the bucket, and the prefix of all keys in it. `policy` comes from the settings unless given.

        `watch` is told how each request ends.
        """
        self._watch = watch or DependencyWatch(STORAGE)
        self._location = location
        self._metrics = metrics
        self._policy = policy or RetryPolicy(settings.s3_retry_for)
        self._part_bytes = part_bytes
        self._client = connect(settings, connections=settings.s3_uploads + 2)
        self._pool = ThreadPoolExecutor(settings.s3_uploads, thread_name_prefix="upload")
        self._dialect = Dialect()
        self._encryption = encryption_of(settings)
        self._uploads: set[Upload] = set()
        self._closing = threading.Event()

    def check(self) -> None:
        """Begin an upload and abort it. Raises ConfigError, or BootError if the server does not answer."""
        policy = self._policy.within(self._policy.check_for)
        try:
            self._upload(f"{CHECK_PREFIX}{secrets.token_hex(4)}", {}, policy).probe()
        except S3_ERRORS as error:
            self._watch.failed(describe(error))
            kind = BootError if is_transient(error) else ConfigError
            raise kind(f"can't write to {self._location}: {describe(error)}") from error
        except FlushError as error:
            raise ConfigError(str(error)) from error

    def probe(self) -> None:
        """Ask for an object that is not there. Also a refusal is an answer: writing needs other rights than this.

        Raises StoreError.
        """
        at = self._location.below(f"{CHECK_PREFIX}probe")
        try:
            self._client.head_object(Bucket=at.bucket, Key=at.key)
        except S3_ERRORS as error:
            if is_transient(error) or not status_of(error):
                raise StoreError(describe(error)) from error

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:
        """Store the parts as one object and return its s3:// URL. Raises FlushError, and what `parts` raises.

        What may pass is tried again for `s3_retry_for` seconds. Never overwrites if the server knows If-None-Match.
        """
        upload = self._upload(key, metadata, self._policy)
        self._uploads.add(upload)
        try:
            if self._closing.is_set():
                upload.stop()
            upload.run(parts, self._part_bytes)
        except FlushError as error:
            if not self._closing.is_set():
                self._watch.failed(str(error))
            raise
        finally:
            self._uploads.discard(upload)
        return str(upload.location)

    def close(self) -> None:
        """Stop the uploads, and wait a few seconds for them to be aborted."""
        self._closing.set()
        for upload in list(self._uploads):
            upload.stop()
        self._pool.shutdown(wait=False)  # the uploads cancel their parts: `wait` never ends for what a pool cancels
        for upload in list(self._uploads):
            upload.ended.wait(_CLOSE_TIMEOUT)

    def _upload(self, key: str, metadata: Mapping[str, str], policy: RetryPolicy) -> Upload:
        budget = RetryBudget(
            policy, on_retry=self._note_retry, on_answer=self._watch.worked, on_request=self._note_request
        )
        location = self._location.below(key)
        return Upload(
            self._client,
            self._pool,
            location,
            metadata,
            budget=budget,
            dialect=self._dialect,
            encryption=self._encryption,
        )

    def _note_retry(self, error: BaseException) -> None:
        self._metrics.storage_retries.labels(label_of(error)).inc()
        self._watch.failed(describe(error))

    def _note_request(self, operation: str, seconds: float, succeeded: bool, sent: int) -> None:
        self._metrics.storage_request_seconds.labels(operation).observe(seconds)
        self._metrics.storage_sent_bytes.inc(sent)
        if not succeeded:
            self._metrics.storage_request_failures.labels(operation).inc()


def encryption_of(settings: Settings) -> dict[str, str]:
    """Return how S3 is asked to encrypt objects, by boto3's names."""
    asked = {"ServerSideEncryption": settings.s3_encryption, "SSEKMSKeyId": settings.s3_kms_key}
    return {name: str(value) for name, value in asked.items() if value is not None}
