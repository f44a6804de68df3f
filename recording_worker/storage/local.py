"""LocalStorage: batch files in a folder."""

import errno
import logging
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from tenacity import Retrying, before_sleep_log, retry_if_exception, stop_after_attempt, wait_random_exponential

from recording_worker.errors import ConfigError, FlushError, WorkerError
from recording_worker.formats.batch_file import (
    FILE_NAME,
    BatchFileError,
    FileMissingError,
    created_ms_of,
)
from recording_worker.storage.base import Part, RangedFile, Retained, StoredFile

TRANSIENT = frozenset({errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""What may pass by itself, on network file systems above all. A full disk and a lack of rights do not."""
ATTEMPTS = 4

log = logging.getLogger(__name__)


class LocalStorage:
    """Writes each file under a hidden name in its own folder, and renames it once it is on the disk.

    `url_root` is what the URLs name instead of `root`, for a root that will be renamed.
    """

    def __init__(self, root: Path, url_root: Path | None = None) -> None:
        self._root = root.resolve()
        self._url_root = self._root if url_root is None else url_root.resolve()

    def check(self) -> None:
        """Make the folder, and prove that it can be written. Raises ConfigError."""
        probe = _hidden(self._root / "check")
        try:
            _make_folder(self._root)
            try:
                _write_file(probe, [b"check"])
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"can't write to the storage folder {self._root}: {error.strerror}") from error

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:  # noqa: ARG002 - a storage's signature
        """Store the parts as one file; returns its file:// URL. Never overwrites. Raises FlushError.

        What may pass by itself is tried again, a few times within seconds. The metadata has no place here.
        """
        path = self._root / key
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, OSError) and error.errno in TRANSIENT),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        try:
            retrying(_write_whole, path, Retained(parts))
        except OSError as error:
            raise FlushError(f"can't write {path}: {error.strerror}") from error
        return (self._url_root / key).as_uri()

    def close(self) -> None:
        """Nothing to do: a file being written is hidden, and `sweep` finds what is left of it."""


def _write_whole(path: Path, parts: Iterable[Part]) -> None:
    """Write a file so that it is there whole or not at all, also after a crash of the machine."""
    _make_folder(path.parent)
    temporary = _hidden(path)
    try:
        _write_file(temporary, parts)
        if path.exists():  # names are unique by their batch id: this finds a bug, not a race
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _write_file(path: Path, parts: Iterable[Part]) -> None:
    """Write a new file through to the disk."""
    with path.open("xb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents where they are missing, through to the disk."""
    if folder.is_dir():
        return
    if folder.exists():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine. It is open only while it is read."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def read_tail(self, length: int) -> tuple[bytes, int]:
        try:
            with self.path.open("rb", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - length))
                return file.read(length), size
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def read(self, start: int, length: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise _unreadable(self.name, error) from error


def _unreadable(name: str, error: OSError) -> BatchFileError:
    kind = FileMissingError if isinstance(error, FileNotFoundError) else BatchFileError
    return kind(f"{name}: {error.strerror}")


def find_files(paths: Iterable[str]) -> Iterator[RangedFile]:
    """The files of these paths; of a folder all that are named like batch files, at any depth, sorted.

    Hidden files and folders below a folder are skipped: files being written, or left by a crash. So are
    symbolic links to folders. Raises ConfigError for a path that is not there or can't be listed.
    """
    for path in map(Path, paths):
        try:
            if S_ISDIR(path.stat().st_mode):
                yield from _walk(path)
            else:
                yield LocalFile(path)
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error


def _walk(folder: Path) -> Iterator[RangedFile]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif FILE_NAME.fullmatch(path.name):
            yield LocalFile(path)


_TEMPORARY = re.compile(rf"\.({FILE_NAME.pattern}|check)\.[0-9a-f]{{8}}\.tmp")
"""The hidden names under which `storage.local` writes."""


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
