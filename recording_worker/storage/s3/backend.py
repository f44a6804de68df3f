"""S3Storage: batch files as objects of an S3 bucket."""

import secrets
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from recording_worker.errors import BootError, ConfigError
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Part
from recording_worker.storage.s3.client import S3Place, connect
from recording_worker.storage.s3.errors import S3_ERRORS, code_of, describe, is_transient
from recording_worker.storage.s3.retry import Patience
from recording_worker.storage.s3.upload import PART_BYTES, Dialect, Upload

_CHECK_SECONDS = 10.0
"""How long the start waits for a server that does not answer."""
_CLOSE_SECONDS = 5.0
"""How long the end of the process waits for uploads to be aborted."""


class S3Storage:
    """Stores each file as one object, by one request or in parts. Servers that understand less are asked for less."""

    def __init__(self, place: S3Place, settings: Settings, metrics: Metrics, part_bytes: int = PART_BYTES) -> None:
        """`place` is the bucket, and what all keys in it begin with."""
        self._place = place
        self._metrics = metrics
        self._retry_for = settings.s3_retry_for
        self._part_bytes = part_bytes
        self._client = connect(settings, connections=settings.s3_uploads + 1)
        self._pool = ThreadPoolExecutor(settings.s3_uploads, thread_name_prefix="upload")
        self._dialect = Dialect()
        self._uploads: set[Upload] = set()
        self._closing = threading.Event()

    def check(self) -> None:
        """Begin an upload and abort it. Raises ConfigError, or BootError where the server does not answer."""
        try:
            self._upload(self._place.below(f".check-{secrets.token_hex(4)}"), {}, _CHECK_SECONDS).probe()
        except S3_ERRORS as error:
            kind = BootError if is_transient(error) else ConfigError
            raise kind(f"can't write to {self._place}: {describe(error)}") from error

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:
        """Store the parts as one object; returns its s3:// URL. Raises FlushError, and what `parts` raises.

        What may pass is tried again for `s3_retry_for` seconds. Never overwrites where the server knows If-None-Match.
        """
        place = self._place.below(key)
        upload = self._upload(place, metadata, self._retry_for)
        self._uploads.add(upload)
        try:
            if self._closing.is_set():
                upload.stop()
            upload.run(parts, self._part_bytes)
        finally:
            self._uploads.discard(upload)
        return str(place)

    def close(self) -> None:
        """Stop the uploads, and wait a little for them to be aborted."""
        self._closing.set()
        for upload in list(self._uploads):
            upload.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for upload in list(self._uploads):
            upload.ended.wait(_CLOSE_SECONDS)

    def _upload(self, place: S3Place, metadata: Mapping[str, str], seconds: float) -> Upload:
        patience = Patience(seconds, lambda error: self._metrics.storage_retries.labels(code_of(error)).inc())
        return Upload(self._client, self._pool, place, metadata, patience=patience, dialect=self._dialect)
