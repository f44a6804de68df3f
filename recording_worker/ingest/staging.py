"""The folder an ingest writes to: made beside the one asked for, and renamed to it when all is done."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recording_worker.errors import ConfigError, WorkerError


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, which becomes `folder` at the end; on any exception it is removed.

    Raises ConfigError where `folder` can't be written, or holds something already; WorkerError for an OSError
    of what runs inside.
    """
    try:
        _check_free(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except FileExistsError as error:
        raise ConfigError(f"can't write {folder}: {error.filename} is not a folder") from None
    except OSError as error:
        raise ConfigError(f"can't write {folder}: {error.strerror}") from None
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())
        staging.rename(folder)
    except BaseException as error:
        shutil.rmtree(staging)
        if isinstance(error, OSError):
            raise WorkerError(f"can't write {folder}: {error}") from error
        raise


def _check_free(folder: Path) -> None:
    if folder.is_mount():
        raise ConfigError(f"{folder} is a mount point, which can't be put in place at once: give a folder below it")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: give a folder that is empty or does not exist yet")


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
