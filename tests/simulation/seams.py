"""The seams: where the product meets threads, time, processes and Kafka, and what stands there in a simulation."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

from recording_worker.kafka import (
    aside,
    consumer,
    group_member,
    producer,
    start_offsets,
    topic_id,
    transactional_client,
    transactions,
)
from recording_worker.pipeline import build
from recording_worker.processes import control
from recording_worker.processes.supervisor import loop, pool, signals, slot
from recording_worker.processes.supervisor import main as supervisor_main
from recording_worker.processes.worker import assignment, delivered, delivery
from recording_worker.processes.worker import main as worker_main
from recording_worker.recording import flush
from tests.simulation import processes
from tests.simulation.host import DECODER, METRICS
from tests.simulation.scheduler import Future, Queue, Scheduler, Threading, Time, exit_at_once
from tests.simulation.storage import ModelStorage

TURN_SECONDS = 1.0
"""A turn of the supervisor that hears nothing takes longer here, so that fewer of them are run."""


class NoWatchdog:
    """Stands in for the kernel's alarm: a supervisor that hangs is found by what is not delivered."""

    def arm(self, seconds: float) -> None: ...


def _wait_for(futures: "list[Future[Any]]", timeout: float) -> None:
    futures[0].wait(timeout)


@contextmanager
def simulated(
    scheduler: Scheduler,
    rng: random.Random,
    clients: dict[str, Callable[..., Any]],
    pipeline: Callable[..., Any],
    storage: ModelStorage,
    started: Callable[[Any, int], None],
    is_frozen: Callable[[int], bool],
) -> Iterator[None]:
    """Put the stand-ins in place. `clients`: name of a class of librdkafka's clients → what makes the model."""
    threading, time, future = Threading(scheduler), Time(scheduler), partial(Future, scheduler)
    names = iter(range(1_000_000))
    stands_in: list[tuple[Any, str, Any]] = [
        *((module, "time", time) for module in (delivery, delivered, topic_id, start_offsets, group_member)),
        *((module, "time", time) for module in (transactions, transactional_client, pool)),
        *((module, "threading", threading) for module in (flush, assignment, aside, control)),
        (flush, "SimpleQueue", partial(Queue, scheduler)),
        (aside, "Future", future),
        (group_member, "wait", _wait_for),
        (group_member, "Consumer", clients["group"]),
        (transactional_client, "Producer", clients["transactions"]),
        (producer, "Producer", clients["producer"]),
        (topic_id, "AdminClient", clients["admin"]),
        (consumer, "KafkaConsumer", clients["reader"]),
        (consumer, "librdkafka_file", str),
        (start_offsets, "random", rng),
        (pool, "multiprocessing", SimpleNamespace(get_context=lambda _: processes.Context(scheduler, started))),
        (pool, "PollSelector", partial(processes.Selector, scheduler)),
        (pool, "_URGENT", object),  # a turn here takes long: see TURN_SECONDS
        (control, "select", processes.Select),
        (slot, "_is_frozen", is_frozen),
        (slot, "os", SimpleNamespace(kill=lambda *_: None)),
        (loop, "uuid4", lambda: SimpleNamespace(hex=f"host-{next(names)}")),
        (loop, "_TURN_SECONDS", TURN_SECONDS),
        (supervisor_main, "Watchdog", NoWatchdog),
        (signals.StopSignals, "listen", lambda _: None),
        (worker_main, "SystemClock", lambda: scheduler),
        (worker_main, "Dependencies", lambda _: METRICS),
        (worker_main, "DependencyReporter", lambda *_: METRICS),
        (worker_main, "LoopPauses", lambda _: METRICS),
        (worker_main, "make_decoder", lambda _: DECODER),
        (worker_main, "build_pipeline", pipeline),
        (worker_main, "open_storage", lambda *_: storage),
        (worker_main, "GarbageCollector", lambda *_: SimpleNamespace(turn=lambda _: None)),
        (worker_main, "os", SimpleNamespace(_exit=exit_at_once)),
        (build, "StepTimes", lambda *_: METRICS),
    ]
    before = random.getstate()
    random.seed(rng.random())
    saved = [(where, name, getattr(where, name)) for where, name, _ in stands_in]
    for where, name, stand_in in stands_in:
        setattr(where, name, stand_in)
    try:
        yield
    finally:
        for where, name, original in saved:
            setattr(where, name, original)
        random.setstate(before)
