"""Backoff: pauses between tries that double, at random, so that several processes don't try at the same moment."""

from tenacity import RetryCallState, Retrying, wait_exponential, wait_random_exponential


class Backoff:
    """Pauses that double from `first` to `longest` seconds, each ± 50 %."""

    def __init__(self, first: float, longest: float) -> None:
        # half of the pause in any case, and up to the whole at random: 0.5 to 1.5 times the pause
        self._wait = wait_exponential(first / 2, longest / 2) + wait_random_exponential(first, longest)

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after this many failures in a row, at least one."""
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = failures
        return self._wait(state)
