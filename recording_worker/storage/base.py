"""What storages have in common: writing batch files, reading ranges of them, and listing them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from recording_worker.formats.batch_file import file_key_of

Part = bytes | bytearray | memoryview

MAX_CONCURRENT_READS = 8
"""How many reads a reader of files may have under way. A storage keeps this many connections."""


class Storage(Protocol):
    """Stores batch files. A file appears whole or not at all."""

    def check(self) -> None:
        """Find out whether files can be written here. Raises ConfigError or BootError with one clear line if not."""

    def probe(self) -> None:
        """Find out whether the storage answers, without writing; see `dependencies.Probe`. Raises StoreError."""

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:
        """Store the parts, one after the other, as one file; return its URL (without a range). May block.

        The first parts are written while later ones are still made. Each part is asked for once, and kept as long as
        it may have to be written again. `key` is a path with forward slashes below the backend's root; nothing is
        overwritten, and a file that is there already with the same content counts as stored.
        `metadata` says what is in the file, in ASCII, at most 2 KB; a backend that has no place for it leaves it out.
        Raises FlushError, and what `parts` raises.
        """

    def close(self) -> None:
        """Give up what is being written, and leave as little of it behind as possible. For a process that ends."""


class RangedFile(Protocol):
    """A file that is read by ranges: a local file, or an object in S3. Reading raises BatchFileError."""

    @property
    def name(self) -> str:
        """The file's path or URL, for listings and errors."""

    def read_tail(self, length: int) -> tuple[bytes, int]:
        """Return the last `length` bytes (fewer if the file is smaller), and the size of the file."""

    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start`; fewer if the file ends before."""

    def dictionary(self, dictionary_id: str) -> "RangedFile":
        """Return the file of a dictionary that this batch file was written with; see `dictionary_key`."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a storage, or an upload to it that nobody has completed or aborted."""

    file: RangedFile
    size: int
    created_ms: int
    """Milliseconds since 1970: for a batch file from its name, for a temporary one when it was last written to."""
    temporary: bool
    upload_id: str | None = None
    """Set for a multipart upload: S3 keeps its parts, but there is no object yet."""

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def key(self) -> str:
        """Retention and name, the same wherever the storage is mounted; see `file_key_of`."""
        return file_key_of(self.name)


class Inventory(Protocol):
    """The files of one storage. Its text is the storage's path or URL."""

    def files(self) -> Iterator[StoredFile]:
        """Yield all batch files and temporary ones, at any depth; hidden folders are skipped. Raises ConfigError."""

    def remove(self, file: StoredFile) -> None:
        """Remove a file; do nothing if it is gone already. Raises WorkerError."""

    def replace(self, file: RangedFile, parts: Iterable[Part]) -> None:
        """Put other content in place of a file's. A reader finds the one or the other, and nothing in between.

        `parts` is asked for once the file may be replaced: see the backend for who else may do that meanwhile. Raises
        WorkerError, and what `parts` raises.
        """
