"""LocalFile: a batch file on this machine. `find_files` finds them in folders."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import FILE_NAME, BatchFileError, FileMissingError
from recording_worker.formats.dictionary import dictionary_key

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Opening a pipe does not wait for the other end."""


def find_files(paths: Iterable[str]) -> Iterator["LocalFile"]:
    """Yield the files at these paths; for a folder, all files in it that are named like batch files, sorted.

    Folders are searched at any depth. Hidden files and folders below a folder are skipped: they are being written,
    or were left by a crash. Symbolic links to folders are skipped too. A folder that can't be listed is yielded, and
    so is anything else that is named like a batch file: reading it says what is wrong. Raises ConfigError for a path
    that does not exist.
    """
    for path in map(Path, paths):
        try:
            is_folder = S_ISDIR(path.stat().st_mode)
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error
        if is_folder:
            yield from _walk(path)
        else:
            yield LocalFile(path)


def _walk(root: Path) -> Iterator["LocalFile"]:
    pending = [root]
    while pending:
        path = pending.pop()
        if path == root or (path.is_dir() and not path.is_symlink()):
            try:
                found = sorted(path.iterdir(), reverse=True)
            except OSError:
                yield LocalFile(path, root)
            else:
                pending += (inside for inside in found if not inside.name.startswith("."))
        elif FILE_NAME.fullmatch(path.name):
            yield LocalFile(path, root)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file on this machine. It is open only while it is read. Raises BatchFileError.

    Anyone who can write to the storage may have put something else in its place: a link is not followed, and a pipe
    or a device is not read.
    """

    path: Path
    root: Path | None = None
    """A folder above the file: links are followed up to it, and not below. The file's own folder if not given."""

    @property
    def name(self) -> str:
        return str(self.path)

    def read_tail(self, length: int) -> tuple[bytes, int]:
        with self._opened() as (file, size):
            file.seek(max(0, size - length))
            return file.read(min(length, size)), size

    def read(self, start: int, length: int) -> bytes:
        with self._opened() as (file, size):
            if start >= size:
                return b""
            file.seek(start)
            return file.read(min(length, size - start))

    def dictionary(self, dictionary_id: str) -> "LocalFile":
        root = self.path.parent.absolute().resolve().parent
        return LocalFile(root / dictionary_key("", dictionary_id), root)

    def remove(self) -> None:
        """Remove the file, or the link or pipe in its place; do nothing if it is gone already. Raises OSError."""
        with suppress(FileNotFoundError), self._folder() as folder:
            os.unlink(self.path.name, dir_fd=folder)

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """Yield the file, open for reading, and its size."""
        try:
            with self._folder() as folder, os.fdopen(os.open(self.path.name, _FILE, dir_fd=folder), "rb") as file:
                status = os.fstat(file.fileno())
                if not S_ISREG(status.st_mode):
                    raise BatchFileError(f"{self.name}: not a regular file")
                yield file, status.st_size
        except OSError as error:
            if self._has_link():
                raise BatchFileError(f"{self.name}: there is a symbolic link, which is not followed") from error
            kind = FileMissingError if isinstance(error, FileNotFoundError) else BatchFileError
            raise kind(f"{self.name}: {error.strerror}") from error

    @contextmanager
    def _folder(self) -> Iterator[int]:
        """Yield the file's folder, open. Raises OSError."""
        folder = os.open(self.path.parent if self.root is None else self.root, _FOLDER)
        try:
            for name in self._below()[:-1]:
                inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    def _below(self) -> tuple[str, ...]:
        """Return the path's parts below the root."""
        return (self.path.name,) if self.root is None else self.path.relative_to(self.root).parts

    def _has_link(self) -> bool:
        parts = len(self._below())
        return any(path.is_symlink() for path in (self.path, *self.path.parents[: parts - 1]))
