"""Faults of processes: killed, frozen, come and gone; a core that crashes or hangs."""

import signal
import time

from tests import hooks
from tests.faults.arena import DRAIN_DEADLINE, SESSION_SECONDS, Round
from tests.faults.processes import signal_to
from tests.faults.proxy import Api, Side
from tests.integration.service import is_alive

_ORPHAN_SECONDS = 5.0
"""The workers of a supervisor that was killed are gone within this time."""
_JOIN_SECONDS = 30.0
"""A host that is started has partitions within this time."""
_STUCK_SECONDS = 90.0
"""A frozen worker is gone within this time: one that was just starting gets 60 s for that, others less."""


def kill_idle_worker(at: Round) -> int:
    at.load.pause()
    at.recover(at.load.ends)
    hits = _kill(at, at.a_worker(at.a_host()))
    at.load.resume()
    return hits


def kill_decoding_worker(at: Round) -> int:
    """A worker is killed just after messages have reached it."""
    caught, worker = at.catch(at.a_host(), Api.FETCH, side=Side.RESPONSE, least_bytes=10_000)
    caught.forward()
    time.sleep(at.chance.uniform(0, 0.02))
    return _kill(at, worker)


def kill_uploading_worker(at: Round) -> int:
    host = at.a_host()
    host.storage.set_order("hang")
    try:
        at.wait_for(host.hanging, "a worker to write a file")
        return _kill(at, at.chance.choice(host.hanging()))
    finally:
        host.storage.set_order("")


def kill_worker_in_transaction(at: Round) -> int:
    """A worker is killed between the beginning of its transaction and the answer to its end."""
    apis = (Api.PRODUCE, Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT, Api.END_TXN)
    caught, worker = at.catch(at.a_host(), at.chance.choice(apis), side=at.chance.choice((*Side,)))
    hits = _kill(at, worker)
    if at.chance.random() < 0.5:
        caught.forward()  # what it said last still arrives
    else:
        caught.cut(at.chance.random())
    return hits


def _kill(at: Round, worker: int) -> int:
    signal_to(worker, signal.SIGKILL)
    return at.hits(lambda: not is_alive(worker))


def kill_supervisor(at: Round) -> int:
    host = at.a_host()
    workers = host.kill()
    at.wait_for(lambda: not any(map(is_alive, workers)), "the killed supervisor's workers to be gone", _ORPHAN_SECONDS)
    time.sleep(at.chance.choice((0, 0.5, SESSION_SECONDS + 1)))
    host.start()
    return 1


def freeze_worker(at: Round) -> int:
    """A worker is frozen until its supervisor kills it."""
    worker = at.a_worker(at.a_host())
    signal_to(worker, signal.SIGSTOP)
    at.wait_for(lambda: not is_alive(worker), "the frozen worker to be killed", _STUCK_SECONDS)
    return 1


def freeze_supervisor(at: Round) -> int:
    """A supervisor is frozen past the session time-out, and then goes on; its workers have gone on all the time."""
    return _freeze(at, [at.a_host().pid])


def freeze_host(at: Round) -> int:
    """All processes of a host are frozen past the session time-out, and then go on."""
    host = at.a_host()
    return _freeze(at, [host.pid, *host.workers()])


def _freeze(at: Round, pids: list[int]) -> int:
    before = at.rebalances()
    for pid in pids:
        signal_to(pid, signal.SIGSTOP)
    try:
        time.sleep(SESSION_SECONDS + at.chance.uniform(0.5, 3))
    finally:
        for pid in at.chance.sample(pids, len(pids)):
            signal_to(pid, signal.SIGCONT)
    return at.hits(lambda: at.rebalances() - before)


def third_host_comes_and_goes(at: Round) -> int:
    """A third supervisor joins and is killed. Then it comes and goes twice more, orderly or killed, joined or not."""
    third = at.hosts[2]
    before = third.logged("partitions placed")
    try:
        third.start()
        hits = at.hits(lambda: third.logged("partitions placed") - before, _JOIN_SECONDS)
        third.kill()
        for _ in range(2):
            third.start()
            time.sleep(at.chance.uniform(1, 4))
            if at.chance.random() < 0.5:
                third.stop()
            else:
                third.kill()
    finally:
        third.kill()
    return hits


def terminate_in_flush(at: Round) -> int:
    """SIGTERM while files are being written, for less or for longer than the drain deadline; then started again."""
    host = at.a_host()
    host.storage.set_order("hang")
    try:
        at.wait_for(host.hanging, "a worker to write a file")
        before = len(host.exits)
        host.terminate()
        time.sleep(at.chance.choice((0.2, 1.0, DRAIN_DEADLINE + 0.5)))
    finally:
        host.storage.set_order("")
    at.wait_for(lambda: len(host.exits) > before, "the host to end")
    return len(host.exits) - before


def crash_the_core(at: Round) -> int:
    return _poison(at, hooks.CRASH)


def hang_the_core(at: Round) -> int:
    return _poison(at, hooks.HANG)


def _poison(at: Round, text: str) -> int:
    """Send a message at which a worker's native core fails, and wait until that worker is gone."""
    workers = [worker for host in at.running for worker in host.workers()]
    at.load.send_poisoned(text)
    return at.hits(lambda: sum(not is_alive(worker) for worker in workers), _STUCK_SECONDS)
