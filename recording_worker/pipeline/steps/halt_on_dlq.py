"""halt_on_dlq: halts a partition before a worker that can't read its messages sends all of them to the DLQ."""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step
from recording_worker.recording.session_batch import SessionBatchManager

_UNREAD = frozenset(
    {
        Reason.EVENT_DROPPED_BY_RESTRICTION,
        Reason.REDIRECTED_BY_RESTRICTION,
        Reason.OVERFLOW_FORCED,
        Reason.OVERFLOW_HOT_SESSION,
        Reason.LAG_SHED,
    }
)
"""Reasons that operators asked for. They don't say whether this worker can read the message."""


@dataclass(slots=True)
class _Recent:
    """How the last messages of a partition ended."""

    in_a_row: int = 0
    """How many of the last messages, without a gap, were for the DLQ."""
    window: deque[bool] = field(default_factory=deque)
    """Whether each of the last messages was for the DLQ."""
    in_window: int = 0
    """How many in the window were for the DLQ."""


class DlqLimits:
    """How many messages of a partition may be for the DLQ: a number in a row, or a share of the last `window` ones.

    Messages that a restriction or a relief step ended before they were read are left out. The share applies once this
    worker has read `window` messages of the partition.
    """

    def __init__(self, *, consecutive: int | None, ratio: float | None, window: int) -> None:
        self._consecutive = consecutive
        self._ratio = ratio
        self._window = window
        self._recent: dict[int, _Recent] = {}

    @property
    def are_set(self) -> bool:
        return self._consecutive is not None or self._ratio is not None

    def passed(self, batch: MessageBatch) -> dict[int, tuple[str, int, str]]:
        """Count the rows. Return partition → (limit, row, text) for the partitions that pass a limit at that row."""
        found: dict[int, tuple[str, int, str]] = {}
        for row, (partition, disposition) in enumerate(zip(batch.partitions, batch.dispositions, strict=True)):
            if partition in found or (disposition and batch.reasons[row] in _UNREAD):
                continue
            recent = self._recent.setdefault(partition, _Recent())
            for_dlq = disposition == Disposition.DLQ
            recent.in_a_row = recent.in_a_row + 1 if for_dlq else 0
            if recent.in_a_row == self._consecutive:
                found[partition] = "consecutive", row, f"{recent.in_a_row:,} messages in a row"
            elif self._ratio is not None and self._is_over_ratio(recent, self._ratio, for_dlq):
                found[partition] = "ratio", row, f"{recent.in_window:,} of the last {self._window:,} messages"
        return found

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop what was counted for these partitions."""
        for partition in partitions:
            self._recent.pop(partition, None)

    def _is_over_ratio(self, recent: _Recent, ratio: float, for_dlq: bool) -> bool:
        recent.window.append(for_dlq)
        recent.in_window += for_dlq
        if len(recent.window) > self._window:
            recent.in_window -= recent.window.popleft()
        return len(recent.window) == self._window and recent.in_window > ratio * self._window


class HaltOnDlq(Step):
    """Reads dispositions and reasons; sets `halts`, and holds back all rows of a partition that passes a limit.

    Discards what the session batch holds for the partition, because it is not flushed yet: so few of the messages get
    to the DLQ, and all are read again from the committed offset. Never blocks.
    """

    name = "halt_on_dlq"

    def __init__(self, limits: DlqLimits, manager: SessionBatchManager, metrics: Metrics) -> None:
        self._limits = limits
        self._manager = manager
        self._metrics = metrics

    def run(self, batch: MessageBatch) -> None:
        for partition, (limit, row, what) in self._limits.passed(batch).items():
            reason, (step, error) = Reason(batch.reasons[row]), batch.why(row)
            last = f"; the last one for {reason.label}, by {step}: {error}" if reason else ""
            why = (
                f"partition {partition} halted at offset {batch.offsets[row]}: {what} are for the DLQ"
                f" (dlq_halt_{limit}){last}. Nothing from the committed offset on counts"
            )
            batch.halt(partition, why)
            self._manager.discard_partitions([partition])
            self._metrics.dlq_halts.labels(limit).inc()

    def forget(self, partitions: Collection[int]) -> None:
        self._limits.forget(partitions)
