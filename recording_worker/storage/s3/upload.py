"""Upload: stores one file in S3, by one request or as a multipart upload."""

import base64
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any

import structlog
from botocore.exceptions import ClientError

from recording_worker.errors import FlushError
from recording_worker.storage.base import Part
from recording_worker.storage.s3.client import S3Client
from recording_worker.storage.s3.errors import S3_ERRORS, code_of, describe, is_misunderstanding, status_of
from recording_worker.storage.s3.listing import list_uploads
from recording_worker.storage.s3.location import S3Location
from recording_worker.storage.s3.retry import RetryBudget, StoppedError

PART_BYTES = 8 * 1024 * 1024
"""Bytes of each part, except the last. S3 takes no part below 5 MiB, and at most 10,000 parts. Other servers, such as
Cloudflare R2, take only parts of one size."""
_MAX_BEGINNINGS = 3
"""How often a multipart upload is begun if the server says that it, or a part of it, is gone."""

_CONDITION = "IfNoneMatch"
_ANSWERED = frozenset({"ServerSideEncryption"})
"""What the answer has to repeat. The key of aws:kms may come back in another form, as an ARN."""

log = structlog.get_logger()


class _UploadGoneError(Exception):
    """The server says that it does not know the multipart upload, or a part.

    It was restarted, or somebody aborted the upload. Or it refuses the parts for a reason of its own, which a fresh
    upload does not change.
    """

    def __init__(self, said: ClientError) -> None:
        super().__init__()
        self.said = describe(said)


@dataclass(slots=True)
class Dialect:
    """What a server turned out to understand. It may ignore these headers, but some servers refuse the request."""

    conditional: bool = True
    """If-None-Match."""
    checksums: bool = True
    """The CRC-32 of each request's body, which the server compares."""

    def understood(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that the server takes, by boto3's names."""
        return {
            name: value
            for name, value in headers.items()
            if (self.conditional if name == _CONDITION else self.checksums)
        }

    def forget(self, refused: Mapping[str, str]) -> bool:
        """Leave out from now on one kind of the headers that a refused request had; return whether it had any."""
        if _CONDITION in refused:
            if self.conditional:  # else another thread found it out
                self.conditional = False
                log.warning("this S3 server refuses If-None-Match: it is left out from now on")
        elif refused and self.checksums:
            self.checksums = False
            log.warning("this S3 server refuses checksums: they are left out from now on")
        return bool(refused)


class Upload:
    """Stores one object: a small one by one put, a larger one in parts, several at a time, while later ones are made.

    The parts are kept until the object is stored, so that those that fail can be sent again. The object appears
    whole or not at all. For one thread; another one may call `stop`.
    """

    def __init__(
        self,
        client: S3Client,
        pool: ThreadPoolExecutor,
        location: S3Location,
        metadata: Mapping[str, str],
        *,
        budget: RetryBudget,
        dialect: Dialect,
        encryption: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`encryption`: how S3 shall encrypt the object, by boto3's names; as the bucket says if there is nothing."""
        self._client = client
        self._pool = pool
        self.location = location
        self._object = {"Bucket": location.bucket, "Key": location.key}
        self._metadata = dict(metadata)
        self._encryption = dict(encryption)
        self._budget = budget
        self._abort_policy = budget.policy.within(budget.policy.abort_for)
        self._dialect = dialect
        self.ended = threading.Event()
        """Set when `run` has returned or raised."""

    def run(self, parts: Iterable[Part], part_bytes: int = PART_BYTES) -> None:
        """Store the parts. Raises FlushError, and what `parts` raises."""
        pieces = _Replayable(_pieces(parts, part_bytes))
        try:
            beginning = list(islice(pieces, 2))
            if len(beginning) < 2:
                self._put(b"".join(beginning))
            else:
                del beginning
                self._put_in_parts(pieces)
        except S3_ERRORS as error:
            raise FlushError(f"can't write {self.location}: {describe(error)}") from error
        except (StoppedError, CancelledError) as error:
            raise FlushError(f"can't write {self.location}: stopped") from error
        finally:
            self.ended.set()

    def probe(self) -> None:
        """Begin an upload and abort it: that needs the right to write, and leaves nothing behind.

        Raises S3_ERRORS, and FlushError if the server would not encrypt.
        """
        upload_id = self._create()
        self._budget.call(self._client.abort_multipart_upload, **self._object, UploadId=upload_id)

    def stop(self) -> None:
        """Make `run` give up, and abort what it began."""
        self._budget.stop()

    def _put(self, body: bytes) -> None:
        checksum = _checksum(body)
        try:
            answer = self._send(
                self._client.put_object,
                arguments={"Body": body, "Metadata": self._metadata, **self._encryption},
                headers={"ChecksumCRC32": checksum, _CONDITION: "*"},
            )
        except ClientError as error:
            if status_of(error) != 412:
                raise
            if not self._is_stored(len(body), checksum):
                raise self._exists_already() from error
        else:
            self._check_encryption(answer)

    def _put_in_parts(self, pieces: Iterable[bytes]) -> None:
        for _ in range(_MAX_BEGINNINGS):
            try:
                return self._put_multipart(pieces)
            except _UploadGoneError as error:
                log.warning("multipart upload begins again", file=str(self.location), error=error.said)
                gone = error
        raise FlushError(
            f"can't write {self.location}: {gone.said}; this was the answer to {_MAX_BEGINNINGS} multipart uploads"
        ) from gone

    def _put_multipart(self, pieces: Iterable[bytes]) -> None:
        upload_id = self._create()
        try:
            parts = self._put_parts(upload_id, pieces)
            self._complete(upload_id, parts, pieces)
        except BaseException:
            self._abort(upload_id)
            raise

    def _create(self) -> str:
        unanswered = self._budget.unanswered
        created = None
        try:
            answer = self._send(
                self._client.create_multipart_upload,
                expected="UploadId",
                arguments={"Metadata": self._metadata, **self._encryption},
                headers={"ChecksumAlgorithm": "CRC32"},
            )
            created = str(answer["UploadId"])
        finally:
            if self._budget.unanswered > unanswered:  # one may have been created whose answer was lost
                self._abort_lost(created)
        try:
            self._check_encryption(answer)
        except FlushError:
            self._abort(created)
            raise
        return created

    def _put_parts(self, upload_id: str, pieces: Iterable[bytes]) -> list[dict[str, Any]]:
        """Upload the pieces while they are made; return what completing needs to know about each."""
        futures: list[Future[dict[str, Any]]] = []
        try:
            for number, piece in enumerate(pieces, 1):
                futures.append(self._submit(upload_id, number, piece))
                _raise_first(futures)
            wait(futures, return_when=FIRST_EXCEPTION)
            _raise_first(futures)
            return [future.result() for future in futures]
        except BaseException as error:
            for future in futures:
                future.cancel()
            if not isinstance(error, _UploadGoneError):
                self._budget.stop()
            wait(futures)  # a part that arrives after the upload was aborted would stay in the bucket
            raise

    def _submit(self, upload_id: str, number: int, piece: bytes) -> "Future[dict[str, Any]]":
        try:
            # the log lines of a part name its batch too
            return self._pool.submit(copy_context().run, self._put_part, upload_id, number, piece)
        except RuntimeError as error:  # the pool was shut down
            raise StoppedError("stopped") from error

    def _put_part(self, upload_id: str, number: int, piece: bytes) -> dict[str, Any]:
        checksum = _checksum(piece)
        try:
            answer = self._send(
                self._client.upload_part,
                expected="ETag",
                arguments={"UploadId": upload_id, "PartNumber": number, "Body": piece},
                headers={"ChecksumCRC32": checksum},
            )
        except ClientError as error:
            if code_of(error) == "NoSuchUpload":
                raise _UploadGoneError(error) from error
            raise
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        return part | {"ChecksumCRC32": checksum} if self._dialect.checksums else part

    def _complete(self, upload_id: str, parts: list[dict[str, Any]], pieces: Iterable[bytes]) -> None:
        """Make an object of the parts. An earlier try, whose answer was lost, may have made it already."""
        try:
            self._send(
                self._client.complete_multipart_upload,
                expected="ETag",  # S3 sends the status before it knows whether completing works
                arguments={"UploadId": upload_id, "MultipartUpload": {"Parts": parts}},
                headers={_CONDITION: "*"},
            )
        except ClientError as error:
            gone = code_of(error) in ("NoSuchUpload", "InvalidPart")
            if not gone and status_of(error) != 412:
                raise
            if self._is_stored(sum(map(len, pieces)), _checksum_of_parts(pieces)):
                return
            raise (_UploadGoneError(error) if gone else self._exists_already()) from error

    def _check_encryption(self, answer: Mapping[str, Any]) -> None:
        """Raise FlushError if S3 did not do as it was asked. A server that knows no encryption ignores the request."""
        if any(answer.get(name) != value for name, value in self._encryption.items() if name in _ANSWERED):
            raise FlushError(f"can't write {self.location}: the server does not encrypt it as s3_encryption says")

    def _send(
        self,
        request: Callable[..., Any],
        *,
        arguments: Mapping[str, Any],
        headers: Mapping[str, str],
        expected: str | None = None,
    ) -> Any:
        """Send a request with the headers that the server understands. It is tried again if that may help."""
        while True:
            sent = self._dialect.understood(headers)
            try:
                return self._budget.call(request, expected=expected, **self._object, **arguments, **sent)
            except ClientError as error:
                if not is_misunderstanding(error) or not self._dialect.forget(sent):
                    raise

    def _is_stored(self, size: int, checksum: str) -> bool:
        """Find out whether the object exists and is this one. Nobody else writes it: its key holds the batch's id.

        If it seems to be another one, the server is asked twice, in case the answer was cut.
        """
        try:
            return self._looks_stored(size, checksum) or self._looks_stored(size, checksum)
        except ClientError as error:
            if status_of(error) == 404:
                return False
            raise

    def _looks_stored(self, size: int, checksum: str) -> bool:
        head = self._budget.call(
            self._client.head_object, expected="ContentLength", **self._object, ChecksumMode="ENABLED"
        )
        metadata = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
        stored = str(head.get("ChecksumCRC32", checksum))
        if ("-" in stored) != ("-" in checksum):
            stored = checksum  # one is of the parts, the other of the whole: they can't be compared
        return bool((head["ContentLength"], metadata, stored) == (size, self._metadata, checksum))

    def _exists_already(self) -> FlushError:
        return FlushError(f"can't write {self.location}: there is another object of this name")

    def _abort(self, upload_id: str) -> None:
        """Abort a multipart upload. If that fails it is only logged."""
        budget = RetryBudget(self._abort_policy, on_request=self._budget.on_request)
        try:
            budget.call(self._client.abort_multipart_upload, **self._object, UploadId=upload_id)
        except S3_ERRORS as error:
            if code_of(error) != "NoSuchUpload":
                log.warning("can't abort a multipart upload", file=str(self.location), error=describe(error))

    def _abort_lost(self, kept: str | None) -> None:
        """Abort the multipart uploads of this key except `kept`: they were begun, but the answer was lost."""
        try:
            for upload in list_uploads(self._client, self.location, self._abort_policy):
                if upload.location == self.location and upload.upload_id != kept:
                    self._abort(upload.upload_id)
        except S3_ERRORS as error:
            log.warning("can't list the multipart uploads", file=str(self.location), error=describe(error))


class _Replayable:
    """Makes pieces iterable more than once: it keeps the ones that it has given."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._rest = pieces
        self._kept: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        yield from self._kept
        for piece in self._rest:
            self._kept.append(piece)
            yield piece


def _pieces(parts: Iterable[Part], size: int) -> Iterator[bytes]:
    """Join and cut the parts to pieces of exactly `size` bytes, except the last."""
    held: list[Part] = []
    missing = size
    for part in parts:
        rest = memoryview(part)
        while len(rest) >= missing:
            yield b"".join((*held, rest[:missing]))
            held, missing, rest = [], size, rest[missing:]
        if rest:
            held.append(rest)
            missing -= len(rest)
    if held:
        yield b"".join(held)


def _raise_first(futures: Iterable[Future[Any]]) -> None:
    """Raise the exception of the first that has failed by now, if any."""
    for future in futures:
        if future.done():
            future.result()


def _checksum(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def _checksum_of_parts(pieces: Iterable[bytes]) -> str:
    """Return what S3 gives as the checksum of an object made of parts: the checksum of the parts' checksums."""
    checksums = [zlib.crc32(piece).to_bytes(4, "big") for piece in pieces]
    return f"{_checksum(b''.join(checksums))}-{len(checksums)}"
