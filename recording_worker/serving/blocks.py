"""Blocks: finds the blocks of a session, and makes what a caller wants of one."""

from collections.abc import Collection
from typing import NamedTuple

import cramjam

from recording_worker.formats.batch_file import BatchFileError, FileMissingError
from recording_worker.formats.session_keys import Session
from recording_worker.keys.store import KeyStore
from recording_worker.reading.catalogue import StoredBlock
from recording_worker.reading.decryption import Decryption, SessionDeletedError
from recording_worker.reading.dictionaries import Dictionaries, DictionaryError
from recording_worker.serving.place import Place
from recording_worker.serving.source import BlockPlace, Deletion, Source
from recording_worker.settings.choices import Codec

_LINES = "application/jsonl"
_SNAPPY = "application/octet-stream"


class Body(NamedTuple):
    content: bytes
    kind: str
    """Its content type."""


class Blocks:
    """Reads blocks by what a source says, and with the keys of a key store. Any thread may use it.

    No key is kept: the key store is asked for each block, so that a session whose key is destroyed is gone at once.
    """

    def __init__(self, place: Place, source: Source, store: KeyStore | None = None) -> None:
        self.place = place
        self._source = source
        self._store = store
        self._dictionaries = Dictionaries()

    def listed(self, team_id: int, session_id: str) -> list[BlockPlace] | Deletion:
        """Return a session's blocks by time. Raises WorkerError."""
        found = self._source.blocks(team_id, session_id)
        return found if isinstance(found, Deletion) else self._destroyed(team_id, session_id) or found

    def find(self, team_id: int, session_id: str, key: str, start: int, end: int) -> StoredBlock | Deletion | None:
        """Return the block of this session that takes these bytes, `end` inclusive; None if it has none there.

        Raises WorkerError.
        """
        name = self.place.name_of(key)
        if name is None:
            return None
        found = self._source.find(team_id, session_id, name, start, end - start + 1)
        return found if isinstance(found, Deletion) else self._destroyed(team_id, session_id) or found

    @staticmethod
    def weight(block: StoredBlock, *, decompress: bool) -> int:
        """Return the bytes of memory that reading a block takes: as it is stored, its lines, and these as snappy."""
        if not block.codec and not decompress:
            return 2 * block.length  # as it is stored, and decrypted
        return block.length + 2 * block.size + block.size // 6 + 64

    def deletion(self, team_id: int, session_id: str) -> Deletion | None:
        """Return the deletion of a session, by its source or by its key; None if it is not deleted.

        Raises WorkerError.
        """
        return self._source.deletion(team_id, session_id) or self._destroyed(team_id, session_id)

    def _destroyed(self, team_id: int, session_id: str) -> Deletion | None:
        return self.deleted_keys([(team_id, session_id)]).get(session_id)

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
        file, session = self.place.open(block.file), (block.team_id, block.session_id)
        decryption = Decryption(self._store)
        opened = block.open(file, self._dictionaries, decryption)
        try:
            if block.codec:
                if decompress:
                    return Body(opened.read(), _LINES)
                if block.codec != Codec.SNAPPY:
                    return Body(bytes(cramjam.snappy.compress_raw(opened.read())), _SNAPPY)
                stored = opened.read_compressed()
            else:
                stored = decryption.opened_by_key(file.read(block.start, block.length), session)
            stated = cramjam.snappy.decompress_raw_len(stored)
            if stated > block.size or (block.codec and stated != block.size):
                raise ValueError("its size is another one")
            if decompress:
                return Body(bytes(cramjam.snappy.decompress_raw(stored)), _LINES)
        except (FileMissingError, SessionDeletedError):
            return None
        except DictionaryError:
            self._dictionaries = Dictionaries()  # the next request looks again
            raise
        except (cramjam.DecompressionError, ValueError) as error:
            raise BatchFileError(f"{block.file}: block at byte {block.start} is damaged: {error}") from error
        return Body(stored, _SNAPPY)
