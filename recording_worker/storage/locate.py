"""Where batch files are: from paths and URLs to files of which ranges can be read."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Inventory, RangedFile, Storage
from recording_worker.storage.blackhole import BlackholeStorage
from recording_worker.storage.local import LocalFile, LocalInventory, LocalStorage, find_files

if TYPE_CHECKING:
    from recording_worker.storage.s3.file import S3Files

S3 = "s3://"


class Locator:
    """Where batch files are: on this machine, and in S3. The client for S3 is made when it is first needed.

    `moved`: URL prefix → the local folder, or s3:// URL, that stands for it, for a copy of the files.
    """

    def __init__(self, settings: Settings, moved: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._moved = sorted((moved or {}).items(), key=lambda item: -len(item[0]))

    def open(self, url: str) -> RangedFile:
        """The file of this URL; whether it is there is found out when it is read. Raises WorkerError."""
        for prefix, root in self._moved:
            rest = url.removeprefix(prefix)
            if rest != url and (prefix.endswith("/") or rest.startswith("/")):
                if root.startswith(S3):
                    return self._s3.open(f"{root.rstrip('/')}/{rest.lstrip('/')}")
                return LocalFile(Path(root) / unquote(rest).lstrip("/"))
        parts = urlsplit(url)
        if parts.scheme == "file":
            return LocalFile(Path(unquote(parts.path)))
        if url.startswith(S3):
            return self._s3.open(url)
        raise BatchFileError(f"{url}: this version can't fetch {parts.scheme}: URLs")

    def find(self, paths: Iterable[str]) -> Iterator[RangedFile]:
        """The files of these paths, s3:// and file:// URLs: see `find_files` and `S3Files.find`. Raises ConfigError."""
        for path in paths:
            parts = urlsplit(path)
            if path.startswith(S3):
                yield from self._s3.find(path)
            elif parts.scheme == "file" and not parts.query:
                yield from find_files([unquote(parts.path)])
            elif "://" in path:
                raise ConfigError(f"{path}: neither a path nor s3://BUCKET/PREFIX")
            else:
                yield from find_files([path])

    @cached_property
    def _s3(self) -> "S3Files":
        from recording_worker.storage.s3.file import S3Files  # boto3 takes its time to import

        return S3Files(self._settings)


def parse_moved(texts: tuple[str, ...]) -> dict[str, str]:
    """`URL_PREFIX=PLACE` each. Raises ConfigError."""
    moved = {}
    for text in texts:
        prefix, equals, root = text.partition("=")
        if not equals or "://" not in prefix or not (root.startswith(S3) or Path(root).is_dir()):
            raise ConfigError(f"--at {text}: must be URL_PREFIX=PLACE, where PLACE is a folder or an s3:// URL")
        moved[prefix] = root
    return moved


def open_inventory(settings: Settings) -> Inventory:
    """That of the storage the settings name. Raises ConfigError."""
    if settings.storage_dir is not None:
        return LocalInventory(settings.storage_dir)
    if settings.storage is not None and settings.storage.startswith("s3://"):
        from recording_worker.storage.s3.inventory import S3Inventory  # boto3 takes its time to import

        return S3Inventory(settings.storage, settings)
    raise ConfigError("no storage: say where batch files are with --storage-dir DIR or --storage s3://BUCKET")


def open_storage(settings: Settings, metrics: Metrics) -> Storage:
    """The storage backend the settings name. Raises ConfigError where they name none."""
    if settings.storage_dir is not None:
        return LocalStorage(settings.storage_dir)
    if settings.storage == "blackhole:":
        return BlackholeStorage()
    if settings.storage is not None:
        from recording_worker.storage.s3.backend import S3Storage
        from recording_worker.storage.s3.client import S3Place  # boto3 takes its time to import

        return S3Storage(S3Place.of(settings.storage), settings, metrics)
    raise ConfigError("no storage: say where batch files go (storage_dir, or storage = s3://BUCKET)")
