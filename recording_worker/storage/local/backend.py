"""LocalStorage: batch files in a folder."""

import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from mmap import mmap
from pathlib import Path

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.wait import wait_base

from recording_worker.dependencies import STORAGE, DependencyWatch
from recording_worker.errors import ConfigError, FlushError, StoreError
from recording_worker.formats.batch_file import FILE_NAME
from recording_worker.formats.dictionary import DICTIONARY_ID
from recording_worker.storage.base import Part

TRANSIENT = frozenset({errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""Errors that may pass by themselves, on network file systems above all. A full disk and missing rights don't."""
ATTEMPTS = 4
"""How often each step of a write is tried."""
PIECE_BYTES = 8 * 1024 * 1024
"""What is written at a time, through to the disk. Only that is kept in memory, for another try."""
_BLOCK_BYTES = 4096
"""What is written past the page cache has to be a multiple of this, in the file and in memory."""
_PAST_THE_CACHE = getattr(os, "O_DIRECT", 0)  # macOS has no such flag
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
        self._buffer: mmap | None = None
        """Memory for a piece, while no file is written. Fresh memory costs the system time."""

    def check(self) -> None:
        """Make the folder, and prove that it can be written to. Raises ConfigError."""
        probe = _hidden("check")
        try:
            with _opened_folder(self._root, ()) as folder:
                try:
                    _write_file(folder, probe, memoryview(b"check"))
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
            before_sleep=partial(_log_retry, self._root / key),
            reraise=True,
        )
        began = time.monotonic()
        buffer, self._buffer = self._buffer or mmap(-1, PIECE_BYTES), None
        try:
            _write_whole(self._root, key, _pieces(parts, buffer), retrying)
        except OSError as error:
            self._watch.failed(f"can't write to {self._root}: {error.strerror}")
            raise FlushError(f"can't write {self._root / key}: {error.strerror}") from error
        finally:
            self._buffer = buffer
        self._watch.worked(time.monotonic() - began)
        return (self._url_root / key).as_uri()

    def close(self) -> None:
        """Do nothing: a file that is being written is hidden, and `sweep` finds what is left of it."""


def _log_retry(path: Path, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    log.warning("writing a file failed, trying again", path=str(path), error=str(error))


def _write_whole(root: Path, key: str, pieces: Iterable[memoryview], retrying: Retrying) -> None:
    """Write a file so that it exists whole or not at all, also after a crash of the machine.

    Each step is tried again by itself. It opens the folder and the file by their names, because what was opened before
    is of no use on a network file system that was away.
    """
    *folders, name = key.split("/")
    temporary = _hidden(name)
    size = inode = 0
    try:
        for piece in pieces:
            inode = retrying(_write_piece, root, folders, temporary, piece, size)
            size += len(piece)
        retrying(_publish, root, folders, temporary, name, inode)
    except BaseException:
        with suppress(OSError), _opened_folder(root, folders) as folder:  # what is left behind, `sweep` finds
            _remove(folder, temporary)
        raise


def _pieces(parts: Iterable[Part], buffer: mmap) -> Iterator[memoryview]:
    """Copy parts into the buffer. Give what it holds whenever it is full, and at the end."""
    room = memoryview(buffer)
    used = 0
    for part in parts:
        rest = memoryview(part)
        while len(rest):
            taken = rest[: len(room) - used]
            room[used : used + len(taken)] = taken
            used += len(taken)
            rest = rest[len(taken) :]
            if used == len(room):
                yield room
                used = 0
    yield room[:used]


def _write_piece(root: Path, folders: Sequence[str], name: str, piece: memoryview, start: int) -> int:
    """Write a piece of a file through to the disk, from the position `start`. Return the file's inode."""
    with _opened_folder(root, folders) as folder:
        return _write_file(folder, name, piece, start)


def _publish(root: Path, folders: Sequence[str], temporary: str, name: str, inode: int) -> None:
    """Give a file its own name. Do nothing if it has it: an earlier try may have failed after that."""
    with _opened_folder(root, folders) as folder:
        if _inode(folder, name) != inode:
            if _differs(folder, name, temporary):  # a bug, not a race: names are unique
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(Path(root, *folders, name)))
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def replace_whole(root: Path, key: str, parts: Iterable[Part]) -> None:
    """Replace a file by a rename, also after a crash of the machine. It keeps its mode and, if possible, its owner.

    Others who replace it wait until this is done. Raises OSError, and what `parts` raises.
    """
    *folders, name = key.split("/")
    temporary = _hidden(name)
    with _opened_folder(root, folders) as folder, _locked(folder, name) as old:
        try:
            size = 0
            for piece in _pieces(parts, mmap(-1, PIECE_BYTES)):
                _write_file(folder, temporary, piece, size)
                size += len(piece)
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


def _write_file(folder: int, name: str, content: memoryview, start: int = 0) -> int:
    """Write a part of a file in the open folder through to the disk, and make the file if it is not there yet.

    `start` is the position in the file, in whole blocks. Return the file's inode. A symbolic link is an error.
    """
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, mode=0o666, dir_fd=folder)
    try:
        blocks = len(content) - len(content) % _BLOCK_BYTES
        _write_blocks(file, content[:blocks], start)
        _write(file, content[blocks:], start + blocks)
        os.fsync(file)
        return os.fstat(file).st_ino
    finally:
        os.close(file)


def _write_blocks(file: int, blocks: memoryview, start: int) -> None:
    """Write whole blocks past the page cache, if the file system can do that.

    Nobody reads a file soon after it is written. In the page cache it would take memory, and the time to fill it.
    """
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, flags | _PAST_THE_CACHE)
        _write(file, blocks, start)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fcntl.fcntl(file, fcntl.F_SETFL, flags)
        _write(file, blocks, start)
    else:
        fcntl.fcntl(file, fcntl.F_SETFL, flags)


def _write(file: int, content: memoryview, start: int) -> None:
    while len(content):
        written = os.pwrite(file, content, start)
        content = content[written:]
        start += written


def _inode(folder: int, name: str) -> int | None:
    """Return the inode of a file in the open folder; None if there is none."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None


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
