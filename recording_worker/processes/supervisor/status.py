"""Status: what the supervisor shows of itself, as of one turn of its loop."""

from dataclasses import dataclass

from recording_worker.processes.supervisor.board import DependencyStatus
from recording_worker.processes.supervisor.slot import LastFlush, WorkerState


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One owned partition."""

    number: int
    worker: int | None
    """The worker that reads it, or None while none does."""
    committed: int | None
    position: int | None
    """Next offset to read."""
    high: int | None
    """The log's end."""
    stopped: str
    """Why it is not read any more; empty while it is."""
    isolated: bool
    """Whether it is read message by message."""
    recorded_until: int = 0
    """The second since 1970 in which Kafka got the latest message that was delivered; 0 if that is not known."""
    behind_since: float | None = None
    """Kafka got what is not delivered yet at this time or later, seconds since 1970; None if that is not known."""

    @property
    def note(self) -> str:
        """What is special about it."""
        return self.stopped or ("isolated" if self.isolated else "")

    @property
    def lag(self) -> int | None:
        """Messages between the committed offset and the log's end, or None while that is not known."""
        if self.high is None or self.committed is None:
            return None
        return max(0, self.high - self.committed)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker's slot."""

    number: int
    pid: int | None
    state: WorkerState
    restarts: int
    last_flush: LastFlush | None
    """The last flush; None if there was none."""
    read_at: float | None = None
    """When it last read on, seconds since 1970."""
    committed_at: float | None = None
    """When the committed offset of a partition that it reads last moved, seconds since 1970."""
    silent_seconds: float = 0.0
    """For how long its loop has said nothing, though it takes orders."""
    trouble: str = ""
    """Why it is not ready; empty if it is."""
    last_error: str = ""
    """Why the last process ended or could not start; empty once there is another one."""


@dataclass(frozen=True, slots=True)
class RecentError:
    """Something that has gone wrong."""

    at: float
    """Seconds since 1970."""
    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """The supervisor as of `at`."""

    at: float
    """Monotonic seconds. If it gets old, the loop hangs."""
    reasons: tuple[str, ...] = ()
    """Why this host does not record now; none if it does."""
    workers: tuple[WorkerStatus, ...] = ()
    partitions: tuple[PartitionStatus, ...] = ()
    dependencies: tuple[DependencyStatus, ...] = ()
    memory_budget: int | None = None
    """Bytes that each worker may take; None if that is not known."""
    brokers_known: int = 0
    brokers_connected: int = 0
    committed_at: float | None = None
    """When a committed offset last moved, seconds since 1970."""
    errors: tuple[RecentError, ...] = ()
    """What has gone wrong lately, the latest last."""

    def lag_seconds(self, now: float) -> float | None:
        """Return for how long the oldest message that is not delivered has waited, at most; None if it is not known.

        `now` is in seconds since 1970.
        """
        behind = [at.behind_since for at in self.partitions if at.lag]
        known = [since for since in behind if since is not None]
        if not known:
            return None if behind else 0.0
        return max(0.0, now - min(known))

    @property
    def lag_messages(self) -> int:
        """Messages between the committed offsets and the logs' ends, as far as is known."""
        return sum(at.lag or 0 for at in self.partitions)

    @property
    def recorded_until(self) -> int | None:
        """The second since 1970 up to which all partitions are recorded, as far as is known; None if nothing is known.

        Partitions that were read to their end don't hold it up.
        """
        behind = [at.recorded_until for at in self.partitions if at.lag != 0 and at.recorded_until]
        known = [at.recorded_until for at in self.partitions if at.recorded_until]
        return min(behind, default=None) or max(known, default=None)
