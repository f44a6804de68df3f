"""Upload: one file on its way to S3."""

import base64
import logging
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from recording_worker.errors import FlushError
from recording_worker.storage.base import Part, Retained
from recording_worker.storage.s3.client import S3Client, S3Place
from recording_worker.storage.s3.errors import S3_ERRORS, code_of, describe, is_misunderstanding, status_of
from recording_worker.storage.s3.listing import list_uploads
from recording_worker.storage.s3.retry import Patience, StoppedError

PART_BYTES = 8 * 1024 * 1024
"""Least bytes of a part but the last. S3 takes none below 5 MiB, nor more than 10,000 parts."""
_ABORT_SECONDS = 5.0
"""How long aborting is tried: it is for tidiness, and a life-cycle rule does it as well."""
_BEGINNINGS = 3
"""How often a multipart upload is begun again that the server has forgotten."""

_CONDITION = "IfNoneMatch"

log = logging.getLogger(__name__)


class _UploadGoneError(Exception):
    """The server does not know the multipart upload, or a part, any more: it was restarted, or somebody aborted it."""


@dataclass(slots=True)
class Dialect:
    """What a server turned out to understand. All that is asked for is safe to be ignored, but not to be refused."""

    conditional: bool = True
    """If-None-Match."""
    checksums: bool = True
    """CRC-32 of each request's body, which the server compares."""

    def understood(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What of these headers, by boto3's names, the server takes."""
        return {
            name: value
            for name, value in headers.items()
            if (self.conditional if name == _CONDITION else self.checksums)
        }

    def forget(self, refused: Mapping[str, str]) -> bool:
        """Leave out from now on one kind of the headers that a refused request had; returns whether it had any."""
        if _CONDITION in refused:
            if self.conditional:  # else another thread found it out
                self.conditional = False
                log.warning("this S3 server refuses If-None-Match: it is left out from now on")
        elif refused and self.checksums:
            self.checksums = False
            log.warning("this S3 server refuses checksums: they are left out from now on")
        return bool(refused)


class Upload:
    """Stores one object: by one put where it is small, else in parts, some at a time while later ones are made.

    What was made is kept until it is stored, so that what fails is sent again. An object appears whole
    or not at all. Used by one thread; `stop` is for another.
    """

    def __init__(
        self,
        client: S3Client,
        pool: ThreadPoolExecutor,
        place: S3Place,
        metadata: Mapping[str, str],
        *,
        patience: Patience,
        dialect: Dialect,
    ) -> None:
        self._client = client
        self._pool = pool
        self._place = place
        self._object = {"Bucket": place.bucket, "Key": place.key}
        self._metadata = dict(metadata)
        self._patience = patience
        self._dialect = dialect
        self.ended = threading.Event()
        """Set once nothing more is done."""

    def run(self, parts: Iterable[Part], part_bytes: int = PART_BYTES) -> None:
        """Store what the parts give. Raises FlushError, and what `parts` raises."""
        pieces = Retained(_gather(parts, part_bytes))
        try:
            beginning = list(islice(pieces, 2))
            if len(beginning) < 2:
                self._put(b"".join(beginning))
            else:
                del beginning
                self._put_in_parts(pieces)
        except S3_ERRORS as error:
            raise FlushError(f"can't write {self._place}: {describe(error)}") from error
        except (StoppedError, CancelledError) as error:
            raise FlushError(f"can't write {self._place}: stopped") from error
        finally:
            self.ended.set()

    def probe(self) -> None:
        """Begin an upload and abort it: what it takes to write, and nothing is left behind. Raises S3_ERRORS."""
        begun = self._create()
        self._patience.call(self._client.abort_multipart_upload, **self._object, UploadId=begun)

    def stop(self) -> None:
        """Have `run` give up, and abort what it began."""
        self._patience.stop()

    def _put(self, body: bytes) -> None:
        checksum = _checksum(body)
        try:
            self._send(
                self._client.put_object,
                arguments={"Body": body, "Metadata": self._metadata},
                headers={"ChecksumCRC32": checksum, _CONDITION: "*"},
            )
        except ClientError as error:
            if status_of(error) != 412:
                raise
            if not self._is_stored(len(body), checksum):
                raise self._exists_already() from error

    def _put_in_parts(self, pieces: Iterable[bytes]) -> None:
        for _ in range(_BEGINNINGS):
            try:
                return self._put_multipart(pieces)
            except _UploadGoneError as error:
                log.warning("%s: the server has forgotten the multipart upload, which begins again", self._place)
                gone = error
        raise FlushError(
            f"can't write {self._place}: the server forgot the multipart upload {_BEGINNINGS} times"
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
        unanswered = self._patience.unanswered
        created = None
        try:
            created = self._send(
                self._client.create_multipart_upload,
                expected="UploadId",
                arguments={"Metadata": self._metadata},
                headers={"ChecksumAlgorithm": "CRC32"},
            )["UploadId"]
            return str(created)
        finally:
            if self._patience.unanswered > unanswered:  # it may have been created, and only the answer lost
                self._abort_lost(created)

    def _put_parts(self, upload_id: str, pieces: Iterable[bytes]) -> list[dict[str, Any]]:
        """Upload the pieces as they come; returns what completing needs to know of each."""
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
                self._patience.stop()
            wait(futures)  # a part that arrives after the upload was aborted would stay
            raise

    def _submit(self, upload_id: str, number: int, piece: bytes) -> "Future[dict[str, Any]]":
        try:
            return self._pool.submit(self._put_part, upload_id, number, piece)
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
                raise _UploadGoneError from error
            raise
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        return part | {"ChecksumCRC32": checksum} if self._dialect.checksums else part

    def _complete(self, upload_id: str, parts: list[dict[str, Any]], pieces: Iterable[bytes]) -> None:
        """Make an object of the parts. It may have become one by a try whose answer was lost."""
        try:
            self._send(
                self._client.complete_multipart_upload,
                expected="ETag",  # the status comes before it is known whether that worked
                arguments={"UploadId": upload_id, "MultipartUpload": {"Parts": parts}},
                headers={_CONDITION: "*"},
            )
        except ClientError as error:
            gone = code_of(error) in ("NoSuchUpload", "InvalidPart")
            if not gone and status_of(error) != 412:
                raise
            if self._is_stored(sum(map(len, pieces)), _checksum_of_parts(pieces)):
                return
            raise (_UploadGoneError() if gone else self._exists_already()) from error

    def _send(
        self,
        request: Callable[..., Any],
        *,
        arguments: Mapping[str, Any],
        headers: Mapping[str, str],
        expected: str | None = None,
    ) -> Any:
        """One request, with those of the headers that the server understands, tried again where that may help."""
        while True:
            sent = self._dialect.understood(headers)
            try:
                return self._patience.call(request, expected=expected, **self._object, **arguments, **sent)
            except ClientError as error:
                if not is_misunderstanding(error) or not self._dialect.forget(sent):
                    raise

    def _is_stored(self, size: int, checksum: str) -> bool:
        """Whether the object is there and is this one: its key has the batch's id, so nobody else writes it.

        Asked twice where it seems to be another, in case the answer was cut.
        """
        try:
            return self._looks_stored(size, checksum) or self._looks_stored(size, checksum)
        except ClientError as error:
            if status_of(error) == 404:
                return False
            raise

    def _looks_stored(self, size: int, checksum: str) -> bool:
        head = self._patience.call(
            self._client.head_object, expected="ContentLength", **self._object, ChecksumMode="ENABLED"
        )
        metadata = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
        stored = str(head.get("ChecksumCRC32", checksum))
        if ("-" in stored) != ("-" in checksum):
            stored = checksum  # of the parts and not of the whole, or the other way round: it says nothing
        return bool((head["ContentLength"], metadata, stored) == (size, self._metadata, checksum))

    def _exists_already(self) -> FlushError:
        return FlushError(f"can't write {self._place}: there is another object of this name")

    def _abort(self, upload_id: str) -> None:
        """Abort a multipart upload, if that works."""
        try:
            Patience(_ABORT_SECONDS).call(self._client.abort_multipart_upload, **self._object, UploadId=upload_id)
        except S3_ERRORS as error:
            if code_of(error) != "NoSuchUpload":
                log.warning("%s: can't abort its multipart upload: %s", self._place, describe(error))

    def _abort_lost(self, kept: str | None) -> None:
        """Abort the multipart uploads of this key but `kept`: those that were begun and not heard of."""
        try:
            for upload in list_uploads(self._client, self._place, _ABORT_SECONDS):
                if upload.place == self._place and upload.upload_id != kept:
                    self._abort(upload.upload_id)
        except S3_ERRORS as error:
            log.warning("%s: can't list its multipart uploads: %s", self._place, describe(error))


def _gather(parts: Iterable[Part], size: int) -> Iterator[bytes]:
    """The parts joined to pieces of at least `size` bytes, but for the last."""
    held: list[Part] = []
    length = 0
    for part in parts:
        held.append(part)
        length += len(part)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


def _raise_first(futures: Iterable[Future[Any]]) -> None:
    """Raise what the first of those that failed by now failed with."""
    for future in futures:
        if future.done():
            future.result()


def _checksum(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def _checksum_of_parts(pieces: Iterable[bytes]) -> str:
    """What S3 gives as the checksum of an object that was uploaded in parts: that of the parts' checksums."""
    checksums = [zlib.crc32(piece).to_bytes(4, "big") for piece in pieces]
    return f"{_checksum(b''.join(checksums))}-{len(checksums)}"
