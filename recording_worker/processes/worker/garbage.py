"""GarbageCollector: keeps garbage collections out of the worker's busy loop."""

import gc

from recording_worker.clock import Clock

_IDLE_SECONDS = 60.0
"""How often an idle worker collects at most."""
_BUSY_SECONDS = 1800.0
"""How often a worker collects that is never idle."""


class GarbageCollector:
    """Collects when the worker has nothing to read, instead of whenever many objects were made.

    No message leaves a reference cycle, so there is hardly anything to collect: what failed requests leave behind.
    Everything that lives when this is made counts as living for ever, and no collection looks at it again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        gc.collect()
        gc.freeze()
        gc.disable()
        self._collected = clock.monotonic()

    def turn(self, idle: bool) -> None:
        """Collect if it is time to. `idle`: whether the worker has nothing to read."""
        now = self._clock.monotonic()
        if now - self._collected >= (_IDLE_SECONDS if idle else _BUSY_SECONDS):
            gc.collect()
            self._collected = now
