"""LocalStorage: batch files in a folder."""

import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.wait import wait_base

from recording_worker.dependencies import STORAGE, DependencyWatch
from recording_worker.errors import ConfigError, FlushError, StoreError
from recording_worker.formats.batch_file import FILE_NAME
from recording_worker.formats.dictionary import DICTIONARY_ID
from recording_worker.storage.base import Part, Replayable

TRANSIENT = frozenset({errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""Errors that may pass by themselves, on network file systems above all. A full disk and missing rights don't."""
ATTEMPTS = 4
_RETRY_WAIT = wait_random_exponential(multiplier=0.2, max=2)

TEMPORARY_NAME = re.compile(rf"\.({FILE_NAME.pattern}|{DICTIONARY_ID.pattern}|check)\.[0-9a-f]{{8}}\.tmp")
"""The hidden names that files have while they are written: see `_hidden`."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_COMPARED_BYTES = 1024 * 1024

log = structlog.get_logger()


class LocalStorage:
    """Writes each file under a hidden name in its own folder, and renames it once it is on the disk.

    Below `root` no symbolic link is followed: those who can write there can't lead the worker elsewhere. The URLs name
    `url_root` instead of `root` if it is given: for a root that will be renamed.
    """

    def __init__(
        self,
        root: Path,
        url_root: Path | None = None,
        *,
        retry_wait: wait_base = _RETRY_WAIT,
        watch: DependencyWatch | None = None,
    ) -> None:
        """`retry_wait` is the pause before a write is tried again. `watch` is told how writing goes."""
        self._watch = watch or DependencyWatch(STORAGE)
        self._root = root.resolve()
        self._url_root = self._root if url_root is None else url_root.resolve()
        self._retry_wait = retry_wait

    def check(self) -> None:
        """Make the folder, and prove that it can be written to. Raises ConfigError."""
        probe = _hidden("check")
        try:
            with _opened_folder(self._root, ()) as folder:
                try:
                    _write_file(folder, probe, [b"check"])
                finally:
                    _remove(folder, probe)
        except OSError as error:
            self._watch.failed(f"can't write to the storage folder {self._root}: {error.strerror}")
            raise ConfigError(f"can't write to the storage folder {self._root}: {error.strerror}") from error

    def probe(self) -> None:
        """Find out whether the folder is there, can be written to, and has space. Raises StoreError."""
        try:
            free = os.statvfs(self._root)
        except OSError as error:
            raise StoreError(f"{self._root}: {error.strerror}") from error
        if free.f_flag & os.ST_RDONLY:
            raise StoreError(f"{self._root}: {os.strerror(errno.EROFS)}")
        if not free.f_bavail or (free.f_files and not free.f_favail):
            raise StoreError(f"{self._root}: {os.strerror(errno.ENOSPC)}")

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:  # noqa: ARG002 - a storage's signature
        """Store the parts as one file and return its file:// URL. Never overwrites other content. Raises FlushError.

        TRANSIENT errors are tried again a few times, within seconds. The metadata is not stored.
        """
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, OSError) and error.errno in TRANSIENT),
            stop=stop_after_attempt(ATTEMPTS),
            wait=self._retry_wait,
            before_sleep=_log_retry,
            reraise=True,
        )
        began = time.monotonic()
        try:
            retrying(_write_whole, self._root, key, Replayable(parts))
        except OSError as error:
            self._watch.failed(f"can't write to {self._root}: {error.strerror}")
            raise FlushError(f"can't write {self._root / key}: {error.strerror}") from error
        self._watch.worked(time.monotonic() - began)
        return (self._url_root / key).as_uri()

    def close(self) -> None:
        """Do nothing: a file that is being written is hidden, and `sweep` finds what is left of it."""


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    log.warning("writing a file failed, trying again", path=str(Path(*state.args[:2])), error=str(error))


def _write_whole(root: Path, key: str, parts: Iterable[Part]) -> None:
    """Write a file so that it exists whole or not at all, also after a crash of the machine."""
    *folders, name = key.split("/")
    temporary = _hidden(name)
    with _opened_folder(root, folders) as folder:
        try:
            _write_file(folder, temporary, parts)
            if _differs(folder, name, temporary):  # a bug, not a race: names are unique
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(root / key))
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _remove(folder, temporary)
            raise
        os.fsync(folder)


def replace_whole(root: Path, key: str, parts: Iterable[Part]) -> None:
    """Replace a file by a rename, also after a crash of the machine. It keeps its mode and, if possible, its owner.

    Others who replace it wait until this is done. Raises OSError, and what `parts` raises.
    """
    *folders, name = key.split("/")
    temporary = _hidden(name)
    with _opened_folder(root, folders) as folder, _locked(folder, name) as old:
        try:
            _write_file(folder, temporary, parts)
            _take_over(folder, temporary, os.fstat(old))
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _remove(folder, temporary)
            raise
        os.fsync(folder)


@contextmanager
def _locked(folder: int, name: str) -> Iterator[int]:
    """Hold the lock of the file that has this name now."""
    while True:
        file = _open_unlinked(folder, name, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            ours, there = os.fstat(file), os.stat(name, dir_fd=folder, follow_symlinks=False)
            if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino):  # else it was replaced meanwhile
                yield file
                return
        finally:
            os.close(file)


def _take_over(folder: int, name: str, status: os.stat_result) -> None:
    file = _open_unlinked(folder, name, os.O_RDONLY)
    try:
        with suppress(PermissionError):
            os.fchown(file, status.st_uid, status.st_gid)
        os.fchmod(file, status.st_mode & 0o777)
    finally:
        os.close(file)


def _hidden(name: str) -> str:
    """Return the name that a file has while it is written. It matches TEMPORARY_NAME."""
    return f".{name}.{secrets.token_hex(4)}.tmp"


@contextmanager
def _opened_folder(root: Path, names: Iterable[str]) -> Iterator[int]:
    """Open the folder with these names below `root`. Make what is missing, through to the disk."""
    _make_folder(root)
    folder = os.open(root, _FOLDER)
    try:
        for name in names:
            parent = folder
            folder = _open_below(parent, name)
            os.close(parent)
        yield folder
    finally:
        os.close(folder)


def _open_below(parent: int, name: str) -> int:
    """Open a folder in the open folder `parent`, or make it. A symbolic link is an error."""
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another worker made it
            os.mkdir(name, dir_fd=parent)
            os.fsync(parent)
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)


def _make_folder(folder: Path) -> None:
    """Make a folder, and its parents if they are missing, through to the disk."""
    if folder.is_dir():
        return
    if folder.exists():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    with _opened_folder(folder.parent, ()) as parent:
        os.fsync(parent)


def _write_file(folder: int, name: str, parts: Iterable[Part]) -> None:
    """Write a new file in the open folder through to the disk."""
    with open(name, "xb", opener=partial(os.open, mode=0o666, dir_fd=folder)) as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _differs(folder: int, name: str, other: str) -> bool:
    """Return whether there is a file `name` in the open folder with other content than `other` has."""
    opener = partial(_open_unlinked, folder)
    try:
        with open(name, "rb", opener=opener) as first, open(other, "rb", opener=opener) as second:
            while chunk := first.read(_COMPARED_BYTES):
                if chunk != second.read(_COMPARED_BYTES):
                    return True
            return bool(second.read(1))
    except FileNotFoundError:
        return False


def _open_unlinked(folder: int, name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)


def _remove(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
