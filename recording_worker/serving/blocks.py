"""Blocks: finds the blocks of a session, and makes what a caller wants of one."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import cramjam

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import FILE_NAME, BatchFileError, FileMissingError
from recording_worker.formats.retention import RETENTIONS
from recording_worker.formats.session_keys import Session
from recording_worker.keys.store import KeyStore
from recording_worker.reading.catalogue import Catalogue, StoredBlock
from recording_worker.reading.decryption import Decryption, SessionDeletedError
from recording_worker.reading.dictionaries import Dictionaries, DictionaryError
from recording_worker.settings.choices import Codec
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile
from recording_worker.storage.locate import Locator
from recording_worker.storage.open import NO_STORAGE
from recording_worker.storage.s3.location import S3_SCHEME, S3Location

MAX_LISTED = 50_000
"""The most blocks of a session that are listed."""

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

    def open(self, name: str) -> RangedFile:
        """Return the file of this name. Raises BatchFileError if it is not below the storage."""
        return self.locator.open(name if name.startswith(S3_SCHEME) else Path(name).as_uri())


class Body(NamedTuple):
    content: bytes
    kind: str
    """Its content type."""


class Deletion(NamedTuple):
    """A session is deleted."""

    at: int
    """Seconds since 1970."""
    by: str | None


class Blocks:
    """Reads blocks by what the catalogue says, and with the keys of a key store. Any thread may use it.

    No key is kept: the key store is asked for each block, so that a session whose key is destroyed is gone at once.
    """

    def __init__(self, place: Place, catalogue: Catalogue, store: KeyStore | None = None) -> None:
        self.place = place
        self._catalogue = catalogue
        self._store = store
        self._dictionaries = Dictionaries()

    def find(self, team_id: int, session_id: str, key: str, start: int, end: int) -> StoredBlock | None:
        """Return the block of this session that takes these bytes, `end` inclusive; None if it has none there.

        A file that the catalogue does not know yet is added first: it may be new. Raises WorkerError if that fails.
        """
        name = self.place.name_of(key)
        if name is None:
            return None
        if not self._catalogue.knows(name):
            try:
                file = self.place.open(name)
            except BatchFileError:
                return None
            for problem in self._catalogue.add([file]):
                if isinstance(problem, FileMissingError):
                    return None
                raise problem
        found = self._catalogue.block(team_id, session_id, name, start)
        return found if found is not None and start + found.length == end + 1 else None

    @staticmethod
    def weight(block: StoredBlock) -> int:
        """Return the bytes of memory that reading a block takes: as it is stored, its lines, and these as snappy."""
        return block.length + 2 * block.size + block.size // 6 + 64

    def deletion(self, team_id: int, session_id: str) -> Deletion | None:
        """Return the deletion of a session, by the metadata topic or by its key; None if it is not deleted.

        Raises StoreError.
        """
        at = self._catalogue.deleted_at(team_id, session_id)
        return Deletion(at, None) if at is not None else self.deleted_keys([(team_id, session_id)]).get(session_id)

    def deleted_keys(self, sessions: Collection[Session]) -> dict[str, Deletion]:
        """Return session id → deletion, for sessions of one team that the key store says are deleted.

        Raises StoreError.
        """
        if self._store is None or not sessions:
            return {}
        return {
            session_id: Deletion(known.deleted_at, known.deleted_by or None)
            for (_, session_id), known in self._store.read(sessions).items()
            if known.deleted_at is not None
        }

    def read(self, block: StoredBlock, *, decompress: bool) -> Body | None:
        """Return a block as JSON lines, or as raw snappy; None if its file or its session is gone.

        Raises WorkerError.
        """
        opened = block.open(self.place.open(block.file), self._dictionaries, Decryption(self._store))
        try:
            if decompress:
                return Body(opened.read(), "application/jsonl")
            if block.codec != Codec.SNAPPY:
                return Body(bytes(cramjam.snappy.compress_raw(opened.read())), "application/octet-stream")
            stored = opened.read_compressed()
        except (FileMissingError, SessionDeletedError):
            return None
        except DictionaryError:
            self._dictionaries = Dictionaries()  # the next request looks again
            raise
        try:
            stated = cramjam.snappy.decompress_raw_len(stored)
        except cramjam.DecompressionError:
            stated = None
        if stated != block.size:
            raise BatchFileError(f"{block.file}: block at byte {block.start} is damaged")
        return Body(stored, "application/octet-stream")
