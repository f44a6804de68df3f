"""Balancer: evens out the load of the workers, because partitions are not equally busy."""

from collections.abc import Collection, Mapping

from recording_worker.clock import Clock
from recording_worker.processes.supervisor.assignment import Move, relieving_move

_IDLE_LAG = 1_000
"""Messages: a worker with no more than this left to read keeps up."""
_LEAST_RELIEF = 10_000
"""Messages a move must take off a worker; fewer are read sooner than a partition changes hands."""
_LASTING_SECONDS = 10.0
"""How long the lag must last: a worker that just started, or just got a partition, lags for a moment."""
_COOL_DOWN_SECONDS = 60.0
"""Time between two moves, so that the first can show its effect."""


class Balancer:
    """Says when a partition should go from a worker that lags to one that is idle."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wanted: tuple[int, int] | None = None
        """The giver and the taker of the move that was last thought useful."""
        self._since = 0.0
        self._not_before = 0.0

    def next_move(self, lags: Mapping[int, Mapping[int, int]], pinned: Collection[int]) -> Move | None:
        """Return the move to make now, or None. Call it often.

        `lags`: worker that takes partitions → partition it reads → messages it has yet to read. `pinned` ones stay.
        """
        now = self._clock.monotonic()
        move = relieving_move(lags, pinned, idle_lag=_IDLE_LAG, least_relief=_LEAST_RELIEF)
        wanted = None if move is None else (move.giver, move.taker)
        if wanted != self._wanted:
            self._wanted, self._since = wanted, now
        if move is None or now < self._not_before or now - self._since < _LASTING_SECONDS:
            return None
        self._wanted, self._not_before = None, now + _COOL_DOWN_SECONDS
        return move
