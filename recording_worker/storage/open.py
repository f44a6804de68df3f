"""Opens the storage that the settings name."""

from recording_worker.dependencies import DependencyWatch
from recording_worker.errors import ConfigError
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Inventory, Storage
from recording_worker.storage.blackhole import BlackholeStorage
from recording_worker.storage.local.backend import LocalStorage
from recording_worker.storage.local.inventory import LocalInventory
from recording_worker.storage.s3.location import S3_SCHEME, S3Location

NO_STORAGE = "no storage: say where batch files are with --storage-dir DIR or --storage s3://BUCKET"
"""What to say if a command needs to know where files are, and the settings don't say."""


def open_storage(settings: Settings, metrics: Metrics, watch: DependencyWatch | None = None) -> Storage:
    """Return the storage backend that the settings name. Raises ConfigError if they name none.

    `watch` is told how writing goes.
    """
    if settings.storage_dir is not None:
        return LocalStorage(settings.storage_dir, watch=watch)
    if settings.storage == "blackhole:":
        return BlackholeStorage()
    if settings.storage is not None:
        from recording_worker.storage.s3.backend import S3Storage  # boto3 takes its time to import

        return S3Storage(S3Location.parse(settings.storage), settings, metrics, watch=watch)
    raise ConfigError("no storage: say where batch files go (storage_dir, or storage = s3://BUCKET)")


def open_inventory(settings: Settings) -> Inventory:
    """Return the inventory of the storage that the settings name. Raises ConfigError if they name none."""
    if settings.storage_dir is not None:
        return LocalInventory(settings.storage_dir)
    if settings.storage is not None and settings.storage.startswith(S3_SCHEME):
        from recording_worker.storage.s3.inventory import S3Inventory  # boto3 takes its time to import

        return S3Inventory(S3Location.parse(settings.storage.rstrip("/")), settings)
    raise ConfigError(NO_STORAGE)
