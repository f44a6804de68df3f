"""S3File: a batch file in an S3 bucket. `S3Files` opens and finds them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.batch_file import FILE_NAME, BatchFileError, FileMissingError
from recording_worker.formats.dictionary import dictionary_key
from recording_worker.settings.model import Settings
from recording_worker.storage.base import MAX_CONCURRENT_READS
from recording_worker.storage.s3.client import S3Client, connect
from recording_worker.storage.s3.errors import S3_ERRORS, CutAnswerError, code_of, describe, never_arrived, status_of
from recording_worker.storage.s3.listing import list_objects
from recording_worker.storage.s3.location import S3Location
from recording_worker.storage.s3.retry import RetryBudget, RetryPolicy


class S3Files:
    """Batch files in S3, by their URLs."""

    def __init__(self, settings: Settings, policy: RetryPolicy | None = None) -> None:
        """`policy` comes from the settings unless given."""
        self._client = connect(settings, connections=MAX_CONCURRENT_READS)
        self._policy = policy or RetryPolicy(settings.s3_retry_for)

    def open(self, url: str) -> "S3File":
        """Return the file of this URL. Whether it exists shows when it is read. Raises ConfigError."""
        return self._open(S3Location.parse(url))

    def find(self, url: str, *, may_be_empty: bool = False) -> Iterator["S3File"]:
        """Yield the object of this URL, or all below it that are named like batch files, sorted. Raises ConfigError.

        Objects with hidden names, or below hidden folders, are skipped. `may_be_empty`: whether it is no error if there
        is nothing of this name.
        """
        location = S3Location.parse(url)
        empty = True
        try:
            for found in list_objects(self._client, location, self._policy):
                empty = False
                if found.location == location or is_batch_file(found.location.key, location.key):
                    yield self._open(found.location)
        except S3_ERRORS as error:
            raise ConfigError(f"{url}: {describe(error)}") from error
        if location.key and empty and not may_be_empty:  # a bucket may be empty, as a folder may
            raise ConfigError(f"{url}: there is nothing of this name")

    def _open(self, location: S3Location) -> "S3File":
        return S3File(self._client, location, self._policy)


@dataclass(frozen=True, slots=True)
class S3File:
    """An object. Each read is one request, which is tried again if that may help.

    Reading raises BatchFileError, or WorkerError if the server can't be reached for too long.
    """

    client: S3Client
    location: S3Location
    policy: RetryPolicy

    @property
    def name(self) -> str:
        return str(self.location)

    def read_tail(self, length: int) -> tuple[bytes, int]:
        try:
            content, size = self._get(f"bytes=-{length}")
        except _OutsideError:  # all servers say so for an empty object, some also for one that is smaller than `length`
            try:
                content, size = self._get(f"bytes=0-{length - 1}")
            except _OutsideError:
                return b"", 0
        return content, size

    def read(self, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        try:
            return self._get(f"bytes={start}-{start + length - 1}")[0]
        except _OutsideError:
            return b""

    def dictionary(self, dictionary_id: str) -> "S3File":
        prefix = "/".join(self.location.key.split("/")[:-2])
        location = S3Location(self.location.bucket, dictionary_key(prefix, dictionary_id))
        return S3File(self.client, location, self.policy)

    def _get(self, wanted: str) -> tuple[bytes, int]:
        """Return the bytes of this range, and the size of the object."""
        try:
            content, answer = RetryBudget(self.policy).call(self._fetch, wanted=wanted)
        except ClientError as error:
            if status_of(error) == 416:
                raise _OutsideError from error
            kind = FileMissingError if code_of(error) in ("NoSuchKey", "404") else BatchFileError
            raise kind(f"{self.name}: {describe(error)}") from error
        except S3_ERRORS as error:
            if never_arrived(error):  # all other files would fail alike
                raise WorkerError(f"{self.name}: {describe(error)}") from error
            raise BatchFileError(f"{self.name}: {describe(error)}") from error
        if answer is None:
            raise BatchFileError(f"{self.name}: the server can't give a part of an object")
        return content, int(answer.rpartition("/")[2])

    def _fetch(self, wanted: str) -> tuple[bytes, str | None]:
        """Return the content and the range that the server gives; no range if it ignores what is wanted."""
        got: dict[str, Any] = self.client.get_object(Bucket=self.location.bucket, Key=self.location.key, Range=wanted)
        with closing(got["Body"]) as body:  # used as a context manager, the body is urllib3's, and raises its errors
            if "ContentLength" not in got:
                raise CutAnswerError("the answer was cut: it has no ContentLength")
            answer: str | None = got.get("ContentRange")
            if answer is None and got["ResponseMetadata"]["HTTPStatusCode"] == 206:
                raise CutAnswerError("the answer was cut: it has no ContentRange")
            if answer is None:
                return b"", "0" if got["ContentLength"] == 0 else None
            content: bytes = body.read()
            first, last = map(int, answer.removeprefix("bytes ").partition("/")[0].split("-"))
            if len(content) != last - first + 1:
                raise CutAnswerError("the answer was cut: it is not of the length it says")
            return content, answer


class _OutsideError(Exception):
    """The range begins after the end of the object."""


def is_batch_file(key: str, folder: str) -> bool:
    """Whether this key is named like a batch file's, and is in no hidden folder below this one."""
    *folders, name = key.removeprefix(folder).strip("/").split("/")
    return FILE_NAME.fullmatch(name) is not None and not any(part.startswith(".") for part in folders)
