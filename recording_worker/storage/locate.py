"""Locator: from paths and URLs to files that are read by ranges."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

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
        self._moved = sorted((moved or {}).items(), key=lambda item: -len(item[0]))

    def open(self, url: str) -> RangedFile:
        """Return the file of this URL. Whether it exists shows when it is read. Raises WorkerError."""
        for prefix, root in self._moved:
            rest = url.removeprefix(prefix)
            if rest != url and (prefix.endswith("/") or rest.startswith("/")):
                if root.startswith(S3_SCHEME):
                    return self._s3.open(f"{root.rstrip('/')}/{rest.lstrip('/')}")
                return LocalFile(Path(root) / unquote(rest).lstrip("/"))
        parts = urlsplit(url)
        if parts.scheme == "file":
            return LocalFile(Path(unquote(parts.path)))
        if url.startswith(S3_SCHEME):
            return self._s3.open(url)
        raise BatchFileError(f"{url}: this version can't fetch {parts.scheme}: URLs")

    def find(self, paths: Iterable[str]) -> Iterator[RangedFile]:
        """Yield the files at these paths, s3:// and file:// URLs. Raises ConfigError.

        See `find_files` and `S3Files.find` for what is found in folders.
        """
        for path in paths:
            parts = urlsplit(path)
            if path.startswith(S3_SCHEME):
                yield from self._s3.find(path)
            elif parts.scheme == "file" and not parts.query:
                yield from find_files([unquote(parts.path)])
            elif "://" in path:
                raise ConfigError(f"{path}: not a path, and not s3://BUCKET/PREFIX")
            else:
                yield from find_files([path])

    @cached_property
    def _s3(self) -> "S3Files":
        from recording_worker.storage.s3.file import S3Files  # boto3 takes its time to import

        return S3Files(self._settings)
