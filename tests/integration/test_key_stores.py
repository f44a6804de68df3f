"""Key stores: what holds for both, on real PostgreSQL and on moto's DynamoDB and KMS, and what each one stores."""

import base64
import re
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from recording_worker.errors import ConfigError, StoreError
from recording_worker.keys.dynamodb import DynamoKeys
from recording_worker.keys.postgres import PostgresKeys
from recording_worker.keys.store import PROBE_NAME, TOMBSTONE_SECONDS, KeyStore, SessionKey
from tests.servers.aws import REGION, KeysOfAws
from tests.servers.postgres import PostgresServer
from tests.unit.command import Done, run

NOW = int(time.time())
LATER = NOW + 30 * 86_400
A, B = (1, "session-a"), (2, "session-b")
RETRY_SECONDS = 0.3


def master_file(folder: Path, *keys: bytes) -> Path:
    path = folder / f"master-{secrets.token_hex(4)}"
    path.write_text("\n".join(base64.b64encode(key).decode() for key in keys))
    return path


class Place:
    """Where keys are stored: opens as many stores on it as a test wants, and takes it away and brings it back."""

    def __init__(self, open_store: Callable[[], KeyStore], away: Callable[[], None], back: Callable[[], None]) -> None:
        self._open, self.away, self.back = open_store, away, back
        self._stores: list[KeyStore] = []

    def open(self) -> KeyStore:
        self._stores.append(self._open())
        return self._stores[-1]

    def close(self) -> None:
        for store in self._stores:
            store.close()


def postgres_keys(server: PostgresServer, *masters: Path) -> PostgresKeys:
    return PostgresKeys(SecretStr(server.url), masters[0], retry_for=RETRY_SECONDS)


def dynamo_keys(server: KeysOfAws, table: str, alias: str) -> DynamoKeys:
    return DynamoKeys(table, alias, region=REGION, endpoint=server.endpoint, retry_for=RETRY_SECONDS)


@pytest.fixture(params=["postgres", "dynamodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        server.execute("DROP TABLE IF EXISTS session_recording_keys")
        master = master_file(tmp_path, b"m" * 32)
        store = postgres_keys(server, master)
        store.create_table()
        store.close()
        found = Place(lambda: postgres_keys(server, master), server.stop, server.start)
    else:
        aws: KeysOfAws = request.getfixturevalue("keys_of_aws")
        table, alias = aws.new_table()
        found = Place(lambda: dynamo_keys(aws, table, alias), aws.kill, aws.start)
    yield found
    found.close()


def test_a_key_is_made_once_and_read_by_all(place: Place) -> None:
    ours, theirs = place.open(), place.open()
    assert ours.read([A, B]) == {}
    made = ours.create({A: LATER, B: LATER}, NOW)
    assert made.keys() == {A, B}
    assert all(known.key is not None and len(known.key) == 32 and not known.is_deleted for known in made.values())
    assert made[A].key != made[B].key
    assert theirs.read([A, B, (1, "session-b")]) == made
    assert theirs.create({A: LATER}, NOW + 5) == {A: made[A]}, "the first key counts"


def test_any_text_may_be_a_session_id(place: Place) -> None:
    ids = ["", "a\0b", "\ud83d", "ü\U0001f642", "x" * 4096, "x" * 4095 + "y", "blake2b:00", "'; DROP TABLE x; --", "%s"]
    store = place.open()
    made = store.create({(1, session_id): LATER for session_id in ids}, NOW)
    assert len({known.key for known in made.values()}) == len(ids)
    assert store.read(made) == made
    assert all(store.destroy(session, "ann", NOW).is_deleted for session in made)
    assert all(known.is_deleted for known in store.read(made).values())


def test_two_workers_that_meet_new_sessions_get_the_same_keys(place: Place) -> None:
    expires = {(1, f"session-{number}"): LATER for number in range(30)}
    stores = [place.open() for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        first, *others = threads.map(lambda store: store.create(expires, NOW), stores)
    assert first.keys() == expires.keys()
    assert len({known.key for known in first.values()}) == 30
    assert all(other == first for other in others)
    assert place.open().read(expires) == first


def test_a_destroyed_key_is_gone_for_all_and_stays_gone(place: Place) -> None:
    ours, theirs = place.open(), place.open()
    ours.create({A: LATER, B: LATER}, NOW)
    destroyed = SessionKey(None, NOW + 1, "ann")
    assert ours.destroy(A, "ann", NOW + 1) == destroyed
    assert theirs.destroy(A, "bob", NOW + 9) == destroyed, "the first deletion counts"
    assert theirs.read([A]) == {A: destroyed}
    assert theirs.create({A: LATER}, NOW + 9) == {A: destroyed}
    assert theirs.read([B])[B].key is not None


def test_a_session_without_a_key_gets_a_tombstone(place: Place) -> None:
    store = place.open()
    assert store.destroy(A, "ann", NOW) == SessionKey(None, NOW, "ann")
    assert store.create({A: LATER}, NOW + 1)[A].is_deleted


def test_a_key_that_is_destroyed_while_others_make_it_is_destroyed(place: Place) -> None:
    sessions = [(1, f"session-{number}") for number in range(20)]
    one, other = place.open(), place.open()
    with ThreadPoolExecutor(2) as threads:
        making = threads.submit(one.create, dict.fromkeys(sessions, LATER), NOW)
        for session in sessions:
            assert other.destroy(session, "ann", NOW).is_deleted
        making.result()
    assert all(known.is_deleted and known.key is None for known in one.read(sessions).values())


def test_a_store_that_is_away_raises_and_works_again_when_it_is_back(place: Place) -> None:
    store = place.open()
    made = store.create({A: LATER}, NOW)
    place.away()
    try:
        for ask in (lambda: store.read([A]), lambda: store.create({B: LATER}, NOW), lambda: store.destroy(A, "x", NOW)):
            with pytest.raises(StoreError):
                ask()
        with pytest.raises(StoreError):
            store.probe()
    finally:
        place.back()
    store.probe()
    assert store.read([A]) == made


def test_a_postgresql_that_hangs_does_not_hold_up_a_worker_for_ever(postgres: PostgresServer, tmp_path: Path) -> None:
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    store = postgres_keys(postgres, master_file(tmp_path, b"m" * 32))
    store.create_table()
    made = store.create({A: LATER}, NOW)
    began = time.monotonic()
    with postgres.paused(), pytest.raises(StoreError):
        store.read([A])
    assert time.monotonic() - began < 15
    assert store.read([A]) == made
    with psycopg.connect(postgres.url) as other:
        other.execute("LOCK session_recording_keys")
        with pytest.raises(StoreError, match="statement timeout"):
            store.read([A])
    assert store.read([A]) == made
    store.close()


def test_a_store_is_tried_out_and_nothing_is_left(place: Place) -> None:
    store = place.open()
    store.try_out()
    assert store.read([(0, PROBE_NAME)]) == {}
    place.away()
    try:
        with pytest.raises(StoreError):
            store.try_out()
    finally:
        place.back()


def test_a_table_is_created_where_there_is_none(keys_of_aws: KeysOfAws) -> None:
    _, alias = keys_of_aws.new_table()
    store = dynamo_keys(keys_of_aws, f"new-{secrets.token_hex(4)}", alias)
    with pytest.raises(StoreError):
        store.try_out()
    store.create_table()
    store.create_table()
    store.try_out()
    made = store.create({A: LATER}, NOW)
    assert store.read([A]) == made
    without_kms = dynamo_keys(keys_of_aws, keys_of_aws.new_table()[0], "alias/not-there")
    with pytest.raises(StoreError):
        without_kms.try_out()
    for each in (store, without_kms):
        each.close()


def test_items_expire_though_an_earlier_try_to_create_the_table_was_stopped(keys_of_aws: KeysOfAws) -> None:
    table, alias = keys_of_aws.new_table()  # it is there, and nobody has said that its items expire
    store = dynamo_keys(keys_of_aws, table, alias)
    for _ in range(2):
        store.create_table()
        expiry = keys_of_aws.items.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    store.close()


def test_how_long_a_deletion_is_remembered(postgres: PostgresServer, tmp_path: Path) -> None:
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    store = postgres_keys(postgres, master_file(tmp_path, b"m" * 32))
    store.create_table()
    store.create({A: NOW + 60, B: NOW + 2 * TOMBSTONE_SECONDS}, NOW)
    for session in (A, B):
        store.destroy(session, "ann", NOW)
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute("SELECT team_id, expires_at FROM session_recording_keys").fetchall()
    assert dict(rows) == {A[0]: NOW + TOMBSTONE_SECONDS, B[0]: NOW + 2 * TOMBSTONE_SECONDS}
    store.close()


def test_the_command_keys_creates_checks_and_rotates(postgres: PostgresServer, tmp_path: Path) -> None:
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    old, new = b"o" * 32, b"n" * 32

    def keys(command: str, *masters: bytes) -> Done:
        master = master_file(tmp_path, *masters)
        given = ("--key-store", "postgres", "--keys-postgres", postgres.url, "--keys-master-file", str(master))
        return run("keys", command, *given)

    assert (keys("check", old).code, keys("create", old).code) == (1, 0)
    store = postgres_keys(postgres, master_file(tmp_path, old))
    made = store.create({(1, f"session-{number}"): LATER for number in range(2500)}, NOW)
    store.destroy(A, "ann", NOW)
    store.close()
    assert re.search(r"master key [0-9a-f]{16}: 2,500 keys, it wraps new keys\n$", keys("check", old).out)
    lost = keys("check", new)
    assert lost.code == 1
    assert "2,500 keys can't be opened: put their master keys back into keys_master_file" in lost.out
    assert keys("rotate", new).code == 1
    assert "2,500 keys, in the file" in keys("check", new, old).out
    assert keys("rotate", new, old).out == "2,500 keys wrapped with the first master key of the file\n"
    assert keys("rotate", new, old).out == "0 keys wrapped with the first master key of the file\n"
    assert keys("check", new).code == 0
    after = postgres_keys(postgres, master_file(tmp_path, new))
    assert after.read(made) == made
    after.close()
    assert run("keys", "rotate", "--key-store", "dynamodb", "--keys-region", "us-east-1").code == 2
    assert "no key store: say where the keys of sessions are with --key-store" in run("keys", "check").err


def test_the_items_are_posthogs(keys_of_aws: KeysOfAws) -> None:
    table, alias = keys_of_aws.new_table()
    store = dynamo_keys(keys_of_aws, table, alias)
    made = store.create({A: LATER}, NOW)[A]
    item = keys_of_aws.item(table, *A)
    assert item is not None
    blob = item.pop("encrypted_key")["B"]
    assert item == {
        "session_id": {"S": "session-a"},
        "team_id": {"N": "1"},
        "session_state": {"S": "ciphertext"},
        "created_at": {"N": str(NOW)},
        "expires_at": {"N": str(LATER)},
    }
    context = {"session_id": "session-a", "team_id": "1"}
    opened = keys_of_aws.kms.decrypt(CiphertextBlob=blob, KeyId=alias, EncryptionContext=context)
    assert opened["Plaintext"] == made.key
    with pytest.raises(ClientError):
        keys_of_aws.kms.decrypt(CiphertextBlob=blob, KeyId=alias, EncryptionContext={**context, "team_id": "2"})
    store.destroy(A, "ann", NOW + 1)
    deleted = {
        "session_state": {"S": "deleted"},
        "deleted_at": {"N": str(NOW + 1)},
        "deleted_by": {"S": "ann"},
        "expires_at": {"N": str(NOW + 1 + TOMBSTONE_SECONDS)},
    }
    assert keys_of_aws.item(table, *A) == item | deleted
    store.close()


def test_an_item_of_a_team_without_encryption_has_no_key(keys_of_aws: KeysOfAws) -> None:
    table, alias = keys_of_aws.new_table()
    name = {"session_id": {"S": "session-a"}, "team_id": {"N": "1"}}
    keys_of_aws.items.put_item(TableName=table, Item={**name, "session_state": {"S": "cleartext"}})
    store = dynamo_keys(keys_of_aws, table, alias)
    assert store.read([A]) == {A: SessionKey(None)}
    assert store.create({A: LATER}, NOW) == {A: SessionKey(None)}
    keys_of_aws.items.put_item(TableName=table, Item={**name, "session_state": {"S": "ciphertext"}})
    with pytest.raises(StoreError, match="has no key"):
        store.read([A])
    store.close()


def test_more_sessions_than_one_read_may_ask_for(keys_of_aws: KeysOfAws) -> None:
    store = dynamo_keys(keys_of_aws, *keys_of_aws.new_table())
    expires = {(1, f"session-{number}"): LATER for number in range(105)}
    assert store.read(expires) == {}
    made = store.create(expires, NOW)
    assert store.read(expires) == made
    store.close()


def test_rotation_wraps_the_keys_again_and_the_old_master_key_can_go(postgres: PostgresServer, tmp_path: Path) -> None:
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    old, new = b"o" * 32, b"n" * 32
    before = postgres_keys(postgres, master_file(tmp_path, old))
    before.create_table()
    before.create_table()
    made = before.create({A: LATER, B: LATER, (3, "c"): LATER}, NOW)
    before.destroy(B, "ann", NOW)
    rotating = postgres_keys(postgres, master_file(tmp_path, new, old))
    assert list(rotating.wrapped_by().values()) == [2]
    rotating.create({(4, "d"): LATER}, NOW)
    assert sorted(rotating.wrapped_by().values()) == [1, 2]
    assert (rotating.rotate(), rotating.rotate()) == (2, 0)
    after = postgres_keys(postgres, master_file(tmp_path, new))
    assert after.read([A, (3, "c")]) == {A: made[A], (3, "c"): made[(3, "c")]}
    assert after.read([B])[B].is_deleted
    with pytest.raises(StoreError, match="is wrapped with master key"):
        before.read([A])
    for store in (before, rotating, after):
        store.close()


def test_a_master_key_may_be_encrypted_by_kms(postgres: PostgresServer, keys_of_aws: KeysOfAws, tmp_path: Path) -> None:
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    _, alias = keys_of_aws.new_table()
    made = keys_of_aws.kms.generate_data_key_without_plaintext(KeyId=alias, KeySpec="AES_256")["CiphertextBlob"]
    master = tmp_path / "master-keys"
    old = base64.b64encode(b"o" * 32).decode()
    master.write_text(f"kms:{base64.b64encode(made).decode()}\n{old}\n")
    aws = ("--keys-region", REGION, "--keys-endpoint", keys_of_aws.endpoint)
    given = ("--key-store", "postgres", "--keys-postgres", postgres.url, "--keys-master-file", str(master), *aws)
    assert run("keys", "create", *given).code == 0
    before = postgres_keys(postgres, master_file(tmp_path, b"o" * 32))
    key = before.create({A: LATER}, NOW)[A].key
    assert run("keys", "rotate", *given).out == "1 key wrapped with the first master key of the file\n"
    store = PostgresKeys(SecretStr(postgres.url), master, kms_region=REGION, kms_endpoint=keys_of_aws.endpoint)
    assert store.read([A])[A].key == key
    with pytest.raises(StoreError, match="is wrapped with master key"):
        before.read([A])
    master.write_text("kms:bm90IGEgY2lwaGVydGV4dA==")
    refused = run("keys", "check", *given)
    assert refused.code == 1
    assert "a master key of keys_master_file can't be decrypted: " in refused.err
    for each in (before, store):
        each.close()


def test_no_key_is_in_the_table_in_the_clear(postgres: PostgresServer, tmp_path: Path) -> None:
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    store = postgres_keys(postgres, master_file(tmp_path, b"m" * 32))
    store.create_table()
    made = store.create({A: LATER}, NOW)[A]
    with psycopg.connect(postgres.url) as connection:
        (row,) = connection.execute("SELECT wrapped_key FROM session_recording_keys").fetchall()
    assert made.key is not None
    assert made.key not in row[0]
    assert made.key.hex() not in repr(made)
    store.close()


def test_a_table_or_a_master_key_that_is_missing_is_said(postgres: PostgresServer, tmp_path: Path) -> None:
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    store = postgres_keys(postgres, master_file(tmp_path, b"m" * 32))
    with pytest.raises(StoreError, match="session_recording_keys"):
        store.probe()
    store.close()
    with pytest.raises(ConfigError, match="can't read the master keys"):
        postgres_keys(postgres, tmp_path / "none")
    with pytest.raises(ConfigError, match=r"\(keys_master_file\): it holds no key"):
        postgres_keys(postgres, master_file(tmp_path))
