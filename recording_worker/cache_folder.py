"""The folder for what can be fetched or made again, one for each user."""

import os
from pathlib import Path

from recording_worker.errors import BootError


def cache_folder() -> Path:
    """Return the folder, which may not exist yet. Raises BootError if the user has no home folder."""
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise BootError("there is no home folder to keep a cache in: set XDG_CACHE_HOME") from error
    return caches / "recording-worker"
