"""A model of the storage for batch files, which fails or hangs when it is told to."""

from collections.abc import Iterable, Mapping

from recording_worker.errors import FlushError
from recording_worker.storage.base import Part
from tests.simulation.scheduler import Scheduler, Signal


class ModelStorage:
    """One storage for all hosts. It remembers the names of what it has stored."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._works_again = Signal(scheduler)
        self.failing = 0
        """How many faults make it fail now."""
        self.hanging = 0
        """How many faults make it hang now."""
        self.urls: set[str] = set()

    def check(self) -> None: ...
    def probe(self) -> None: ...
    def close(self) -> None: ...

    def write(self, key: str, parts: Iterable[Part], _metadata: Mapping[str, str]) -> str:
        for _ in parts:  # they are made while they are taken
            self._go_on()
        self._go_on()
        url = f"model:{key}"
        self.urls.add(url)
        return url

    def heal(self, fault: str) -> None:
        if fault == "storage fails":
            self.failing -= 1
        else:
            self.hanging -= 1
            self._works_again.notify()

    def _go_on(self) -> None:
        """Take a moment, or as long as a fault lets it hang. Raises FlushError if it fails."""
        self._scheduler.sleep(self._scheduler.rng.uniform(0.001, 0.02))
        while self.hanging:
            self._works_again.wait(None)
        if self.failing:
            raise FlushError("the storage fails")
