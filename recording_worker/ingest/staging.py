"""The folder that an ingest writes to: a temporary neighbour of the final one, renamed to it at the end."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recording_worker.errors import ConfigError, WorkerError


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """Make a temporary folder next to `folder`, and rename it to `folder` at the end. An exception removes it.

    Raises ConfigError if `folder` can't be written, or is not empty; WorkerError for an OSError that the block raises.
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
        raise ConfigError(f"{folder} is a mount point, which can't be replaced in one step: give a folder below it")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: give a folder that is empty or does not exist yet")


def _umask() -> int:
    """Return the process's umask. It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
