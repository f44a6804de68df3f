"""MemoryKeys: a key store in memory, which can be away. tests/integration/test_key_stores.py has the real ones."""

from collections.abc import Collection, Mapping

from recording_worker.errors import StoreError
from recording_worker.formats.session_keys import Session
from recording_worker.keys.store import SessionKey


class MemoryKeys:
    def __init__(self, deleted: Collection[Session] = ()) -> None:
        self.known = {session: SessionKey(None, 1, "ann") for session in deleted}
        self.is_away = False
        self.asked: list[list[Session]] = []
        self.expires: dict[Session, int] = {}

    def read(self, sessions: Collection[Session]) -> dict[Session, SessionKey]:
        self.asked.append(list(sessions))
        if self.is_away:
            raise StoreError("away")
        return {session: self.known[session] for session in sessions if session in self.known}

    def create(self, expires: Mapping[Session, int], now: int) -> dict[Session, SessionKey]:
        assert all(until > now for until in expires.values())
        self.expires |= expires
        for session in expires:
            self.known.setdefault(session, SessionKey(bytes([len(self.known)]) * 32))
        return {session: self.known[session] for session in expires}

    def destroy(self, session: Session, by: str, now: int) -> SessionKey:
        self.known[session] = SessionKey(None, now, by)
        return self.known[session]

    def probe(self) -> None:
        if self.is_away:
            raise StoreError("away")

    def try_out(self) -> None:
        self.probe()

    def create_table(self) -> None:
        """There is no table."""

    def close(self) -> None:
        """There is nothing to close."""
