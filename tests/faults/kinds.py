"""The kinds of faults; here the table of what is done to the worker can be read off."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from tests.faults import cluster_faults as cluster
from tests.faults import deletion_faults as deletion
from tests.faults import key_faults as keys
from tests.faults import process_faults as process
from tests.faults import server_faults as server
from tests.faults import store_faults as store
from tests.faults.arena import Round
from tests.faults.key_servers import Trouble
from tests.faults.store_faults import Store


class Where(StrEnum):
    """In which rounds a kind is possible."""

    ANYWHERE = "anywhere"
    ONE_BROKER = "one broker"
    CLUSTER = "several brokers"
    STORES = "PostgreSQL and Redis"
    S3 = "S3"
    KEYS = "a key store"
    DYNAMODB = "key store dynamodb"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `inject` returns when the fault is over: what was taken away is back.

    It returns how much it has hit: processes that ended, connections that were cut or refused, frames that were held
    up, writes that failed, moves of partitions, sessions deleted. Raises TimeoutError if it has hit nothing.
    """

    name: str
    inject: Callable[[Round], int]
    weight: int = 2
    """How often it is drawn, relative to the other kinds, after each was injected once."""
    takes_long: bool = False
    """Left out of the short form."""
    where: Where = Where.ANYWHERE
    alone: bool = False
    """Whether it can't overlap with others, since it pauses the load or stops all brokers."""

    def is_possible(self, at: Round) -> bool:
        match self.where:
            case Where.ANYWHERE:
                return True
            case Where.ONE_BROKER:
                return at.brokers.size == 1
            case Where.CLUSTER:
                return at.brokers.size > 1
            case Where.STORES:
                return at.surroundings.stores
            case Where.S3:
                return at.surroundings.storage == "s3"
            case Where.KEYS:
                return bool(at.surroundings.keys)
            case Where.DYNAMODB:
                return at.surroundings.keys == "dynamodb"


KINDS = (
    Kind("SIGKILL of a worker, idle", process.kill_idle_worker, alone=True),
    Kind("SIGKILL of a worker, decoding", process.kill_decoding_worker, weight=3),
    Kind("SIGKILL of a worker, uploading", process.kill_uploading_worker, weight=3),
    Kind("SIGKILL of a worker, inside the transaction", process.kill_worker_in_transaction, weight=6),
    Kind("SIGKILL of a supervisor", process.kill_supervisor, weight=3),
    Kind("worker frozen until it is killed", process.freeze_worker, weight=1),
    Kind("supervisor frozen past the session time-out", process.freeze_supervisor),
    Kind("host frozen past the session time-out", process.freeze_host),
    Kind("third host joins and leaves, three times", process.third_host_comes_and_goes),
    Kind("SIGTERM in a flush", process.terminate_in_flush),
    Kind("message that crashes the native core", process.crash_the_core, weight=1),
    Kind("message that hangs the native core", process.hang_the_core, weight=1),
    Kind("broker restarted", server.restart_broker, where=Where.ONE_BROKER, alone=True),
    Kind("broker killed and started", server.kill_broker, where=Where.ONE_BROKER, alone=True),
    Kind("broker stopped for seconds", server.broker_away, weight=1, where=Where.ONE_BROKER, alone=True),
    Kind(
        "broker stopped for a minute",
        server.broker_away_for_a_minute,
        weight=0,
        takes_long=True,
        where=Where.ONE_BROKER,
        alone=True,
    ),
    Kind("connection cut in a produce", server.cut_in_produce, weight=3),
    Kind("connection cut in a fetch", server.cut_in_fetch),
    Kind("connection cut in the transaction's offsets", server.cut_in_offsets, weight=3),
    Kind("connection cut in a commit", server.cut_in_commit, weight=4),
    Kind("request of a transaction arrives late", server.request_arrives_late, weight=6),
    Kind("network refuses connections", server.network_refuses),
    Kind("network silent", server.network_is_silent),
    Kind("storage fails", server.storage_fails),
    Kind("storage full", server.storage_is_full),
    Kind("storage hangs", server.storage_hangs, weight=1),
    *(
        Kind(f"{name} {what}", partial(inject, role), weight=3, where=Where.CLUSTER)
        for name, role in (
            ("leader", cluster.leader),
            ("transaction coordinator", cluster.transaction_coordinator),
            ("group coordinator", cluster.group_coordinator),
        )
        for what, inject in (
            ("killed", cluster.killed),
            ("frozen", cluster.frozen),
            ("isolated from the other brokers", cluster.isolated),
            ("moved", cluster.moved),
        )
    ),
    Kind("partitions reassigned", cluster.reassigned, where=Where.CLUSTER),
    Kind("rolling restart of all brokers", cluster.rolling_restart, weight=1, where=Where.CLUSTER),
    Kind("all brokers killed at once", cluster.all_killed, weight=1, where=Where.CLUSTER, alone=True),
    Kind("disk of a broker full", cluster.disk_full, where=Where.CLUSTER),
    Kind("broker slow", cluster.slow, where=Where.CLUSTER),
    *(
        Kind(f"{name} {what}", partial(inject, one), where=where)
        for name, one, where in (
            ("Redis", Store.REDIS, Where.STORES),
            ("PostgreSQL", Store.POSTGRES, Where.STORES),
            ("S3 server", Store.S3, Where.S3),
        )
        for what, inject in (("killed", store.away), ("frozen", store.frozen))
    ),
    *(
        Kind(f"key store {trouble}", partial(keys.hurt, trouble), where=where)
        for trouble, where in (
            (Trouble.AWAY, Where.KEYS),
            (Trouble.FROZEN, Where.KEYS),
            (Trouble.SLOW, Where.DYNAMODB),
            (Trouble.THROTTLING, Where.DYNAMODB),
            (Trouble.UNHEARD, Where.DYNAMODB),
        )
    ),
    Kind("session deleted while it is recorded", deletion.delete_session, weight=4, where=Where.KEYS),
)
