"""Faults of what a host depends on: the broker, the network, the storage."""

import time

from tests.faults.arena import PROGRESS_DEADLINE, Round
from tests.faults.processes import Host
from tests.faults.proxy import Api, Mode, Side


def restart_broker(at: Round) -> None:
    at.broker.stop()
    at.broker.start()


def kill_broker(at: Round) -> None:
    at.broker.kill()
    at.broker.start()


def broker_away(at: Round) -> None:
    at.broker.stop()
    time.sleep(at.chance.uniform(3, 8))
    at.broker.start()


def broker_away_for_a_minute(at: Round) -> None:
    at.broker.stop()
    time.sleep(60)
    at.broker.start()


def cut_in_produce(at: Round) -> None:
    _cut(at, Api.PRODUCE)


def cut_in_fetch(at: Round) -> None:
    _cut(at, Api.FETCH)


def cut_in_offsets(at: Round) -> None:
    """In the offsets on their way into the transaction."""
    _cut(at, Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT)


def cut_in_commit(at: Round) -> None:
    """In the end of the transaction: without the answer it is not known whether it is committed."""
    _cut(at, Api.END_TXN)


def _cut(at: Round, *apis: Api) -> None:
    """Cut the connection within the request or its answer; at times the network stays away for a while then."""
    host = at.a_host()
    caught, _worker = at.catch(host, *apis, side=at.chance.choice((*Side,)))
    caught.cut(at.chance.random())
    if at.chance.random() < 0.5:
        _network(host, Mode.REFUSING, at.chance.uniform(0.2, 3))


def network_refuses(at: Round) -> None:
    """A host's connections are reset, and new ones too, for a while."""
    _network(at.a_host(), Mode.REFUSING, at.chance.uniform(0.5, 8))


def network_is_silent(at: Round) -> None:
    """Nothing a host says or is told arrives for a while, and then all of it does."""
    _network(at.a_host(), Mode.SILENT, at.chance.uniform(0.5, 8))


def _network(host: Host, mode: Mode, seconds: float) -> None:
    host.proxy.set_mode(mode)
    try:
        time.sleep(seconds)
    finally:
        host.proxy.set_mode(Mode.OPEN)


def storage_fails(at: Round) -> None:
    """Every write ends halfway, with an input/output error."""
    _storage(at, "fail", at.chance.uniform(0.5, 4))


def storage_is_full(at: Round) -> None:
    _storage(at, "full", at.chance.uniform(0.5, 4))


def storage_hangs(at: Round) -> None:
    """Every write stands still, for less than the progress deadline or until the worker is killed for it."""
    _storage(at, "hang", at.chance.choice((1, 3, PROGRESS_DEADLINE + 3)))


def _storage(at: Round, order: str, seconds: float) -> None:
    host = at.a_host()
    host.set_storage(order)
    try:
        time.sleep(seconds)
    finally:
        host.set_storage("")
