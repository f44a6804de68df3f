"""MinuteSummary: one line of the log a minute that says what this host did in it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import structlog
from prometheus_client import CollectorRegistry

from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition
from recording_worker.processes.supervisor.status import Status
from recording_worker.repeating import repeating

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
    """Reads what all processes of the service count. A minute is silent if nothing happened, and nothing waits."""

    def __init__(self, registry: CollectorRegistry, status: Callable[[], Status]) -> None:
        """`registry` is what the ops server serves."""
        self._registry = registry
        self._status = status
        self._before = self._figures()

    def logged(self) -> AbstractContextManager[None]:
        """Log a line each minute while the body runs, on a thread, and one for the rest when it ends."""
        return repeating(self.turn, _MINUTE, "summary")

    def turn(self) -> None:
        """Log what was done since the last turn."""
        now, before = self._figures(), self._before
        self._before = now
        done = {name: round(now[name] - before[name]) for name in now}
        status = self._status()
        lag = status.lag_messages
        if not any(done.values()) and not lag:
            return
        written = done.pop("bytes") / _MEGABYTE
        log.info("summary", **done, megabytes=round(written, 1), lag=lag, partitions=len(status.partitions))

    def _figures(self) -> dict[str, float]:
        """Return field of the line → its count since the service began."""
        figures = dict.fromkeys(("messages", *_COUNTED.values(), "flushes", "bytes"), 0.0)
        fields = {disposition.label: name for disposition, name in _COUNTED.items()}
        counters = (Metrics.messages, Metrics.flushes, Metrics.flushed_bytes)
        messages, flushes, written = (series for of in counters for series in of.series)
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name == messages:
                    figures["messages"] += sample.value
                    figures[fields[sample.labels["disposition"]]] += sample.value
                elif sample.name == flushes:
                    figures["flushes"] += sample.value
                elif sample.name == written:
                    figures["bytes"] += sample.value
        return figures
