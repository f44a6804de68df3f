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
_STUCK_SECONDS = 90.0
"""A frozen worker is gone within this time: one that was just starting gets 60 s for that, others less."""


def kill_idle_worker(at: Round) -> None:
    at.load.pause()
    at.recover(at.load.ends)
    signal_to(at.a_worker(at.a_host()), signal.SIGKILL)
    at.load.resume()


def kill_decoding_worker(at: Round) -> None:
    """A worker is killed just after messages have reached it."""
    caught, worker = at.catch(at.a_host(), Api.FETCH, side=Side.RESPONSE, least_bytes=10_000)
    caught.forward()
    time.sleep(at.chance.uniform(0, 0.02))
    signal_to(worker, signal.SIGKILL)


def kill_uploading_worker(at: Round) -> None:
    host = at.a_host()
    host.set_storage("hang")
    try:
        at.wait_for(host.hanging, "a worker to write a file")
        signal_to(at.chance.choice(host.hanging()), signal.SIGKILL)
    finally:
        host.set_storage("")


def kill_worker_in_transaction(at: Round) -> None:
    """A worker is killed between the beginning of its transaction and the answer to its end."""
    apis = (Api.PRODUCE, Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT, Api.END_TXN)
    caught, worker = at.catch(at.a_host(), at.chance.choice(apis), side=at.chance.choice((*Side,)))
    signal_to(worker, signal.SIGKILL)
    if at.chance.random() < 0.5:
        caught.forward()  # what it said last still arrives
    else:
        caught.cut(at.chance.random())


def kill_supervisor(at: Round) -> None:
    host = at.a_host()
    workers = host.kill()
    at.wait_for(lambda: not any(map(is_alive, workers)), "the killed supervisor's workers to be gone", _ORPHAN_SECONDS)
    time.sleep(at.chance.choice((0, 0.5, SESSION_SECONDS + 1)))
    host.start()


def freeze_worker(at: Round) -> None:
    """A worker is frozen until its supervisor kills it."""
    worker = at.a_worker(at.a_host())
    signal_to(worker, signal.SIGSTOP)
    at.wait_for(lambda: not is_alive(worker), "the frozen worker to be killed", _STUCK_SECONDS)


def freeze_supervisor(at: Round) -> None:
    """A supervisor is frozen past the session time-out, and then goes on; its workers have gone on all the time."""
    _freeze(at, [at.a_host().pid])


def freeze_host(at: Round) -> None:
    """All processes of a host are frozen past the session time-out, and then go on."""
    host = at.a_host()
    _freeze(at, [host.pid, *host.workers()])


def _freeze(at: Round, pids: list[int]) -> None:
    for pid in pids:
        signal_to(pid, signal.SIGSTOP)
    try:
        time.sleep(SESSION_SECONDS + at.chance.uniform(0.5, 3))
    finally:
        for pid in at.chance.sample(pids, len(pids)):
            signal_to(pid, signal.SIGCONT)


def third_host_comes_and_goes(at: Round) -> None:
    """A third supervisor joins and leaves, over and over: some times orderly, some times killed."""
    third = at.hosts[2]
    for _ in range(3):
        third.start()
        time.sleep(at.chance.uniform(1, 4))
        if at.chance.random() < 0.5:
            third.stop()
        else:
            third.kill()


def terminate_in_flush(at: Round) -> None:
    """SIGTERM while files are being written, for less or for longer than the drain deadline; then started again."""
    host = at.a_host()
    host.set_storage("hang")
    try:
        at.wait_for(host.hanging, "a worker to write a file")
        before = len(host.exits)
        host.terminate()
        time.sleep(at.chance.choice((0.2, 1.0, DRAIN_DEADLINE + 0.5)))
    finally:
        host.set_storage("")
    at.wait_for(lambda: len(host.exits) > before, "the host to end")


def crash_the_core(at: Round) -> None:
    at.load.send_poisoned(hooks.CRASH)


def hang_the_core(at: Round) -> None:
    at.load.send_poisoned(hooks.HANG)
