"""LocalFile: a batch file on this machine. `find_files` finds them in folders."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import FILE_NAME, BatchFileError, FileMissingError
from recording_worker.formats.dictionary import dictionary_key


def find_files(paths: Iterable[str]) -> Iterator["LocalFile"]:
    """Yield the files at these paths; for a folder, all files in it that are named like batch files, sorted.

    Folders are searched at any depth. Hidden files and folders below a folder are skipped: they are being written,
    or were left by a crash. Symbolic links to folders are skipped too. Raises ConfigError for a path that does not
    exist or can't be listed.
    """
    for path in map(Path, paths):
        try:
            if S_ISDIR(path.stat().st_mode):
                yield from _walk(path)
            else:
                yield LocalFile(path)
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error


def _walk(folder: Path) -> Iterator["LocalFile"]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif FILE_NAME.fullmatch(path.name):
            yield LocalFile(path)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine. It is open only while it is read. Raises BatchFileError."""

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
            raise self._unreadable(error) from error

    def read(self, start: int, length: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise self._unreadable(error) from error

    def dictionary(self, dictionary_id: str) -> "LocalFile":
        return LocalFile(self.path.resolve().parent.parent / dictionary_key("", dictionary_id))

    def _unreadable(self, error: OSError) -> BatchFileError:
        kind = FileMissingError if isinstance(error, FileNotFoundError) else BatchFileError
        return kind(f"{self.name}: {error.strerror}")
