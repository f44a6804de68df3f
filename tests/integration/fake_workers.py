"""Entry points of worker processes for the tests of the pool. Each is spawned, so each is a function of a module."""

import faulthandler
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from recording_worker.errors import BootError
from recording_worker.kafka.consumer import PartitionState
from recording_worker.processes.control import (
    Assign,
    BootFailed,
    Channel,
    Flushed,
    Placement,
    Progress,
    Ready,
    Released,
    Revoke,
    Stop,
    WorkerChannel,
)
from recording_worker.settings.model import Settings


def obedient(_settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    """Ready, then waits for Stop; releases all that it was given, and exits 0."""
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    held: list[Placement] = []
    while True:
        for order in channel.receive(60):
            if isinstance(order, Assign):
                held += order.placements
            if isinstance(order, Stop):
                channel.send(Released(tuple(held)))
                return


def chatters(_settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    """Ready, then reports its progress all the time."""
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    offset = 0
    while True:
        offset += 1
        channel.send(Progress({0: PartitionState(offset, offset)}, flushing=False))
        time.sleep(0.002)


def cannot_boot(_settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    channel: WorkerChannel = Channel(connection)
    channel.send(BootFailed(BootError("no storage")))
    sys.exit(BootError.exit_code)


def boots_once(settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    """Ready the first time, then fails. After that it can't boot. The storage folder keeps the count."""
    channel: WorkerChannel = Channel(connection)
    assert settings.storage_dir is not None
    try:
        (settings.storage_dir / "booted").touch(exist_ok=False)
    except FileExistsError:
        channel.send(BootFailed(BootError("no storage")))
        sys.exit(BootError.exit_code)
    channel.send(Ready())
    sys.exit(1)


def lags(_settings: Settings, _host: str, number: int, connection: Connection, _supervisor: int) -> None:
    """Worker 0 never reads what it is given; the others have read everything. All release what they are asked for."""
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    held: dict[int, Placement] = {}
    while True:
        for order in channel.receive(0.05):
            match order:
                case Assign(placements):
                    held |= {at.partition: at for at in placements}
                case Revoke(partitions):
                    channel.send(Released(tuple(held.pop(partition) for partition in partitions)))
                case Stop():
                    return
        position = 100_000 if number else 0
        channel.send(Progress(dict.fromkeys(held, PartitionState(position, 100_000)), flushing=False))


def dies(_settings: Settings, _host: str, number: int, connection: Connection, _supervisor: int) -> None:
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    os.kill(os.getpid(), signal.SIGKILL) if number else sys.exit(1)


def hangs(_settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    """Ready, then silent for ever; ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR1)
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    threading.Event().wait()


def flush_hangs(_settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    """Its loop turns and reports, but its flush never ends."""
    faulthandler.register(signal.SIGUSR1)
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    while True:
        channel.send(Progress({}, flushing=True))
        time.sleep(0.05)


def delivers_and_dies(_settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    channel.send(Flushed((), committed=True, sessions=0, events=0, bytes_written=0))
    sys.exit(1)


def dies_early(_settings: Settings, _host: str, _number: int, _connection: Connection, _supervisor: int) -> None:
    """Dies before it is ready."""
    os.kill(os.getpid(), signal.SIGSEGV)


def closes_its_pipe(_settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    """Ready, then goes on without its pipe."""
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    channel.close()
    threading.Event().wait()


def only_the_first_is_ready(
    _settings: Settings, _host: str, number: int, connection: Connection, _supervisor: int
) -> None:
    channel: WorkerChannel = Channel(connection)
    if number == 0:
        channel.send(Ready())
    threading.Event().wait()


def tells(_settings: Settings, _host: str, _number: int, connection: Connection, _supervisor: int) -> None:
    """Ready; flushes once, and says what is wrong."""
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    channel.send(Flushed((), committed=True, sessions=3, events=9, bytes_written=1234))
    channel.send(Progress({}, flushing=False, trouble="teams are old"))
    threading.Event().wait()
