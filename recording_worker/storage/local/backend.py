"""LocalStorage: batch files in a folder."""

import errno
import filecmp
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.wait import wait_base

from recording_worker.errors import ConfigError, FlushError
from recording_worker.formats.batch_file import FILE_NAME
from recording_worker.formats.dictionary import DICTIONARY_ID
from recording_worker.storage.base import Part, Replayable

TRANSIENT = frozenset({errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""Errors that may pass by themselves, on network file systems above all. A full disk and missing rights don't."""
ATTEMPTS = 4
_RETRY_WAIT = wait_random_exponential(multiplier=0.2, max=2)

TEMPORARY_NAME = re.compile(rf"\.({FILE_NAME.pattern}|{DICTIONARY_ID.pattern}|check)\.[0-9a-f]{{8}}\.tmp")
"""The hidden names that files have while they are written: see `_hidden`."""

log = structlog.get_logger()


class LocalStorage:
    """Writes each file under a hidden name in its own folder, and renames it once it is on the disk.

    The URLs name `url_root` instead of `root` if it is given: for a root that will be renamed.
    """

    def __init__(self, root: Path, url_root: Path | None = None, *, retry_wait: wait_base = _RETRY_WAIT) -> None:
        """`retry_wait` is the pause before a write is tried again."""
        self._root = root.resolve()
        self._url_root = self._root if url_root is None else url_root.resolve()
        self._retry_wait = retry_wait

    def check(self) -> None:
        """Make the folder, and prove that it can be written to. Raises ConfigError."""
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
        """Store the parts as one file and return its file:// URL. Never overwrites other content. Raises FlushError.

        TRANSIENT errors are tried again a few times, within seconds. The metadata is not stored.
        """
        path = self._root / key
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, OSError) and error.errno in TRANSIENT),
            stop=stop_after_attempt(ATTEMPTS),
            wait=self._retry_wait,
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            retrying(_write_whole, path, Replayable(parts))
        except OSError as error:
            raise FlushError(f"can't write {path}: {error.strerror}") from error
        return (self._url_root / key).as_uri()

    def close(self) -> None:
        """Do nothing: a file that is being written is hidden, and `sweep` finds what is left of it."""


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    log.warning("writing a file failed, trying again", path=str(state.args[0]), error=str(error))


def _write_whole(path: Path, parts: Iterable[Part]) -> None:
    """Write a file so that it exists whole or not at all, also after a crash of the machine."""
    _make_folder(path.parent)
    temporary = _hidden(path)
    try:
        _write_file(temporary, parts)
        if path.exists() and not filecmp.cmp(path, temporary, shallow=False):  # a bug, not a race: names are unique
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _hidden(path: Path) -> Path:
    """Return the path that a file has while it is written. Its name matches TEMPORARY_NAME."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _write_file(path: Path, parts: Iterable[Part]) -> None:
    """Write a new file through to the disk."""
    with path.open("xb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """Make a folder, and its parents if they are missing, through to the disk."""
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
