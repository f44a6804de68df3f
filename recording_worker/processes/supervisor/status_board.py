"""StatusBoard: gathers what the supervisor shows of itself."""

import time
from collections import Counter
from collections.abc import Iterable

from recording_worker.clock import Clock
from recording_worker.kafka.offsets import OffsetStore
from recording_worker.processes.control import Flushed
from recording_worker.processes.supervisor.crashes import CrashLog
from recording_worker.processes.supervisor.partitions import OwnedPartition
from recording_worker.processes.supervisor.pool import Slot
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus


class StatusBoard:
    """Told of flushes and ends of workers; `publish` makes the status, which other threads may read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._restarts: Counter[int] = Counter()
        self._last_flush: dict[int, str] = {}
        self._stale: dict[int, str] = {}
        """Worker → which of its teams or restrictions are too old."""
        self.status = Status(clock.monotonic(), "starting")
        """Replaced by every `publish`."""

    def flushed(self, worker: int, flush: Flushed) -> None:
        when = time.strftime("%H:%M:%S", time.gmtime(self._clock.now_ms() / 1000))
        self._last_flush[worker] = f"{when} UTC: {flush.sessions} sessions, {flush.bytes_written:,} bytes"

    def stale(self, worker: int, text: str) -> None:
        """Which teams or restrictions of a worker are too old, and why; empty where none are."""
        self._stale[worker] = text

    def worker_gone(self, worker: int) -> None:
        self._restarts[worker] += 1
        self._stale.pop(worker, None)

    def publish(
        self,
        slots: Iterable[Slot],
        partitions: Iterable[OwnedPartition],
        offsets: OffsetStore,
        crashes: CrashLog,
        not_ready: str,
    ) -> None:
        """`not_ready`: what keeps this host from recording, as the supervisor knows; empty where nothing does."""
        stale = next((f"worker {number}: {text}" for number, text in self._stale.items() if text), "")
        self.status = Status(
            at=self._clock.monotonic(),
            not_ready=not_ready or stale,
            workers=tuple(
                WorkerStatus(
                    number=slot.worker,
                    pid=slot.pid,
                    state="running" if slot.ready else "waiting" if slot.pid is None else "starting",
                    restarts=self._restarts[slot.worker],
                    last_flush=self._last_flush.get(slot.worker, ""),
                )
                for slot in slots
            ),
            partitions=tuple(
                PartitionStatus(
                    number=at.number,
                    worker=at.holder,
                    committed=offsets.committed_offset(at.number),
                    position=at.state.position if at.state else None,
                    high=at.state.high if at.state and at.state.high >= 0 else None,
                    stopped=at.stopped,
                    isolated=crashes.is_isolated(at.number),
                )
                for at in sorted(partitions, key=lambda at: at.number)
            ),
        )
