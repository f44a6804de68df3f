"""Place: the storage that blocks are served from, and the keys of its files."""

import re
from pathlib import Path

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import FILE_NAME
from recording_worker.formats.retention import RETENTIONS
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile
from recording_worker.storage.locate import Locator
from recording_worker.storage.open import NO_STORAGE
from recording_worker.storage.s3.location import S3_SCHEME, S3Location

_KEY = re.compile(rf"([^/\0]+/)*({'|'.join(RETENTIONS)})/(?P<name>[^/\0]+)")


class Place:
    """The storage of the settings, and the keys of its files. Raises ConfigError without one.

    A key is what PostHog takes from a block's URL: all after the bucket. In a folder it is the path below it.
    """

    def __init__(self, settings: Settings) -> None:
        self.locator = Locator(settings)
        if settings.storage_dir is not None:
            self._prefix = f"{settings.storage_dir.resolve()}/"
        elif settings.storage is not None and settings.storage.startswith(S3_SCHEME):
            self._prefix = f"{S3_SCHEME}{S3Location.parse(settings.storage).bucket}/"
        else:
            raise ConfigError(NO_STORAGE)

    def __str__(self) -> str:
        return self._prefix

    def key_of(self, name: str) -> str:
        """Return the key of a file, by its name."""
        return name.removeprefix(self._prefix)

    def name_of(self, key: str) -> str | None:
        """Return the name of a file, by its key; None if no batch file can have this key."""
        found = _KEY.fullmatch(key)
        if found is None or not FILE_NAME.fullmatch(found["name"]) or not {".", ".."}.isdisjoint(key.split("/")):
            return None
        return self._prefix + key

    def url_of(self, name: str) -> str:
        """Return the URL of a file, by its name."""
        return name if name.startswith(S3_SCHEME) else Path(name).as_uri()

    def open(self, name: str) -> RangedFile:
        """Return the file of this name. Raises BatchFileError if it is not below the storage."""
        return self.locator.open(self.url_of(name))
