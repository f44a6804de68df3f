"""Balancer: evens out what the assignment by number leaves uneven, for partitions are not equally busy."""

from collections.abc import Collection, Mapping

from recording_worker.clock import Clock
from recording_worker.processes.supervisor.assignment import Move, relieving_move

_IDLE_LAG = 1_000
"""Messages: a worker that has no more than this to read keeps up."""
_LEAST_RELIEF = 10_000
"""Messages a move must take off a worker; fewer are read sooner than a partition is handed over."""
_LASTING_SECONDS = 10.0
"""How long it must have been so: a worker that was just started, or just given a partition, lags for a moment."""
_COOL_DOWN_SECONDS = 60.0
"""What a move has to show its effect, before another is made."""


class Balancer:
    """Says when a partition is to go from a worker that lags to one that is idle."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wanted: tuple[int, int] | None = None
        """Whose relief by whom was last thought useful."""
        self._since = 0.0
        self._not_before = 0.0

    def next_move(self, lags: Mapping[int, Mapping[int, int]], pinned: Collection[int]) -> Move | None:
        """The move to make now, or None. To be asked often.

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
