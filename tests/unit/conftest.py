from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recording_worker.metrics import Metrics
from recording_worker.recording.flush import Flusher
from recording_worker.settings.choices import Codec
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Storage
from recording_worker.storage.local.backend import LocalStorage
from tests.builders import FakeClock
from tests.unit.flushing import Deliveries, Make
from tests.unit.worker_bench import Bench


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A worker; parametrized indirectly with the arguments of Bench."""
    made = Bench(**getattr(request, "param", {}))
    yield made
    made.close()


@pytest.fixture
def deliveries() -> Deliveries:
    return Deliveries()


@pytest.fixture
def flusher_of(tmp_path: Path, deliveries: Deliveries) -> Iterator[Make]:
    made: list[Flusher] = []

    def make(storage: Storage | None = None, codec: Codec = Codec.ZSTD, **options: Any) -> Flusher:
        settings = Settings(storage_dir=tmp_path, codec=codec)
        storage = LocalStorage(tmp_path) if storage is None else storage
        made.append(
            Flusher(
                storage, deliveries, **{"settings": settings, "clock": FakeClock(), "metrics": Metrics(), **options}
            )
        )
        return made[-1]

    yield make
    deliveries.let.set()
    for flusher in made:
        flusher.close()
