"""Paced: does something again and again, but only for a share of the time."""

from collections.abc import Callable

from recording_worker.clock import Clock


class Paced:
    """What it does may take `share` of the time. It still is done every `longest` seconds, however slow it is."""

    def __init__(self, clock: Clock, do: Callable[[], None], *, share: float, longest: float) -> None:
        self._clock = clock
        self._do = do
        self._share = share
        self._longest = longest
        self._not_before = 0.0

    def turn(self) -> None:
        """Do it if it is time to. Call this often."""
        began = self._clock.monotonic()
        if began < self._not_before:
            return
        self._do()
        took = self._clock.monotonic() - began
        self._not_before = began + min(took / self._share, self._longest)
