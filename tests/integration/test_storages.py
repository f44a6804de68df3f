"""What every storage keeps to: a local folder, and S3 on each server."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from recording_worker.errors import FlushError
from recording_worker.metrics import Metrics
from recording_worker.storage.base import Part, Storage
from recording_worker.storage.local.backend import LocalStorage
from recording_worker.storage.s3.backend import S3Storage
from recording_worker.storage.s3.location import S3Location
from tests.servers.fixtures import S3_SERVERS
from tests.servers.s3 import PART_BYTES, Bucket, use_credentials

KEY = "blocks/30d/file"
SIZES = [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 10 * PART_BYTES + 7]


class Backend(Protocol):
    """A storage, and a look at what is in it."""

    storage: Storage
    overwrites: bool

    def content(self, url: str) -> bytes: ...
    def names(self) -> list[str]: ...
    def leftovers(self) -> list[str]: ...


class LocalBackend:
    overwrites = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.storage: Storage = LocalStorage(root)

    def content(self, url: str) -> bytes:
        return Path(url.removeprefix("file://")).read_bytes()

    def names(self) -> list[str]:
        return [path.relative_to(self.root).as_posix() for path in self.root.rglob("[!.]*") if path.is_file()]

    def leftovers(self) -> list[str]:
        return [str(path) for path in self.root.rglob(".*")]


class S3Backend:
    """A bucket, below a prefix."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.overwrites = not bucket.server.honours_if_none_match
        self.storage: Storage = S3Storage(
            S3Location(bucket.name, "some/prefix/"), bucket.settings(), Metrics(), part_bytes=PART_BYTES
        )

    def content(self, url: str) -> bytes:
        return self.bucket.content(url.removeprefix(f"{self.bucket.url}/"))

    def names(self) -> list[str]:
        return [key.removeprefix("some/prefix/") for key in self.bucket.all_keys()]

    def leftovers(self) -> list[str]:
        return self.bucket.open_uploads()


@pytest.fixture(params=["local", *S3_SERVERS])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Backend]:
    made: Backend
    if request.param == "local":
        made = LocalBackend(tmp_path)
    else:
        use_credentials(monkeypatch)
        made = S3Backend(request.getfixturevalue(request.param).new_bucket())
    yield made
    made.storage.close()


def test_check_finds_nothing_wrong_and_leaves_nothing(backend: Backend) -> None:
    backend.storage.check()
    assert (backend.names(), backend.leftovers()) == ([], [])


@pytest.mark.parametrize("size", SIZES)
def test_a_written_file_is_whole(backend: Backend, size: int) -> None:
    content = os.urandom(size)
    parts: list[Part] = [content[at : at + 400] for at in range(0, size, 400)]
    parts = [kind(part) for kind, part in zip([bytes, bytearray, memoryview] * len(parts), parts, strict=False)]
    url = backend.storage.write(KEY, iter(parts), {"batch-id": "1"})
    assert backend.content(url) == content
    assert (backend.names(), backend.leftovers()) == ([KEY], [])


@pytest.mark.parametrize("size", SIZES[1:])
def test_parts_that_can_not_be_made_leave_nothing(backend: Backend, size: int) -> None:
    def parts() -> Iterator[bytes]:
        yield os.urandom(size)
        yield os.urandom(size)
        raise MemoryError

    with pytest.raises(MemoryError):
        backend.storage.write(KEY, parts(), {})
    assert (backend.names(), backend.leftovers()) == ([], [])


def test_the_same_content_again_counts_as_stored(backend: Backend) -> None:
    assert backend.storage.write(KEY, [b"1234"], {}) == (url := backend.storage.write(KEY, [b"12", b"34"], {}))
    assert backend.content(url) == b"1234"
    assert (backend.names(), backend.leftovers()) == ([KEY], [])


@pytest.mark.parametrize("size", [100, 3 * PART_BYTES])
def test_nothing_is_overwritten_where_the_server_can_be_asked_not_to(backend: Backend, size: int) -> None:
    url = backend.storage.write(KEY, [b"1" * size], {"batch-id": "1"})
    other = [b"2" * PART_BYTES, b"2" * (size - 1)]
    if backend.overwrites:
        backend.storage.write(KEY, other, {"batch-id": "2"})
        assert backend.content(url) == b"".join(other)
    else:
        with pytest.raises(FlushError, match=KEY):
            backend.storage.write(KEY, other, {"batch-id": "2"})
        assert backend.content(url) == b"1" * size
    assert (backend.names(), backend.leftovers()) == ([KEY], [])
