"""The supervisor's loop, turned by the test, with workers that only say what the test needs."""

import signal
from collections.abc import Iterator

import pytest

from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.loop import Supervisor
from recording_worker.settings.model import Delivery, Settings
from tests.builders import FakeClock
from tests.integration import fake_workers
from tests.integration.conftest import PARTITIONS
from tests.integration.service import GROUP, TOPIC

CLOCK = FakeClock()


@pytest.fixture
def supervisor(broker: EmbeddedBroker) -> Iterator[Supervisor]:
    settings = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        topic=TOPIC,
        group_id=GROUP,
        workers=2,
        delivery=Delivery.AT_LEAST_ONCE,
        kafka_consumer={"session.timeout.ms": 2500, "heartbeat.interval.ms": 300},
    )
    made = Supervisor(settings, CLOCK, fake_workers.lags, Metrics())
    yield made
    made._on_signal(signal.SIGTERM, None)
    made._take_signals()
    made._stop()
    assert made._failures == []


def holders(supervisor: Supervisor) -> dict[int, int | None]:
    return {at.number: at.worker for at in supervisor.status.partitions}


def test_an_idle_worker_takes_partitions_of_one_that_lags_one_a_minute(supervisor: Supervisor) -> None:
    moved_at: list[int] = []
    last_move = 0
    while not moved_at or CLOCK.ms < last_move + 200_000:
        CLOCK.ms += 1000
        supervisor._turn()
        if supervisor._metrics.partitions_moved._value.get() > len(moved_at):
            moved_at.append(CLOCK.ms)
            last_move = CLOCK.ms
    assert len(moved_at) == 2, "the last one has all the lag of its worker, and stays"
    assert moved_at[1] - moved_at[0] >= 60_000
    held = holders(supervisor)
    assert len(held) == PARTITIONS
    assert sorted(worker for worker in held.values() if worker is not None) == [0, 1, 1, 1, 1, 1]
