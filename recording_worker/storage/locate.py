"""Locator: from paths and URLs to files that are read by ranges."""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile
from recording_worker.storage.local.file import LocalFile, find_files
from recording_worker.storage.s3.location import S3_SCHEME

if TYPE_CHECKING:
    from recording_worker.storage.s3.file import S3Files


class Locator:
    """Opens and finds batch files, on this machine and in S3. The client for S3 is made when it is first needed.

    `moved`, for a copy of the files: URL prefix → the local folder or s3:// URL where those files are now.
    """

    def __init__(self, settings: Settings, moved: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        places = {**_storage_of(settings), **(moved or {})}
        self._places = sorted(places.items(), key=lambda item: -len(item[0]))

    @property
    def has_places(self) -> bool:
        """Whether there is any place that URLs may lead to."""
        return bool(self._places)

    def open(self, url: str) -> RangedFile:
        """Return the file of this URL, which a stranger may have written. Whether it exists shows when it is read.

        Raises BatchFileError if the URL does not lead to a file below the storage of the settings, or below a place
        that files were moved to.
        """
        for prefix, root in self._places:
            rest = url.removeprefix(prefix)
            if rest != url and (prefix.endswith("/") or rest.startswith("/")):
                return self._open_below(root, rest, url)
        raise BatchFileError(f"{url}: not read: it is not below the storage of the settings")

    def _open_below(self, root: str, rest: str, url: str) -> RangedFile:
        below = (_path_of(rest) if url.startswith("file:") else rest).removeprefix("/")
        if "\0" in below or not {"", ".", ".."}.isdisjoint(below.split("/")):
            raise BatchFileError(f"{url}: not read: it does not name a file below {root}")
        if not root.startswith(S3_SCHEME):
            return LocalFile(Path(root, below), Path(root))
        try:
            return self._s3.open(f"{root.rstrip('/')}/{below}")
        except ConfigError as error:
            raise BatchFileError(str(error)) from error

    def stored(self) -> Iterator[RangedFile]:
        """Yield the batch files of the storage of the settings, which may be empty. Raises ConfigError."""
        for root in _storage_of(self._settings).values():
            if root.startswith(S3_SCHEME):
                yield from self._s3.find(root, may_be_empty=True)
            else:
                yield from find_files([root])

    def find(self, paths: Iterable[str]) -> Iterator[RangedFile]:
        """Yield the files at these paths, s3:// and file:// URLs. Raises ConfigError.

        See `find_files` and `S3Files.find` for what is found in folders.
        """
        for path in paths:
            parts = urlsplit(path)
            if path.startswith(S3_SCHEME):
                yield from self._s3.find(path)
            elif parts.scheme == "file" and not parts.query and not parts.netloc and "%00" not in parts.path:
                yield from find_files([_path_of(parts.path)])
            elif "://" in path:
                raise ConfigError(f"{path}: not a path, and not s3://BUCKET/PREFIX")
            else:
                yield from find_files([path])

    @cached_property
    def _s3(self) -> "S3Files":
        from recording_worker.storage.s3.file import S3Files  # boto3 takes its time to import

        return S3Files(self._settings)


def _path_of(text: str) -> str:
    """Return the path that a part of a file:// URL stands for."""
    return os.fsdecode(unquote_to_bytes(text))


def _storage_of(settings: Settings) -> dict[str, str]:
    """Return where the storage of the settings is: the prefix of its files' URLs → its root. Empty without one."""
    if settings.storage_dir is not None:
        root = settings.storage_dir.resolve()
        return {root.as_uri(): str(root)}
    if settings.storage is not None and settings.storage.startswith(S3_SCHEME):
        return {settings.storage.rstrip("/"): settings.storage}
    return {}
