"""LocalInventory: the batch files in a folder, and the temporary files that a crash left there."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.batch_file import FILE_NAME, created_ms_of
from recording_worker.storage.base import Part, RangedFile, StoredFile
from recording_worker.storage.local.backend import TEMPORARY_NAME, replace_whole
from recording_worker.storage.local.file import LocalFile


class LocalInventory:
    """The inventory of a folder. Symbolic links are skipped."""

    def __init__(self, root: Path) -> None:
        """Raises ConfigError if `root` is not a folder."""
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
                temporary = TEMPORARY_NAME.fullmatch(name) is not None
                path = Path(folder) / name
                if (temporary or FILE_NAME.fullmatch(name)) and not path.is_symlink():
                    try:
                        status = path.lstat()
                    except FileNotFoundError:  # renamed or removed meanwhile
                        continue
                    created_ms = status.st_mtime_ns // 1_000_000 if temporary else created_ms_of(name)
                    yield StoredFile(LocalFile(path, self._root), status.st_size, created_ms, temporary)

    def remove(self, file: StoredFile) -> None:
        try:
            LocalFile(Path(file.name), self._root).remove()
        except OSError as error:
            raise WorkerError(f"can't remove {file.name}: {error.strerror}") from error

    def replace(self, file: RangedFile, parts: Iterable[Part]) -> None:
        """See Inventory. Two processes that replace one file do so one after the other."""
        try:
            replace_whole(self._root, Path(file.name).relative_to(self._root).as_posix(), parts)
        except OSError as error:
            raise WorkerError(f"can't replace {file.name}: {error.strerror}") from error
