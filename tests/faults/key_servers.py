"""The key stores of rounds whose sessions are encrypted, how they fail, and the blocks that their keys open.

Blocks are opened with PyNaCl's SecretBox, not with the worker's own code.
"""

import json
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from pydantic import SecretStr

from recording_worker.keys.postgres import PostgresKeys
from tests.integration.test_key_stores import master_file
from tests.servers.aws import REGION, KeysOfAws
from tests.servers.faulty_proxy import FaultyProxy, S3Request
from tests.servers.postgres import PostgresServer

KINDS = ("", "postgres", "dynamodb")
"""The key stores that rounds have in turn; the first one has none, and its sessions are in the clear."""
_SKIPPABLE_FRAMES = range(0x184D2A50, 0x184D2A60)
_FRAME_HEADER = struct.Struct("<II")


class Trouble(StrEnum):
    """What happens to a key store."""

    AWAY = "away"
    FROZEN = "frozen"
    SLOW = "slow"
    THROTTLING = "throttling"
    UNHEARD = "carries out requests, and its answers are lost"


class KeyServer(Protocol):
    """A key store of hosts. Requests of the tests meet no trouble."""

    def clear(self) -> None:
        """Forget all sessions: rounds have the same ones, and one that was deleted stays deleted."""

    def settings(self) -> dict[str, Any]:
        """The worker's settings for it."""

    def hurt(self, trouble: Trouble) -> AbstractContextManager[None]:
        """Keep it in trouble until the context ends. It answers then."""

    @property
    def hits(self) -> int:
        """How many requests have met trouble, as far as it is known here."""

    def key_of(self, team_id: int, session_id: str) -> bytes | None:
        """The key of a session, as it is now."""

    def close(self) -> None:
        """End it."""


class PostgresKeyServer:
    """A PostgreSQL of its own: the lookups of a round may lose theirs at another time."""

    hits = 0

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._server = PostgresServer()
        self._server.start()
        self._master = master_file(folder, b"m" * 32)
        self._store = PostgresKeys(SecretStr(self._server.url), self._master)
        self._store.create_table()

    def clear(self) -> None:
        self._server.execute("TRUNCATE session_recording_keys")

    def settings(self) -> dict[str, Any]:
        return {
            "key_store": "postgres",
            "keys_postgres": self._server.url,
            "keys_master_file": str(self._master),
        }

    def hurt(self, trouble: Trouble) -> AbstractContextManager[None]:
        return {Trouble.AWAY: self._server.killed, Trouble.FROZEN: self._server.paused}[trouble]()

    def key_of(self, team_id: int, session_id: str) -> bytes | None:
        known = self._store.read([(team_id, session_id)]).get((team_id, session_id))
        return None if known is None else known.key

    def close(self) -> None:
        self._store.close()
        self._server.__exit__(None, None, None)


class DynamoKeyServer:
    """moto's DynamoDB and KMS, behind a door that fails."""

    def __init__(self) -> None:
        self._server = KeysOfAws()
        self.clear()
        self._door = KeyDoor(self._server.port)

    def clear(self) -> None:
        self._table, self._alias = self._server.new_table()

    def settings(self) -> dict[str, Any]:
        names = {"keys_table": self._table, "keys_kms_key": self._alias}
        return {"key_store": "dynamodb", **names, "keys_region": REGION, "keys_endpoint": self._door.endpoint}

    @contextmanager
    def hurt(self, trouble: Trouble) -> Iterator[None]:
        self._door.trouble = trouble
        try:
            yield
        finally:
            self._door.trouble = None

    @property
    def hits(self) -> int:
        return self._door.hits

    def key_of(self, team_id: int, session_id: str) -> bytes | None:
        item = self._server.item(self._table, team_id, session_id)
        if item is None or "encrypted_key" not in item:
            return None
        key: bytes = self._server.kms.decrypt(
            CiphertextBlob=item["encrypted_key"]["B"],
            KeyId=self._alias,
            EncryptionContext={"session_id": session_id, "team_id": str(team_id)},
        )["Plaintext"]
        return key

    def close(self) -> None:
        self._door.trouble = None
        self._door.close()
        self._server.close()


class KeyDoor(FaultyProxy):
    """Passes requests on, unless there is trouble."""

    def __init__(self, port: int) -> None:
        super().__init__(port, 0, writes=0, others=0)
        self.trouble: Trouble | None = None
        self.hits = 0

    def forward(self, handler: S3Request) -> None:
        request = handler.whole_request()
        trouble = self.trouble
        self.hits += trouble is not None
        match trouble:
            case Trouble.AWAY:
                return
            case Trouble.FROZEN:
                while self.trouble is Trouble.FROZEN:
                    time.sleep(0.05)
                return
            case Trouble.THROTTLING if self.hits % 4:
                handler.wfile.write(_throttled())
                return
            case Trouble.SLOW:
                time.sleep(1)
        answer = self._ask(request)
        if trouble is not Trouble.UNHEARD:
            handler.wfile.write(answer)


def _throttled() -> bytes:
    text = json.dumps({"__type": "ThrottlingException", "message": "by the door"})
    head = f"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: {len(text)}\r\n"
    return f"{head}Content-Type: application/x-amz-json-1.0\r\n\r\n{text}".encode()


class Opener:
    """Opens blocks with the keys of their sessions."""

    def __init__(self, key_of: Callable[[int, str], bytes | None]) -> None:
        """`key_of`: says which key a session has, by its team id and its own."""
        self._key_of = key_of
        self._boxes: dict[tuple[int, str], SecretBox] = {}

    def __call__(self, metadata: Mapping[str, Any], stored: bytes) -> bytes:
        """Return a block as it was before it was encrypted. Raises ValueError."""
        session = (metadata["team_id"], metadata["session_id"])
        if session not in self._boxes:
            key = self._key_of(*session)
            if key is None:
                raise ValueError(f"there is no key for session {session}")
            self._boxes[session] = SecretBox(key)
        try:
            return self._boxes[session].decrypt(stored)
        except CryptoError:
            raise ValueError(f"the key of session {session} does not open it") from None


def in_the_clear(files: Iterable[Path]) -> Iterator[str]:
    """Say which files, whole or not, hold anything but skippable frames: encrypted blocks and the index are such."""
    for file in files:
        content, at = file.read_bytes(), 0
        while at < len(content):
            magic, length = _FRAME_HEADER.unpack_from(content.ljust(at + _FRAME_HEADER.size, b"\0"), at)
            if magic not in _SKIPPABLE_FRAMES:
                yield f"{file}: in the clear at byte {at}"
                break
            at += _FRAME_HEADER.size + length
