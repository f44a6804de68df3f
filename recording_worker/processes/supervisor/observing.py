"""observed: a look at the service every few seconds, for all that follows how it goes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from recording_worker.clock import Clock
from recording_worker.processes.supervisor.behind import BehindLog
from recording_worker.processes.supervisor.history import SAMPLE_SECONDS, History
from recording_worker.processes.supervisor.status import Status
from recording_worker.processes.supervisor.summary import MinuteSummary
from recording_worker.repeating import repeating

log = structlog.get_logger()


@contextmanager
def observed(status: Callable[[], Status], history: History, clock: Clock) -> Iterator[None]:
    """Sample and log how the service goes while the body runs, on one thread; and once more when it ends."""

    behind, summary = BehindLog(history, clock), MinuteSummary(history)

    def turn() -> None:
        now = status()
        _guard("no sample for the status page", history.take, now)
        _guard("can't tell whether this host falls behind", behind.turn, now)
        _guard("no summary of this minute", summary.turn, now)

    turn()
    try:
        with repeating(turn, SAMPLE_SECONDS, "observe"):
            yield
    finally:
        _guard("no summary of this minute", summary.log_rest, status())


def _guard(failure: str, do: Callable[[Status], None], status: Status) -> None:
    """Log this if it fails: a fault of what only watches does not stop the service and the rest."""
    try:
        do(status)
    except Exception:
        log.exception(failure)
