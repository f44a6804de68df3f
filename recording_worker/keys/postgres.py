"""PostgresKeys: keys of sessions in one table of PostgreSQL, wrapped with a master key from a file."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import psycopg
from nacl.utils import random as random_bytes
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception_type, stop_after_delay

from recording_worker.errors import ConfigError, StoreError
from recording_worker.formats.secretbox import KEY_BYTES
from recording_worker.formats.session_keys import Session
from recording_worker.formats.wrapped_key import MASTER_ID_BYTES, MasterKeys
from recording_worker.keys.store import PROBE_NAME, RETRY_WAIT, TOMBSTONE_SECONDS, SessionKey, stored_name
from recording_worker.postgres import conninfo, deadline
from recording_worker.text import error_line

TABLE = """
CREATE TABLE IF NOT EXISTS session_recording_keys (
    team_id bigint NOT NULL,
    session_id text NOT NULL,
    wrapped_key bytea,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    deleted_at bigint,
    deleted_by text,
    PRIMARY KEY (team_id, session_id),
    CHECK ((wrapped_key IS NULL) = (deleted_at IS NOT NULL))
)"""
"""The table. Times are seconds since 1970. A row has either a key or the time of its deletion."""
_READ = """
SELECT team_id, session_id, wrapped_key, created_at, deleted_at, deleted_by FROM session_recording_keys
WHERE (team_id, session_id) IN (SELECT * FROM unnest(%s::bigint[], %s::text[]))"""
_CREATE = """
INSERT INTO session_recording_keys (team_id, session_id, wrapped_key, created_at, expires_at)
SELECT given.team_id, given.session_id, given.wrapped_key, %s, given.expires_at
FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::bigint[])
    AS given (team_id, session_id, wrapped_key, expires_at)
ORDER BY given.team_id, given.session_id
ON CONFLICT DO NOTHING"""
_DESTROY = """
INSERT INTO session_recording_keys AS known (team_id, session_id, created_at, expires_at, deleted_at, deleted_by)
VALUES (%(team)s, %(session)s, %(now)s, %(until)s, %(now)s, %(by)s)
ON CONFLICT (team_id, session_id) DO UPDATE
SET wrapped_key = NULL, deleted_at = excluded.deleted_at, deleted_by = excluded.deleted_by,
    expires_at = greatest(known.expires_at, excluded.expires_at)
WHERE known.deleted_at IS NULL"""
_MASTERS = """
SELECT substring(wrapped_key for %s), count(*) FROM session_recording_keys
WHERE wrapped_key IS NOT NULL GROUP BY 1 ORDER BY 1"""
_NEXT = """
SELECT team_id, session_id, wrapped_key, created_at FROM session_recording_keys
WHERE (team_id, session_id) > (%s, %s) AND wrapped_key IS NOT NULL
ORDER BY team_id, session_id LIMIT %s"""
_REWRAP = """
UPDATE session_recording_keys SET wrapped_key = %s
WHERE team_id = %s AND session_id = %s AND wrapped_key = %s"""
_NO_TABLE = "keys_postgres has no table session_recording_keys: `recording-worker keys create` makes it"
_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 5.0
"""Longest wait for the answers about some sessions."""
_ROTATE_SECONDS = 300.0
"""The same, to wrap some keys again."""
_COUNT_SECONDS = 3600.0
"""The same, to read the whole table."""
_REWRAPPED_AT_ONCE = 1000

Answer = TypeVar("Answer")


class PostgresKeys:
    """Keeps one connection, and makes it again after an error. The table has to be there: see `create_table`."""

    def __init__(
        self,
        url: SecretStr,
        master_keys: Path,
        *,
        kms_region: str | None = None,
        kms_endpoint: str | None = None,
        retry_for: float = 5.0,
    ) -> None:
        """Read the file of master keys. `kms_region` and `kms_endpoint`: of KMS, if it has encrypted some of them.

        `retry_for`: seconds. Raises ConfigError, without secrets in its text, and StoreError if KMS can't be used.
        """
        self._conninfo = conninfo("keys_postgres", url, connect_timeout=_CONNECT_SECONDS)
        self._masters = _read_master_keys(master_keys, kms_region, kms_endpoint)
        self._retry = Retrying(
            retry=retry_if_exception_type((psycopg.OperationalError, OSError)),
            wait=RETRY_WAIT,
            stop=stop_after_delay(retry_for),
            reraise=True,
        )
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None

    def read(self, sessions: Collection[Session]) -> dict[Session, SessionKey]:
        names = {stored_name(session): session for session in sessions}
        found = self._asked(lambda connection: self._read(connection, names)) if names else {}
        return {names[name]: known for name, known in found.items()}

    def create(self, expires: Mapping[Session, int], now: int) -> dict[Session, SessionKey]:
        """See KeyStore. One statement makes all keys, and another reads them."""
        if not expires:
            return {}
        names = {stored_name(session): session for session in expires}
        rows = [
            (*name, self._masters.wrap(random_bytes(KEY_BYTES), name, now), expires[session])
            for name, session in names.items()
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]

        def create(connection: psycopg.Connection) -> dict[Session, SessionKey]:
            connection.execute(_CREATE, (now, *columns))
            return self._read(connection, names)

        return {names[name]: known for name, known in self._asked(create).items()}

    def destroy(self, session: Session, by: str, now: int) -> SessionKey:
        team_id, session_id = name = stored_name(session)
        given = {"team": team_id, "session": session_id, "now": now, "until": now + TOMBSTONE_SECONDS, "by": by}

        def destroy(connection: psycopg.Connection) -> SessionKey:
            connection.execute(_DESTROY, given)
            return self._read(connection, [name])[name]

        return self._asked(destroy)

    def probe(self) -> None:
        self._asked(lambda connection: connection.execute("SELECT FROM session_recording_keys LIMIT 1"))

    def try_out(self) -> None:
        """See KeyStore. What it stores is rolled back."""
        name, now = (0, PROBE_NAME), int(time.time())
        wrapped = self._masters.wrap(random_bytes(KEY_BYTES), name, now)
        given = {"team": 0, "session": PROBE_NAME, "now": now, "until": now, "by": ""}

        def attempt(connection: psycopg.Connection) -> None:
            with connection.transaction(force_rollback=True):
                connection.execute(_CREATE, (now, [0], [PROBE_NAME], [wrapped], [now]))
                self._read(connection, [name])
                connection.execute(_DESTROY, given)

        self._asked(attempt)

    def create_table(self) -> None:
        self._asked(lambda connection: connection.execute(TABLE))

    @property
    def masters(self) -> list[str]:
        """The ids of the master keys in the file, in hex. The first one wraps."""
        return self._masters.ids

    def wrapped_by(self) -> dict[str, int]:
        """Return id of a master key, in hex → the keys that it has wrapped. Raises StoreError."""

        def count(connection: psycopg.Connection) -> list[tuple[bytes, int]]:
            return connection.execute(_MASTERS, (MASTER_ID_BYTES,)).fetchall()

        rows = self._asked(count, _COUNT_SECONDS)
        return {bytes(master).hex(): keys for master, keys in rows}

    def rotate(self) -> int:
        """Wrap all keys with the current master key. Return how many were wrapped with another one. Raises StoreError.

        It may be stopped and run again at any time. It does not give a deleted session its key back.
        """
        rotated = 0
        while some := self._rotate_all():  # a worker may have wrapped one with another master key behind our back
            rotated += some
        return rotated

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _rotate_all(self) -> int:
        """Go through the table once, some keys at a time. Return how many were wrapped again."""
        rotated, after = 0, (-(2**63), "")
        while True:
            page = self._asked(partial(self._rotate_after, after), _ROTATE_SECONDS)
            if page is None:
                return rotated
            rotated, after = rotated + page[0], page[1]

    def _rotate_after(self, after: Session, connection: psycopg.Connection) -> tuple[int, Session] | None:
        """Wrap the next keys after a session. Return how many, and the last session; None if there are no more."""
        rows = connection.execute(_NEXT, (*after, _REWRAPPED_AT_ONCE)).fetchall()
        old = [row for row in rows if row[2][:MASTER_ID_BYTES] != self._masters.current]
        for team_id, session_id, wrapped, created_at in old:
            key = self._unwrapped((team_id, session_id), wrapped, created_at)
            again = self._masters.wrap(key, (team_id, session_id), created_at)
            connection.execute(_REWRAP, (again, team_id, session_id, wrapped))
        return (len(old), (rows[-1][0], rows[-1][1])) if rows else None

    def _read(self, connection: psycopg.Connection, sessions: Collection[Session]) -> dict[Session, SessionKey]:
        teams, ids = [team_id for team_id, _ in sessions], [session_id for _, session_id in sessions]
        found: dict[Session, SessionKey] = {}
        for team_id, session_id, wrapped, created_at, deleted_at, deleted_by in connection.execute(_READ, (teams, ids)):
            session = (team_id, session_id)
            if deleted_at is not None:
                found[session] = SessionKey(None, deleted_at, deleted_by or "")
            else:
                found[session] = SessionKey(self._unwrapped(session, wrapped, created_at))
        return found

    def _unwrapped(self, session: Session, wrapped: bytes, created_at: int) -> bytes:
        try:
            return self._masters.unwrap(wrapped, session, created_at)
        except ValueError as error:
            raise StoreError(f"the key of session {session[1]} of team {session[0]} can't be used: {error}") from None

    def _asked(self, ask: Callable[[psycopg.Connection], Answer], seconds: float = _ANSWER_SECONDS) -> Answer:
        """Ask in a transaction. Each statement here may be run again. Raises StoreError.

        `seconds`: how long to wait for the answers to it.
        """
        with self._lock:
            try:
                answer: Answer = self._retry(self._ask, ask, seconds)
            except psycopg.errors.UndefinedTable as error:
                raise StoreError(_NO_TABLE) from error
            except (psycopg.Error, OSError) as error:
                raise StoreError(f"keys_postgres: {error_line(error)}") from error
        return answer

    def _ask(self, ask: Callable[[psycopg.Connection], Answer], seconds: float) -> Answer:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._conninfo)
            with deadline(self._connection, seconds + 1), self._connection.transaction():
                # the server, too, gives up what waits for a lock
                self._connection.execute(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
                return ask(self._connection)
        except (psycopg.Error, OSError):
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _read_master_keys(path: Path, kms_region: str | None, kms_endpoint: str | None) -> MasterKeys:
    """Read a file of master keys. Raises ConfigError, and StoreError if KMS does not decrypt one."""

    def decrypted(ciphertext: bytes) -> bytes:
        from recording_worker.keys.aws import decrypted_by_kms  # an extra brings its library

        return decrypted_by_kms(ciphertext, kms_region, kms_endpoint)

    try:
        return MasterKeys.parse(path.read_text(encoding="ascii", errors="replace"), decrypted)
    except OSError as error:
        raise ConfigError(f"can't read the master keys {path} (keys_master_file): {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} (keys_master_file): {error}") from None
    except StoreError as error:
        raise StoreError(f"a master key of keys_master_file can't be decrypted: {error}") from error
