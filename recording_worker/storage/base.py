"""What a storage backend does, and what keeps the parts of a file until it is stored."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from recording_worker.formats.batch_file import (
    file_key_of,
)

Part = bytes | bytearray | memoryview

READS_AT_A_TIME = 8
"""How many reads of files a reader may have under way; a storage keeps as many connections."""
Item = TypeVar("Item")


class Storage(Protocol):
    """Stores batch files. A file appears whole or not at all."""

    def check(self) -> None:
        """Whether files can be written here. Raises ConfigError or BootError with one clear line where not."""

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:
        """Store the parts, one after the other, as one file; return its URL (no range). May block on the device.

        `parts` may still be made while the first of them are written; each is asked for once, and kept until
        the file is stored. `key` is a path with forward slashes below the backend's root; nothing is
        overwritten. `metadata`, ASCII and of at most 2 KB, says what is in the file, where the backend has a place for
        it. Raises FlushError, and what `parts` raises.
        """

    def close(self) -> None:
        """Give up what is being written, and leave as little of it behind as can be. For a process that ends."""


class Retained(Generic[Item]):
    """An iterable that may be gone through several times over an iterator that may not: it keeps what it has given."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._rest = iter(items)
        self._kept: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        yield from self._kept
        for item in self._rest:
            self._kept.append(item)
            yield item


class RangedFile(Protocol):
    """A file of which ranges can be read: a local one, or an object in a store. Raises BatchFileError."""

    @property
    def name(self) -> str:
        """What the file is called in listings and errors."""

    def read_tail(self, length: int) -> tuple[bytes, int]:
        """The last `length` bytes (fewer where the file is smaller), and the size of the file."""

    def read(self, start: int, length: int) -> bytes:
        """These bytes; fewer where the file ends before."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the storage, or an upload to it that nobody has ended."""

    file: RangedFile
    size: int
    created_ms: int
    """Milliseconds since 1970: a batch file's as its name says, a temporary one's when it was last written to."""
    temporary: bool
    upload_id: str | None = None
    """Of a multipart upload, which S3 keeps the parts of and shows no object for."""

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def key(self) -> str:
        """Retention and name, the same wherever the storage is mounted; see `file_key_of`."""
        return file_key_of(self.name)


class Inventory(Protocol):
    """What lies in one storage. Its text says where that is."""

    def files(self) -> Iterator[StoredFile]:
        """All batch files and temporary ones, at any depth; hidden folders are passed over. Raises ConfigError."""

    def remove(self, file: StoredFile) -> None:
        """Remove a file; nothing if it is gone already. Raises WorkerError."""
