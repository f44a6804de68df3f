import multiprocessing
import os
import threading
from collections.abc import Iterator

import pytest

from recording_worker.errors import BootError
from recording_worker.kafka.consumer import PartitionState
from recording_worker.processes.control import (
    Assign,
    BootFailed,
    Channel,
    Placement,
    Progress,
    Ready,
    Revoke,
    Stop,
    SupervisorChannel,
    ToWorker,
    WorkerChannel,
)

Ends = tuple[SupervisorChannel, WorkerChannel]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = multiprocessing.Pipe()
    supervisor: SupervisorChannel = Channel(ours)
    worker: WorkerChannel = Channel(theirs)
    yield supervisor, worker
    supervisor.close()
    worker.close()


def test_messages_arrive_in_order(ends: Ends) -> None:
    supervisor, worker = ends
    orders: list[ToWorker] = [Assign((Placement(0, 1, 42),)), Revoke((0,)), Stop()]
    for order in orders:
        assert supervisor.try_send(order)
    assert list(worker.receive()) == orders
    assert list(worker.receive()) == []


def test_the_error_of_a_failed_boot_crosses_as_it_is(ends: Ends) -> None:
    supervisor, worker = ends
    worker.send(Ready())
    worker.send(BootFailed(BootError("the folder can't be written")))
    _, failed = supervisor.receive()
    assert isinstance(failed, BootFailed)
    assert isinstance(failed.error, BootError)
    assert str(failed.error) == "the folder can't be written"


def test_what_was_said_before_the_end_is_heard(ends: Ends) -> None:
    supervisor, worker = ends
    worker.send(Ready())
    worker.close()
    heard = supervisor.receive()
    assert next(heard) == Ready()
    with pytest.raises(EOFError):
        next(heard)


def test_a_message_cut_off_by_the_senders_death_is_its_end() -> None:
    ours, theirs = multiprocessing.Pipe()
    supervisor: SupervisorChannel = Channel(ours)
    os.write(theirs.fileno(), (1000).to_bytes(4, "big") + b"only this much")
    theirs.close()
    with pytest.raises(EOFError):
        list(supervisor.receive())
    supervisor.close()


def test_sending_to_nobody_fails_and_does_not_raise(ends: Ends) -> None:
    supervisor, worker = ends
    worker.close()
    assert not supervisor.try_send(Stop())


def test_a_reader_that_stopped_reading_never_blocks_the_supervisor(ends: Ends) -> None:
    supervisor, _ = ends
    order = Revoke(tuple(range(1000)))
    sent = 0
    while supervisor.try_send(order):
        sent += 1
        assert sent < 10_000
    assert sent > 10


def test_threads_may_send_at_once(ends: Ends) -> None:
    supervisor, worker = ends
    reports = [Progress({number: PartitionState(0, number) for number in range(200)}, flushing=False)] * 50

    def send_all() -> None:
        for report in reports:
            worker.send(report)

    threads = [threading.Thread(target=send_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    heard: list[object] = []
    while len(heard) < 200:
        heard += supervisor.receive(5)
    for thread in threads:
        thread.join()
    assert heard == reports * 4
