"""Entry points of worker processes for the tests of the pool. Each is spawned, so each is a function of a module."""

import faulthandler
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from recording_worker.errors import BootError
from recording_worker.settings import Settings
from recording_worker.supervisor.control import BootFailed, Channel, Progress, Ready, Released, Stop, WorkerChannel


def obedient(_settings: Settings, _number: int, connection: Connection, _supervisor: int) -> None:
    """Ready, then waits for Stop; exits 0."""
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    for order in channel.receive(60):
        if isinstance(order, Stop):
            channel.send(Released(()))
            return


def cannot_boot(_settings: Settings, _number: int, connection: Connection, _supervisor: int) -> None:
    channel: WorkerChannel = Channel(connection)
    channel.send(BootFailed(BootError("no storage")))
    sys.exit(BootError.exit_code)


def dies(_settings: Settings, number: int, connection: Connection, _supervisor: int) -> None:
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    os.kill(os.getpid(), signal.SIGKILL) if number else sys.exit(1)


def hangs(_settings: Settings, _number: int, connection: Connection, _supervisor: int) -> None:
    """Ready, then silent for ever; ignores what can be ignored."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR1)
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    threading.Event().wait()


def flush_hangs(_settings: Settings, _number: int, connection: Connection, _supervisor: int) -> None:
    """Its loop turns, and tells so, but its flush never ends."""
    faulthandler.register(signal.SIGUSR1)
    channel: WorkerChannel = Channel(connection)
    channel.send(Ready())
    while True:
        channel.send(Progress({}, flushing=True))
        time.sleep(0.05)


def dies_early(_settings: Settings, _number: int, _connection: Connection, _supervisor: int) -> None:
    """Never gets as far as being ready."""
    os.kill(os.getpid(), signal.SIGSEGV)
