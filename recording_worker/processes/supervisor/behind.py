"""BehindLog: says in the log when this host falls behind, and what holds it up."""

import structlog

from recording_worker.clock import Clock
from recording_worker.processes.supervisor.diagnosis import find_bottleneck
from recording_worker.processes.supervisor.history import History
from recording_worker.processes.supervisor.status import Status

log = structlog.get_logger()


class BehindLog:
    """Looks whenever the history has a new sample. For one thread."""

    def __init__(self, history: History, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._behind = False

    def turn(self, status: Status) -> None:
        """Log what has changed. While a dependency fails that is needed, the log says that already."""
        now = self._clock.now_ms() / 1000
        if any(each.dependency.needed and each.failing_seconds for each in status.dependencies):
            return
        bottleneck = find_bottleneck(status, self._history, now)
        if bottleneck.who and not self._behind:
            log.warning(
                "falls behind",
                lag_seconds=round(status.lag_seconds(now) or 0),
                lag=status.lag_messages,
                bottleneck=bottleneck.who,
                why=bottleneck.why,
            )
        elif self._behind and not bottleneck.who:
            log.info("keeps up again")
        self._behind = bool(bottleneck.who)
