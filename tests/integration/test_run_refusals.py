"""`recording-worker run` where the system refuses what the supervisor needs: descriptors, processes, threads."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests import limits
from tests.integration.conftest import StartService
from tests.integration.service import Service, Traffic, is_alive, recorded
from tests.waiting import wait_for

Limit = Callable[[int], AbstractContextManager[None]]

REFUSED = "worker can't be spawned"


@pytest.fixture(params=[limits.no_descriptors, limits.no_processes], ids=["descriptors", "processes"])
def limit(request: pytest.FixtureRequest) -> Limit:
    made: Limit = request.param
    return made


@contextmanager
def one_worker_short(service: Service, limit: Limit) -> Iterator[None]:
    """Take the second worker away, and let the supervisor start no other."""
    with limit(service.process.pid):
        os.kill(service.worker_pids()[1], signal.SIGKILL)
        wait_for(lambda: len(service.logged(REFUSED)) >= 2, "two refusals")
        yield


def test_a_worker_that_cannot_be_spawned_is_tried_again_until_it_can(
    start: StartService, traffic: Traffic, limit: Limit
) -> None:
    traffic.send(60)
    service = start()
    service.wait_until_ready()
    with one_worker_short(service, limit):
        assert is_alive(service.worker_pids()[0])
        traffic.send(60)
    service.wait_until_ready()
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(120), 1)
    assert {line["worker"] for line in service.logged(REFUSED)} == {1}


def test_a_stop_is_clean_while_a_worker_cannot_be_spawned(start: StartService, limit: Limit) -> None:
    service = start(max_batch_age=600.0)
    service.wait_until_ready()
    with one_worker_short(service, limit):
        assert service.stop() == 0
    assert not is_alive(service.worker_pids()[0])


def test_a_second_signal_ends_the_service_while_a_worker_cannot_be_spawned(start: StartService, limit: Limit) -> None:
    service = start(drain_deadline=600.0)
    service.wait_until_ready()
    with one_worker_short(service, limit):
        os.kill(service.worker_pids()[0], signal.SIGSTOP)  # it does not flush
        service.signal(signal.SIGTERM)
        wait_for(lambda: service.logged("stopping"), "the first signal to be taken")
        assert service.stop() == 1
    wait_for(lambda: not is_alive(service.worker_pids()[0]), "the worker to be gone")


def test_readiness_says_that_a_worker_cannot_be_spawned(start: StartService) -> None:
    service = start()
    service.wait_until_ready()
    with one_worker_short(service, limits.no_processes):
        status, text = service.get("readyz")
    assert status == 503
    assert "workers not up: [1], can't be spawned: {1: '[Errno 11] Resource temporarily unavailable'}" in text


HANGING_EXIT = """
from recording_worker.processes.supervisor.ops_server import OpsServer
import time
def hang(server):
    time.sleep(600)
OpsServer.close = hang
"""
"""What Python runs at its start: the service's clean-up hangs."""


def test_a_service_whose_clean_up_hangs_ends(start: StartService, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING_EXIT)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    service = start(environment={"PYTHONPATH": path})
    service.wait_until_ready()
    assert service.stop() == signal.SIGALRM
    assert "in hang" in service.log_file.read_text(), "the stacks"
