"""Where batch files go: one module a backend."""

from recording_worker.errors import ConfigError
from recording_worker.settings import Settings
from recording_worker.storage.base import Storage
from recording_worker.storage.blackhole import BlackholeStorage
from recording_worker.storage.local import LocalStorage


def open_storage(settings: Settings) -> Storage:
    """The storage backend the settings name. Raises ConfigError where they name none."""
    if settings.storage_dir is not None:
        return LocalStorage(settings.storage_dir)
    if settings.storage == "blackhole:":
        return BlackholeStorage()
    raise ConfigError("no storage: say where batch files go (storage_dir, or storage = blackhole:)")
