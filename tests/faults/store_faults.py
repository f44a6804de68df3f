"""Faults of the servers that hosts look things up in, or store files in: Redis, PostgreSQL, S3."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from threading import Lock

from tests.faults.arena import Round
from tests.servers.child import ServerProcess


class Store(Enum):
    """A server, and what a worker logs if it can't be asked."""

    REDIS = "Redis can't be asked"
    POSTGRES = "can't be read: what was read before stays"
    S3 = "S3 request failed, trying again"

    def server(self, at: Round) -> ServerProcess:
        servers: dict[Store, Callable[[], ServerProcess]] = {
            Store.REDIS: lambda: at.arena.redis,
            Store.POSTGRES: lambda: at.arena.postgres,
            Store.S3: lambda: at.arena.s3,
        }
        return servers[self]()

    def seen(self, at: Round) -> int:
        """How often hosts have said so."""
        return sum(host.logged(self.value) for host in at.hosts)


_IN_HAND = {store: Lock() for store in Store}
"""Only one fault at a time has a server in hand."""


def away(store: Store, at: Round) -> int:
    """It is killed, and started after a while."""
    with _in_hand(store, at) as server, server.killed():
        return _seen(store, at)


def frozen(store: Store, at: Round) -> int:
    """It takes connections and answers nothing for a while."""
    with _in_hand(store, at) as server, server.paused():
        return _seen(store, at)


@contextmanager
def _in_hand(store: Store, at: Round) -> Iterator[ServerProcess]:
    if not _IN_HAND[store].acquire(blocking=False):
        raise TimeoutError(f"{store.name} is hurt already")
    try:
        yield store.server(at)
    finally:
        _IN_HAND[store].release()


def _seen(store: Store, at: Round) -> int:
    before = store.seen(at)
    hits = at.hits(lambda: store.seen(at) - before, 15)
    time.sleep(at.chance.uniform(0, 4))
    return hits
