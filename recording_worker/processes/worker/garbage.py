"""GarbageCollector: keeps garbage collections out of the worker's busy loop, and gives memory back when it is idle."""

import gc
from collections.abc import Callable

from recording_worker.clock import Clock

_IDLE_SECONDS = 60.0
"""How often an idle worker collects at most."""
_BUSY_SECONDS = 1800.0
"""How often a worker collects that is never idle."""
_GIVE_BACK_SECONDS = 20.0
"""How long a worker has nothing to read before it gives memory back. What it held is flushed by then."""


class GarbageCollector:
    """Collects when the worker has nothing to read, instead of whenever many objects were made.

    No message leaves a reference cycle, so there is hardly anything to collect: what failed requests leave behind.
    Everything that lives when this is made counts as living for ever, and no collection looks at it again.
    """

    def __init__(self, clock: Clock, give_back: Callable[[], None]) -> None:
        """`give_back` gives the system what is kept for later. It is called once each time that the worker rests."""
        self._clock = clock
        self._give_back = give_back
        gc.collect()
        gc.freeze()
        gc.disable()
        self._collected = self._read = clock.monotonic()
        self._gave_back = True

    def turn(self, idle: bool) -> None:
        """Collect and give back, if it is time to. `idle`: whether the worker has nothing to read."""
        now = self._clock.monotonic()
        if now - self._collected >= (_IDLE_SECONDS if idle else _BUSY_SECONDS):
            gc.collect()
            self._collected = now
        if not idle:
            self._read, self._gave_back = now, False
        elif not self._gave_back and now - self._read >= _GIVE_BACK_SECONDS:
            self._give_back()
            self._gave_back = True
