"""Where batch files go: one module a backend."""

from recording_worker.errors import ConfigError
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Storage
from recording_worker.storage.blackhole import BlackholeStorage
from recording_worker.storage.local import LocalStorage


def open_storage(settings: Settings) -> Storage:
    """The storage backend the settings name. Raises ConfigError where they name none."""
    if settings.storage_dir is not None:
        return LocalStorage(settings.storage_dir)
    if settings.storage == "blackhole:":
        return BlackholeStorage()
    if settings.storage is not None:
        from recording_worker.s3.client import S3Place  # boto3 takes its time to import
        from recording_worker.storage.s3 import S3Storage

        return S3Storage(S3Place.of(settings.storage), settings)
    raise ConfigError("no storage: say where batch files go (storage_dir, or storage = s3://BUCKET)")
