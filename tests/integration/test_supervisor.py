"""The supervisor's loop, turned by the test, with workers that only say what the test needs."""

import signal
from collections.abc import Iterator

import pytest

from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.loop import SupervisorLoop
from recording_worker.processes.supervisor.signals import SecondSignal, StopSignals
from recording_worker.processes.supervisor.systemd import SystemdNotifier
from recording_worker.settings.choices import Delivery
from recording_worker.settings.model import Settings
from tests.builders import FakeClock
from tests.integration import fake_workers
from tests.integration.conftest import PARTITIONS
from tests.integration.service import GROUP, TOPIC


class Turned:
    """A loop, its clock and its metrics. A turn takes a second."""

    def __init__(self, settings: Settings) -> None:
        self.clock, self.metrics, self.signals = FakeClock(), Metrics(), StopSignals()
        systemd = SystemdNotifier({}, self.clock)
        self.loop = SupervisorLoop(settings, self.clock, fake_workers.lags, self.metrics, self.signals, systemd)

    def turn(self) -> None:
        self.clock.ms += 1000
        self.loop.turn()

    def moves(self) -> float:
        return self.metrics.registry.get_sample_value("recording_worker_partitions_moved_total") or 0

    def holders(self) -> dict[int, int | None]:
        return {at.number: at.worker for at in self.loop.status.partitions}

    def close(self) -> list[str]:
        self.signals.receive(signal.SIGTERM, None)
        self.signals.take()
        return self.loop.stop()


@pytest.fixture
def turned(broker: EmbeddedBroker) -> Iterator[Turned]:
    settings = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        topic=TOPIC,
        group_id=GROUP,
        workers=2,
        delivery=Delivery.AT_LEAST_ONCE,
        kafka_consumer={"session.timeout.ms": 2500, "heartbeat.interval.ms": 300},
    )
    made = Turned(settings)
    yield made
    assert made.close() == []


def test_an_idle_worker_takes_partitions_of_one_that_lags_one_a_minute(turned: Turned) -> None:
    moved_at: list[int] = []
    while not moved_at or turned.clock.ms < moved_at[-1] + 200_000:
        turned.turn()
        if turned.moves() > len(moved_at):
            moved_at.append(turned.clock.ms)
    assert len(moved_at) == 2, "the last one has all the lag of its worker, and stays"
    assert moved_at[1] - moved_at[0] >= 60_000
    held = turned.holders()
    assert len(held) == PARTITIONS
    assert sorted(worker for worker in held.values() if worker is not None) == [0, 1, 1, 1, 1, 1]


def test_the_first_signal_asks_for_a_stop_and_the_second_for_an_exit_at_once() -> None:
    signals = StopSignals()
    signals.take()
    assert not signals.stopping
    signals.receive(signal.SIGTERM, None)
    signals.take()
    assert signals.stopping
    signals.receive(signal.SIGINT, None)
    with pytest.raises(SecondSignal):
        signals.take()
