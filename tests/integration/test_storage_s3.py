"""What only S3 storage does: it uploads parts while others are made, knows errors, and adapts to simpler servers."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from structlog.testing import capture_logs

from recording_worker.errors import BootError, ConfigError, FlushError
from recording_worker.formats.batch_file import file_metadata
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from recording_worker.storage.open import open_storage
from recording_worker.storage.s3.backend import S3Storage
from recording_worker.storage.s3.location import S3Location
from recording_worker.storage.s3.retry import RetryPolicy
from tests.batch_files import block, line, offset_ranges
from tests.servers.faulty_proxy import Fault, FaultyProxy
from tests.servers.s3 import KEY, PART_BYTES, UNEQUAL_PARTS, Bucket, PartsOfOneSize, quick_retries, use_credentials
from tests.waiting import wait_for

NAME = "blocks/30d/file"


@pytest.fixture
def storage_of(bucket: Bucket) -> Iterator[Callable[..., S3Storage]]:
    made: list[S3Storage] = []

    def make(policy: RetryPolicy | None = None, **settings: Any) -> S3Storage:
        location = S3Location(bucket.name, "")
        made.append(S3Storage(location, bucket.settings(**settings), Metrics(), part_bytes=PART_BYTES, policy=policy))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


Make = Callable[..., S3Storage]


def test_the_settings_choose_s3(bucket: Bucket) -> None:
    storage = open_storage(bucket.settings(storage=f"{bucket.url}/some/prefix"), Metrics())
    assert isinstance(storage, S3Storage)
    assert storage.write(NAME, [b"x"], {}) == f"{bucket.url}/some/prefix/{NAME}"
    assert bucket.all_keys() == [f"some/prefix/{NAME}"]


def test_the_object_says_what_is_in_it(bucket: Bucket, storage_of: Make) -> None:
    entries = [block([(7, [line(1)]), (9, [line(2)])])[0], block([(3, [line(1)])])[0]]
    metadata = file_metadata("batch-1", "zstd", "recordings", offset_ranges(entries))
    for name, size in (("small", 10), ("large", 3 * PART_BYTES)):
        storage_of().write(name, [b"x" * size], metadata)
        assert bucket.metadata(name) == {
            "batch-id": "batch-1",
            "codec": "zstd",
            "topic": "recordings",
            "offsets": "0:3-9",
        }


def test_metadata_stays_below_what_s3_takes() -> None:
    entries = [block([(2**62, [line(1)])])[0] for _ in range(300)]
    for number, entry in enumerate(entries):
        entry.partition = number
    metadata = file_metadata("b" * 36, "zstd", "t" * 249, offset_ranges(entries))
    assert sum(len(name) + len(value) for name, value in metadata.items()) < 2048
    assert metadata["offsets"].endswith(",...")
    assert metadata["offsets"].startswith(f"0:{2**62}-{2**62},1:")


def test_parts_are_uploaded_while_later_ones_are_made(bucket: Bucket, storage_of: Make) -> None:
    storage = storage_of()
    uploaded = threading.Event()
    upload_part = storage._client.upload_part

    def upload(**arguments: Any) -> Any:
        answer = upload_part(**arguments)
        uploaded.set()
        return answer

    storage._client.upload_part = upload

    def parts() -> Iterator[bytes]:
        yield os.urandom(PART_BYTES)
        yield os.urandom(PART_BYTES)
        assert uploaded.wait(10), "the first parts wait for the last"
        yield b"end"

    storage.write(NAME, parts(), {})
    assert len(bucket.content(NAME)) == 2 * PART_BYTES + 3


def test_no_more_parts_than_s3_uploads_are_uploaded_at_a_time(bucket: Bucket, storage_of: Make) -> None:
    storage = storage_of(s3_uploads=3)
    together = threading.Barrier(3, timeout=10)
    under_way: list[int] = []
    upload_part = storage._client.upload_part

    def upload(**arguments: Any) -> Any:
        under_way.append(arguments["PartNumber"])
        together.wait()
        assert len(under_way) <= 3
        answer = upload_part(**arguments)
        under_way.remove(arguments["PartNumber"])
        return answer

    storage._client.upload_part = upload
    storage.write(NAME, [os.urandom(PART_BYTES) for _ in range(9)], {})
    assert len(bucket.content(NAME)) == 9 * PART_BYTES


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_a_server_that_takes_only_parts_of_one_size_stores_what_comes_in_any(bucket: Bucket, storage_of: Make) -> None:
    made = [os.urandom(size) for size in (700, 900, 3 * PART_BYTES, 5, PART_BYTES - 1, 2000)]
    storage_of().write(NAME, made, {})
    assert bucket.content(NAME) == b"".join(made)


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_what_a_server_says_of_each_fresh_upload_is_shown(
    bucket: Bucket, storage_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PartsOfOneSize, "_take", lambda *_: False)
    with capture_logs() as logs, pytest.raises(FlushError, match=UNEQUAL_PARTS):
        storage_of().write(NAME, [os.urandom(3 * PART_BYTES)], {})
    assert all(UNEQUAL_PARTS in line["error"] for line in logs)
    assert bucket.open_uploads() == []


@pytest.mark.parametrize("size", [10, 4 * PART_BYTES])
def test_parts_are_made_once_whatever_fails(bucket: Bucket, storage_of: Make, size: int) -> None:
    """After a failure the same parts are sent again."""
    proxy = FaultyProxy(bucket.server.port, seed=1, writes=0.4, others=0.33)
    storage = storage_of(quick_retries(60), s3_endpoint=proxy.endpoint, s3_read_timeout=0.3)
    proxy.never(Fault.DENIED)
    made: list[bytes] = []

    def parts() -> Iterator[bytes]:
        for _ in range(0, size, 10):
            made.append(os.urandom(10))
            yield made[-1]

    storage.write(NAME, parts(), {"batch-id": "1"})
    assert bucket.content(NAME) == b"".join(made)
    assert bucket.open_uploads() == []
    assert proxy.done.total() > 0
    proxy.close()


def test_close_gives_up_and_aborts(bucket: Bucket, storage_of: Make) -> None:
    storage = storage_of()
    begun, faults = threading.Event(), []

    def parts() -> Iterator[bytes]:
        yield os.urandom(2 * PART_BYTES)
        yield os.urandom(2 * PART_BYTES)
        begun.set()
        assert storage._closing.wait(10)
        yield os.urandom(PART_BYTES)

    def write() -> None:
        try:
            storage.write(NAME, parts(), {})
        except FlushError as error:
            faults.append(str(error))

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(10)
    storage.close()
    writer.join()
    assert faults == [f"can't write {bucket.url}/{NAME}: stopped"]
    assert (bucket.all_keys(), bucket.open_uploads()) == ([], [])


def test_close_ends_an_upload_whose_parts_wait_for_others(bucket: Bucket, storage_of: Make) -> None:
    storage = storage_of(s3_uploads=1)
    upload_part, faults = storage._client.upload_part, []

    def upload(**arguments: Any) -> Any:
        assert storage._closing.wait(10)
        return upload_part(**arguments)

    def write() -> None:
        try:
            storage.write(NAME, (os.urandom(PART_BYTES) for _ in range(4)), {})
        except FlushError as error:
            faults.append(str(error))

    storage._client.upload_part = upload
    writer = threading.Thread(target=write)
    writer.start()
    wait_for(lambda: storage._pool._work_queue.qsize() == 3, "the parts that wait")
    storage.close()
    writer.join(10)
    assert faults == [f"can't write {bucket.url}/{NAME}: stopped"]
    assert (bucket.all_keys(), bucket.open_uploads()) == ([], [])


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
@pytest.mark.parametrize("size", [10, 3 * PART_BYTES])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"s3_encryption": "AES256"}, ("AES256", None)),
        ({"s3_encryption": "aws:kms", "s3_kms_key": "alias/recordings"}, ("aws:kms", "alias/recordings")),
    ],
)
def test_objects_are_encrypted_as_the_settings_say(
    bucket: Bucket, storage_of: Make, size: int, asked: dict[str, str], expected: tuple[str, str | None]
) -> None:
    storage = storage_of(**asked)
    storage.check()
    storage.write(NAME, [b"x" * size], {})
    head = storage._client.head_object(Bucket=bucket.name, Key=NAME)
    assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId")) == expected


@pytest.mark.parametrize("s3", ["rclone"], indirect=True)
@pytest.mark.parametrize("size", [10, 3 * PART_BYTES])
def test_a_server_that_does_not_encrypt_is_refused(bucket: Bucket, storage_of: Make, size: int) -> None:
    storage = storage_of(s3_encryption="AES256")
    with pytest.raises(ConfigError, match="the server does not encrypt it as s3_encryption says"):
        storage.check()
    with pytest.raises(FlushError, match="the server does not encrypt it as s3_encryption says"):
        storage.write(NAME, [b"x" * size], {})
    assert bucket.open_uploads() == []


@pytest.mark.parametrize("refused", ["IfNoneMatch", "ChecksumCRC32", "ChecksumAlgorithm"])
@pytest.mark.parametrize("size", [10, 3 * PART_BYTES])
def test_a_server_that_refuses_a_header_is_asked_without(
    bucket: Bucket, storage_of: Make, monkeypatch: pytest.MonkeyPatch, refused: str, size: int
) -> None:
    storage = storage_of()
    refusals = []
    for name in ("put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload"):
        really = getattr(storage._client, name)

        def request(really: Callable[..., Any] = really, **arguments: Any) -> Any:
            if refused in arguments:
                refusals.append(refused)
                raise ClientError(
                    {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}, "x"
                )
            return really(**arguments)

        monkeypatch.setattr(storage._client, name, request)
    storage.write(NAME, [b"x" * PART_BYTES, b"x" * size], {})
    assert refusals
    refusals.clear()
    storage.write(f"{NAME}-2", [b"x" * size], {})
    assert refusals == []
    assert len(bucket.all_keys()) == 2
    assert storage._dialect.conditional == (refused != "IfNoneMatch"), "no more is left out than was refused"
    assert storage._dialect.checksums == (refused == "IfNoneMatch")


@pytest.mark.parametrize("request_name", ["put_object", "complete_multipart_upload"])
def test_an_object_is_stored_also_if_only_the_answer_was_lost(
    bucket: Bucket, storage_of: Make, monkeypatch: pytest.MonkeyPatch, request_name: str
) -> None:
    storage = storage_of(quick_retries(60))
    really, requests = getattr(storage._client, request_name), []

    def lose_the_first_answer(**arguments: Any) -> Any:
        answer = really(**arguments)
        requests.append(arguments["Key"])
        if len(requests) == 1:
            raise ReadTimeoutError(endpoint_url=bucket.url)
        return answer

    monkeypatch.setattr(storage._client, request_name, lose_the_first_answer)
    parts = [b"x" * PART_BYTES] * (1 if request_name == "put_object" else 3)
    storage.write(NAME, parts, {"batch-id": "1"})
    assert bucket.content(NAME) == b"".join(parts)
    assert (bucket.all_keys(), bucket.open_uploads()) == ([NAME], [])


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize(
    ("content", "metadata"),
    [(b"x" * (PART_BYTES + 1), {"batch-id": "1"}), (b"x" * PART_BYTES, {})],
)
def test_an_object_of_another_size_or_other_metadata_is_not_taken_for_this_one(
    storage_of: Make, bucket: Bucket, parts: int, content: bytes, metadata: dict[str, str]
) -> None:
    storage = storage_of()
    storage.write(NAME, [content] * parts, metadata)
    with pytest.raises(FlushError, match="there is another object of this name"):
        storage.write(NAME, [b"x" * PART_BYTES] * parts, {"batch-id": "1"})
    assert bucket.content(NAME) == content * parts
    assert bucket.open_uploads() == []


def wrong_secret(bucket: Bucket, patch: pytest.MonkeyPatch) -> Settings:
    use_credentials(patch, KEY, "wrong")
    return bucket.settings()


def wrong_key(bucket: Bucket, patch: pytest.MonkeyPatch) -> Settings:
    use_credentials(patch, "wrong", "wrong")
    return bucket.settings()


def no_credentials(bucket: Bucket, patch: pytest.MonkeyPatch) -> Settings:
    patch.delenv("AWS_ACCESS_KEY_ID")
    return bucket.settings()


def no_bucket(bucket: Bucket, patch: pytest.MonkeyPatch) -> Settings:  # noqa: ARG001 - one of several
    return bucket.settings(storage="s3://there-is-none")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (wrong_secret, "the secret key is wrong"),
        (wrong_key, "the server does not know this access key"),
        (no_credentials, "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (no_bucket, "there is no such bucket"),
    ],
)
def test_a_permanent_error_is_one_line_and_not_tried_again(
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[Bucket, pytest.MonkeyPatch], Settings],
    text: str,
) -> None:
    settings = wrong(bucket, monkeypatch)
    if wrong in (wrong_secret, wrong_key) and not bucket.server.checks_credentials:
        open_storage(settings, Metrics()).check()  # moto accepts all credentials
        return
    storage = open_storage(settings, Metrics())
    with capture_logs() as logs:
        with pytest.raises(ConfigError) as at_start:
            storage.check()
        with pytest.raises(FlushError) as at_flush:
            storage.write(NAME, [b"x"], {})
    assert str(at_start.value).startswith(f"can't write to {settings.storage}: {text}")
    assert str(at_flush.value).startswith(f"can't write {settings.storage}/{NAME}: {text}")
    assert "\n" not in f"{at_start.value}{at_flush.value}"
    assert logs == []


def test_a_server_that_can_not_be_reached(bucket: Bucket, storage_of: Make) -> None:
    policy = RetryPolicy(0.2, check_for=0.2, abort_for=0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        storage = storage_of(policy, s3_endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(BootError, match=rf"can't write to {bucket.url}: can't reach the server"):
            storage.check()
        for size in (1, 3 * PART_BYTES):
            with pytest.raises(FlushError, match="can't reach the server"):
                storage.write(NAME, [b"x" * size] * 2, {})
