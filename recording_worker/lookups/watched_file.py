"""WatchedFile: a file as a store, which is read again when it changes."""

from collections.abc import Callable, Sized
from pathlib import Path
from typing import Generic, TypeVar

from recording_worker.errors import ConfigError
from recording_worker.lookups.refreshed import Reading

Content = TypeVar("Content", bound=Sized)

FILE_INTERVAL = 5.0
"""Seconds between two looks at a watched file, at most."""


class WatchedFile(Generic[Content]):
    """A file that is read again if its time, size or inode has changed.

    It is read once two looks in a row find it the same, because its writer may not have finished.
    """

    def __init__(self, path: Path, read: Callable[[Path], Content]) -> None:
        self._path = path
        self._read = read
        self._known: tuple[int, int, int] | None = None
        self._seen: tuple[int, int, int] | None = None
        self._problem: ConfigError | None = None
        """What was wrong with the content when it was read last."""

    def load(self) -> Reading[Content] | None:
        """Return the file's content; None if it has not changed, or changed since the last look. Raises ConfigError."""
        try:
            stat = self._path.stat()
        except OSError as error:
            raise ConfigError(f"can't read {self._path}: {error.strerror}") from None
        found = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if found == self._known:
            self._problem = None
            return None
        if self._known is not None and found != self._seen:
            self._seen = found
            if self._problem is not None:
                raise self._problem
            return None
        try:
            content = self._read(self._path)
        except ConfigError as problem:
            self._problem = problem
            raise
        self._known, self._problem = found, None
        return Reading(content, len(content))
