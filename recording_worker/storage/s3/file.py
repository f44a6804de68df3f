"""S3File: a batch file in an S3 bucket, of which only ranges are fetched."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.batch_file import FILE_NAME, BatchFileError, FileMissingError
from recording_worker.settings.model import Settings
from recording_worker.storage.base import READS_AT_A_TIME
from recording_worker.storage.s3.client import S3Client, S3Place, connect
from recording_worker.storage.s3.errors import S3_ERRORS, CutAnswerError, code_of, describe, never_arrived, status_of
from recording_worker.storage.s3.listing import list_objects
from recording_worker.storage.s3.retry import Patience


class S3Files:
    """Batch files in S3, by their URLs."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings, connections=READS_AT_A_TIME)
        self._retry_for = settings.s3_retry_for

    def open(self, url: str) -> "S3File":
        """The file of this URL; whether it is there is found out when it is read. Raises ConfigError for no S3 URL."""
        return S3File(self._client, S3Place.of(url), self._retry_for)

    def find(self, url: str) -> Iterator["S3File"]:
        """The object of this URL, or all below it that are named like batch files, sorted. Raises ConfigError.

        Objects with hidden names, or below hidden folders, are skipped.
        """
        place = S3Place.of(url)
        there = False
        try:
            for found in list_objects(self._client, place, self._retry_for):
                there = True
                if found.place.key == place.key or is_batch_file(found.place.key, place.key):
                    yield S3File(self._client, found.place, self._retry_for)
        except S3_ERRORS as error:
            raise ConfigError(f"{url}: {describe(error)}") from error
        if place.key and not there:  # a bucket may be empty, as a folder may
            raise ConfigError(f"{url}: there is nothing of this name")


@dataclass(frozen=True, slots=True)
class S3File:
    """An object. Each read is one request, which is tried again where that may help.

    Raises BatchFileError, and WorkerError where the server is away for too long.
    """

    client: S3Client
    place: S3Place
    retry_for: float
    """Seconds."""

    @property
    def name(self) -> str:
        return str(self.place)

    def read_tail(self, length: int) -> tuple[bytes, int]:
        try:
            content, size = self._get(f"bytes=-{length}")
        except _OutsideError:  # some servers say this where the object is smaller, all where it is empty
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

    def _get(self, wanted: str) -> tuple[bytes, int]:
        """The bytes of this range, and the size of the object."""
        try:
            content, answer = Patience(self.retry_for).call(self._fetch, wanted=wanted)
        except ClientError as error:
            if status_of(error) == 416:
                raise _OutsideError from error
            kind = FileMissingError if code_of(error) in ("NoSuchKey", "404") else BatchFileError
            raise kind(f"{self.name}: {describe(error)}") from error
        except S3_ERRORS as error:
            if never_arrived(error):  # it would be so for all other files
                raise WorkerError(f"{self.name}: {describe(error)}") from error
            raise BatchFileError(f"{self.name}: {describe(error)}") from error
        if answer is None:
            raise BatchFileError(f"{self.name}: the server can't give a part of an object")
        return content, int(answer.rpartition("/")[2])

    def _fetch(self, wanted: str) -> tuple[bytes, str | None]:
        """What the server gives, and the range it says that is; nothing where it would give all of the object."""
        got: dict[str, Any] = self.client.get_object(Bucket=self.place.bucket, Key=self.place.key, Range=wanted)
        with closing(got["Body"]) as body:  # by itself as a context manager it would be urllib3's, with other errors
            if "ContentLength" not in got:
                raise CutAnswerError("the answer was cut: it has no ContentLength")
            answer: str | None = got.get("ContentRange")
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
    """Whether it is named like one, and in no hidden folder below this one."""
    *folders, name = key.removeprefix(folder).strip("/").split("/")
    return FILE_NAME.fullmatch(name) is not None and not any(part.startswith(".") for part in folders)
