"""The document of `/status.json`: all that the status page shows. docs/operate/status.md describes it."""

import socket
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from recording_worker import __version__
from recording_worker.clock import Clock
from recording_worker.processes.supervisor.board import DependencyStatus
from recording_worker.processes.supervisor.diagnosis import diagnose, find_bottleneck
from recording_worker.processes.supervisor.history import SAMPLE_SECONDS, History
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus
from recording_worker.settings.model import Settings
from recording_worker.settings.shown import shown_settings


class StatusDocument:
    """Makes the document of what is known at the moment."""

    def __init__(self, settings: Settings, history: History, clock: Clock) -> None:
        self._settings = settings
        self._shown = [{"name": each.name, "value": each.value} for each in shown_settings(settings, {})]
        self._history = history
        self._clock = clock
        self._started_at = clock.now_ms() / 1000

    def of(self, status: Status, hangs: str = "") -> dict[str, Any]:
        """Return the document. `hangs`: what is wrong with the supervisor's loop; empty if it turns."""
        now = self._clock.now_ms() / 1000
        diagnosis, bottleneck = diagnose(status), find_bottleneck(status, self._history, now)
        recent = self._history.recent_dlq()
        return {
            "host": socket.gethostname(),
            "version": __version__,
            "at": now,
            "started_at": self._started_at,
            "healthy": not hangs,
            "ready": not status.reasons,
            "reasons": [*filter(None, [hangs]), *status.reasons],
            "level": "bad" if hangs else diagnosis.level,
            "verdict": "The supervisor hangs" if hangs else diagnosis.text,
            "bottleneck": {"who": bottleneck.who, "why": bottleneck.why},
            "lag": {
                "seconds": status.lag_seconds(now),
                "messages": status.lag_messages,
                "recorded_until": status.recorded_until,
            },
            "rates": {
                "messages_per_second": self._history.rate("messages"),
                "bytes_per_second": self._history.rate("bytes"),
                "events_per_second": self._history.rate("events"),
                "written_bytes_per_second": self._history.rate("written_bytes"),
            },
            "flushes": self._flushes(),
            "dependencies": [_dependency(each) for each in status.dependencies],
            "kafka": {
                "brokers_known": status.brokers_known,
                "brokers_connected": status.brokers_connected,
                "committed_at": status.committed_at,
            },
            "workers": list(self._workers(status)),
            "partitions": [_partition(each) for each in status.partitions],
            "dlq": [
                {"reason": reason, "messages": total, "recent": recent.get(reason, 0.0)}
                for reason, total in sorted(self._history.latest.dlq.items())
            ],
            "errors": [{"at": each.at, "text": each.text} for each in reversed(status.errors)],
            "settings": self._shown,
            "series_seconds": SAMPLE_SECONDS,
            "series": self._history.series(),
        }

    def _flushes(self) -> dict[str, Any]:
        per_second = self._history.rate("flushes")
        seconds = self._history.rate("flush_seconds")
        return {
            "per_second": per_second,
            "mean_seconds": seconds / per_second if per_second else None,
            "stages": [{"name": name, "share": share} for name, share in self._history.stage_shares().items()],
        }

    def _workers(self, status: Status) -> Iterator[dict[str, Any]]:
        cores, held = self._history.cpu(), defaultdict[int | None, list[PartitionStatus]](list)
        for at in status.partitions:
            held[at.worker].append(at)
        for worker in status.workers:
            yield self._worker(worker, held[worker.number], cores.get(worker.number))

    def _worker(self, worker: WorkerStatus, held: Sequence[PartitionStatus], cores: float | None) -> dict[str, Any]:
        pid, usage = self._history.latest.usage.get(worker.number, (None, None))
        if pid != worker.pid:  # another process, which has ended
            usage = None
        flush = worker.last_flush
        return {
            "number": worker.number,
            "pid": worker.pid,
            "state": worker.state.value,
            "trouble": worker.trouble or worker.last_error,
            "partitions": [at.number for at in held],
            "lag_messages": sum(at.lag or 0 for at in held),
            "memory_bytes": usage.memory_bytes if usage is not None else None,
            "memory_budget_bytes": self._settings.memory_bytes,
            "cpu_cores": cores if usage is not None else None,
            "read_at": worker.read_at,
            "committed_at": worker.committed_at,
            "flushed_at": flush.at if flush is not None else None,
            "flushed_sessions": flush.sessions if flush is not None else None,
            "flushed_bytes": flush.bytes_written if flush is not None else None,
            "restarts": worker.restarts,
        }


def _dependency(status: DependencyStatus) -> dict[str, Any]:
    return {
        "name": status.dependency.name,
        "title": status.dependency.title,
        "needed": status.dependency.needed,
        "text": str(status),
        "failing_seconds": status.failing_seconds,
        "problem": status.problem,
        "meanwhile": status.dependency.without,
        "workers": list(status.failing_for),
        "answered_at": status.answered_at,
        "round_trip_seconds": status.seconds,
    }


def _partition(at: PartitionStatus) -> dict[str, Any]:
    return {
        "number": at.number,
        "worker": at.worker,
        "committed": at.committed,
        "position": at.position,
        "end": at.high,
        "lag_messages": at.lag,
        "recorded_until": at.recorded_until or None,
        "note": at.note,
    }
