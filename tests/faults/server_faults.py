"""Faults of what a host depends on: the broker, the network, the storage."""

import time

from tests.faults.arena import PROGRESS_DEADLINE, Round
from tests.faults.processes import Host
from tests.faults.proxy import Api, Mode, Side


def restart_broker(at: Round) -> int:
    at.brokers.only.stop()
    at.brokers.only.start()
    return 1


def kill_broker(at: Round) -> int:
    at.brokers.only.kill()
    at.brokers.only.start()
    return 1


def broker_away(at: Round) -> int:
    at.brokers.only.stop()
    time.sleep(at.chance.uniform(3, 8))
    at.brokers.only.start()
    return 1


def broker_away_for_a_minute(at: Round) -> int:
    at.brokers.only.stop()
    time.sleep(60)
    at.brokers.only.start()
    return 1


def cut_in_produce(at: Round) -> int:
    return _cut(at, Api.PRODUCE)


def cut_in_fetch(at: Round) -> int:
    return _cut(at, Api.FETCH)


def cut_in_offsets(at: Round) -> int:
    """In the offsets on their way into the transaction."""
    return _cut(at, Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT)


def cut_in_commit(at: Round) -> int:
    """In the end of the transaction: without the answer it is not known whether it is committed."""
    return _cut(at, Api.END_TXN)


def _cut(at: Round, *apis: Api) -> int:
    """Cut the connection within the request or its answer; at times the network stays away for a while then."""
    host = at.a_host()
    caught, _worker = at.catch(host, *apis, side=at.chance.choice((*Side,)))
    caught.cut(at.chance.random())
    if at.chance.random() < 0.5:
        _network(at, host, Mode.REFUSING, at.chance.uniform(0.2, 3))
    return 1


def request_arrives_late(at: Round) -> int:
    """A request of a transaction is lost with its connection, and reaches the broker when another has been made."""
    host = at.a_host()
    apis = (Api.PRODUCE, Api.ADD_PARTITIONS_TO_TXN, Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT, Api.END_TXN)
    caught, _worker = at.catch(host, at.chance.choice(apis))
    request = caught.keep_back()
    time.sleep(at.chance.uniform(0.5, 5))
    host.proxy.deliver_late(request)
    return 1


def network_refuses(at: Round) -> int:
    """A host's connections are reset, and new ones too, for a while."""
    return _network(at, at.a_host(), Mode.REFUSING, at.chance.uniform(0.5, 8))


def network_is_silent(at: Round) -> int:
    """Nothing a host says or is told arrives for a while, and then all of it does."""
    return _network(at, at.a_host(), Mode.SILENT, at.chance.uniform(0.5, 8))


def _network(at: Round, host: Host, mode: Mode, seconds: float) -> int:
    before = host.proxy.hits
    host.proxy.set_mode(mode)
    try:
        time.sleep(seconds)
        return at.hits(lambda: host.proxy.hits - before)
    finally:
        host.proxy.set_mode(Mode.OPEN)


def storage_fails(at: Round) -> int:
    """Every write ends halfway, with an input/output error."""
    return _storage(at, "fail", at.chance.uniform(0.5, 4))


def storage_is_full(at: Round) -> int:
    return _storage(at, "full", at.chance.uniform(0.5, 4))


def storage_hangs(at: Round) -> int:
    """Every write stands still, for less than the progress deadline or until the worker is killed for it."""
    return _storage(at, "hang", at.chance.choice((1, 3, PROGRESS_DEADLINE + 3)))


def _storage(at: Round, order: str, seconds: float) -> int:
    host = at.a_host()
    before = host.storage.hits
    host.storage.set_order(order)
    try:
        time.sleep(seconds)
        return at.hits(lambda: host.storage.hits - before)
    finally:
        host.storage.set_order("")
