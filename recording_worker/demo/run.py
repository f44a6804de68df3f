"""Runs the demo: broker, service and traffic on this machine. Then compares what came out with what went in."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recording_worker.demo.outputs import (
    DivertedCounter,
    Recorded,
    dropped_of_metrics,
    received_of_metrics,
    recorded_in,
)
from recording_worker.demo.service import Service, prepare_folder
from recording_worker.demo.traffic import OK, Outcome, traffic
from recording_worker.errors import WorkerError
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.kafka.feeder import Feeder, GroupFollower
from recording_worker.settings.choices import Delivery
from recording_worker.settings.model import Settings

OnProgress = Callable[[float, int], None]
"""Called with the seconds and the messages sent since the last call."""

_DEMO_SETTINGS = {"bootstrap_servers", "group_id", "workers", "max_batch_age", "delivery"}
_SEED = 1
_PARTITIONS_A_WORKER = 4
_OUTPUT_PARTITIONS = 4
_FLUSH_SECONDS = 1.0
_SETTLE_SECONDS = 60.0


@dataclass(slots=True)
class DemoResult:
    """What went in and what came out."""

    produced: Counter[Outcome]
    came_out: Counter[Outcome]
    produced_events: int
    """Events that the service must record."""
    recorded: Recorded
    read_again: int
    """Messages that the service read more than once, because a partition changed hands before its offsets were
    committed. What is recorded twice is recognized. The other outcomes count each reading."""
    value_bytes: int
    seconds: float
    """From the first message sent to the last one committed."""

    @property
    def adds_up(self) -> bool:
        counted_again = sum((self.came_out - self.produced).values())
        return (
            self.produced_events == self.recorded.events
            and self.produced[OK] == self.came_out[OK]
            and not self.produced - self.came_out
            and counted_again <= self.read_again
        )


def run_demo(
    seconds: float, workers: int, folder: Path, say: Callable[[str], None], on_progress: OnProgress
) -> DemoResult:
    """Send traffic for some seconds and wait until it is recorded. Calls `say` with news. Raises WorkerError."""
    folder = folder.resolve()
    prepare_folder(folder)
    with EmbeddedBroker() as broker:
        settings = Settings(
            bootstrap_servers=broker.bootstrap_servers,
            group_id="demo",
            workers=workers,
            max_batch_age=_FLUSH_SECONDS,
            delivery=Delivery.AT_LEAST_ONCE,  # the embedded broker has no real transactions
        )
        _create_topics(broker, settings)
        say(f"embedded broker at {broker.bootstrap_servers}")
        with Service(folder, settings.model_dump(mode="json", include=_DEMO_SETTINGS)) as service:
            say(f"recording-worker run --config {service.config}  (its log: {service.log})")
            service.wait_until_ready()
            say(f"{workers} workers ready; sending traffic for {seconds:g} s")
            return _run(seconds, settings, service, say, on_progress)


def _create_topics(broker: EmbeddedBroker, settings: Settings) -> None:
    broker.create_topic(settings.topic, _PARTITIONS_A_WORKER * settings.workers)
    for topic in (
        settings.metadata_topic,
        settings.console_logs_topic,
        settings.warnings_topic,
        settings.dlq_topic,
        settings.overflow_topic,
    ):
        broker.create_topic(topic, _OUTPUT_PARTITIONS)


class _WatchedGroup(GroupFollower):
    """The service's group. Waiting for it raises WorkerError if the service has ended."""

    def __init__(self, settings: Settings, service: Service) -> None:
        super().__init__(settings, settings.group_id)
        self._service = service

    def look(self) -> None:
        self._service.check()
        super().look()


def _run(
    seconds: float, settings: Settings, service: Service, say: Callable[[str], None], on_progress: OnProgress
) -> DemoResult:
    produced: Counter[Outcome] = Counter()
    events = value_bytes = 0
    diverted = DivertedCounter(settings)
    group = _WatchedGroup(settings, service)
    feeder = Feeder(settings, follow=group)
    started = now = time.monotonic()
    for planned in traffic(_SEED, now_ms=time.time_ns() // 1_000_000):
        before, now = now, time.monotonic()
        on_progress(now - before, 1)
        if now - started >= seconds:
            break
        feeder.send(planned.message)
        diverted.count()
        produced[planned.outcome] += 1
        events += planned.events
        value_bytes += len(planned.message.value or b"")
    if not produced:
        raise WorkerError(f"nothing was sent in {seconds:g} s: give more time with --seconds")
    _settle(feeder, group)
    took = time.monotonic() - started
    families = service.metrics()
    drops = dropped_of_metrics(families)
    read_again = received_of_metrics(families) - produced.total()
    say("everything is committed; stopping the service")
    service.stop()
    diverted.count_rest()
    recorded = recorded_in(service.blocks)
    came_out = Counter({OK: len(recorded.messages)}) + drops + diverted.outcomes
    return DemoResult(produced, came_out, events, recorded, read_again, value_bytes, took)


def _settle(feeder: Feeder, group: GroupFollower) -> None:
    """Wait until all messages are in the topic and the group has committed them. Raises WorkerError."""
    feeder.finish()
    if feeder.failures:
        raise WorkerError(f"the embedded broker refused messages: {dict(feeder.failures)}")
    deadline = time.monotonic() + _SETTLE_SECONDS
    while not group.is_done:
        if time.monotonic() > deadline:
            raise WorkerError(f"the service has not committed everything within {_SETTLE_SECONDS:.0f} s")
        time.sleep(0.1)
        group.look()
    group.close()
