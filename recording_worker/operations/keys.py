"""What operators do with a key store: look whether it can be used, and with which master keys its keys are wrapped."""

from collections.abc import Iterator
from typing import NamedTuple

from recording_worker.errors import ConfigError
from recording_worker.keys.open import open_keys
from recording_worker.keys.store import KeyStore
from recording_worker.settings.choices import KeyStoreKind
from recording_worker.settings.model import Settings


class MasterKey(NamedTuple):
    """A master key of key store postgres."""

    id: str
    """In hex; it does not give the key away."""
    keys: int
    """How many keys of sessions it has wrapped."""
    is_there: bool
    """Whether the file has it."""
    wraps: bool
    """Whether it wraps new keys."""


def opened_keys(settings: Settings) -> KeyStore:
    """Open the key store of the settings. Raises ConfigError if they name none."""
    store = open_keys(settings)
    if store is None:
        raise ConfigError("no key store: say where the keys of sessions are with --key-store")
    return store


def master_keys(store: KeyStore, settings: Settings) -> Iterator[MasterKey]:
    """Yield the master keys in the file and in use: with key store postgres. KMS keeps its own. Raises StoreError."""
    if settings.key_store is not KeyStoreKind.POSTGRES:
        return
    from recording_worker.keys.postgres import PostgresKeys  # an extra brings its library

    assert isinstance(store, PostgresKeys)
    used, there = store.wrapped_by(), store.masters
    for master in dict.fromkeys([*there, *used]):
        yield MasterKey(master, used.get(master, 0), master in there, master == there[0])


def rotate(store: KeyStore, settings: Settings) -> int:
    """Wrap all keys with the first master key of the file. Return how many were wrapped with another one.

    Raises StoreError, and ConfigError if the store has no master keys of its own.
    """
    if settings.key_store is not KeyStoreKind.POSTGRES:
        raise ConfigError("only key store postgres has a master key of its own: KMS rotates its keys itself")
    from recording_worker.keys.postgres import PostgresKeys  # an extra brings its library

    assert isinstance(store, PostgresKeys)
    return store.rotate()
