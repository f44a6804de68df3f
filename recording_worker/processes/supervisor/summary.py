"""MinuteSummary: one line of the log a minute that says what this host did in it."""

import structlog

from recording_worker.outcome import Disposition
from recording_worker.processes.supervisor.history import History
from recording_worker.processes.supervisor.status import Status

log = structlog.get_logger()

_MINUTE = 60.0
_MEGABYTE = 1_000_000
_COUNTED = {
    Disposition.OK: "recorded",
    Disposition.DROP: "dropped",
    Disposition.REDIRECT: "redirected",
    Disposition.DLQ: "dlq",
}
"""How messages ended → the field of the line."""


class MinuteSummary:
    """Reads what the history has sampled. A minute is silent if nothing happened, and nothing waits."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._before = history.latest

    def turn(self, status: Status) -> None:
        """Log what was done since the last line, if that is a minute ago."""
        if self._history.latest.at - self._before.at >= _MINUTE:
            self.log_rest(status)

    def log_rest(self, status: Status) -> None:
        """Log what was done since the last line."""
        now, before = self._history.latest, self._before
        self._before = now
        ended = {label: round(count - before.ended.get(label, 0.0)) for label, count in now.ended.items()}
        done = {
            "messages": sum(ended.values()),
            **{name: ended.get(disposition.label, 0) for disposition, name in _COUNTED.items()},
            "flushes": round(now.grown(before, "flushes")),
        }
        written, lag = now.grown(before, "written_bytes"), status.lag_messages
        if any(done.values()) or written or lag:
            megabytes = round(written / _MEGABYTE, 1)
            log.info("summary", **done, megabytes=megabytes, lag=lag, partitions=len(status.partitions))
