"""What lies in a storage: batch files, and what a crash left half written."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.reading.index import LocalFile, RangedFile
from recording_worker.recording.batch_file import FILE_NAME
from recording_worker.settings.model import Settings

_TEMPORARY = re.compile(rf"\.({FILE_NAME.pattern}|check)\.[0-9a-f]{{8}}\.tmp")
"""The hidden names under which `storage.local` writes."""


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


def open_inventory(settings: Settings) -> Inventory:
    """That of the storage the settings name. Raises ConfigError."""
    if settings.storage_dir is not None:
        return LocalInventory(settings.storage_dir)
    if settings.storage is not None and settings.storage.startswith("s3://"):
        from recording_worker.storage.s3_inventory import S3Inventory  # boto3 takes its time to import

        return S3Inventory(settings.storage, settings)
    raise ConfigError("no storage: say where batch files are with --storage-dir DIR or --storage s3://BUCKET")


def file_key_of(url: str) -> str:
    """What is the same in a file's URL and in its path: retention and name. The name holds the batch's UUID."""
    return "/".join(url.rsplit("/", 2)[-2:])


class LocalInventory:
    """Of a folder. Links are passed over."""

    def __init__(self, root: Path) -> None:
        """Raises ConfigError where it is none."""
        if not root.is_dir():
            raise ConfigError(f"{root} is not a folder")
        self._root = root.resolve()

    def __str__(self) -> str:
        return str(self._root)

    def files(self) -> Iterator[StoredFile]:
        def fail(error: OSError) -> None:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error

        for folder, folders, names in os.walk(self._root, onerror=fail):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                temporary = _TEMPORARY.fullmatch(name) is not None
                path = Path(folder) / name
                if (temporary or FILE_NAME.fullmatch(name)) and not path.is_symlink():
                    try:
                        status = path.stat()
                    except FileNotFoundError:  # renamed or removed meanwhile
                        continue
                    created_ms = status.st_mtime_ns // 1_000_000 if temporary else created_ms_of(name)
                    yield StoredFile(LocalFile(path), status.st_size, created_ms, temporary)

    def remove(self, file: StoredFile) -> None:
        try:
            Path(file.name).unlink(missing_ok=True)
        except OSError as error:
            raise WorkerError(f"can't remove {file.name}: {error.strerror}") from error


def created_ms_of(name: str) -> int:
    """When a batch file was flushed, as its name says."""
    return int(name.split("-")[1])
