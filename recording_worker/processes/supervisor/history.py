"""History: the last 15 minutes of this host, for the status page."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from prometheus_client import CollectorRegistry

from recording_worker.clock import Clock
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition
from recording_worker.processes.supervisor.status import Status
from recording_worker.processes.supervisor.usage import Usage, usage_of

SAMPLE_SECONDS = 5.0
"""How often a sample is taken."""
_SAMPLES = 181
"""15 minutes, and one sample to begin with."""
_RATE_SAMPLES = 7
"""Rates are measured over the last half minute."""

_TOTALS = {
    Metrics.messages_received.series[0]: "messages",
    f"{Metrics.message_bytes.name}_sum": "bytes",
    Metrics.flushed_bytes.series[0]: "written_bytes",
    Metrics.flushed_events.series[0]: "events",
    f"{Metrics.flush_seconds.name}_sum": "flush_seconds",
    f"{Metrics.flush_seconds.name}_count": "flushes",
}
"""Series of metrics → the totals that are kept."""
_STAGES = f"{Metrics.flush_stage_seconds.name}_sum"
_MESSAGES = Metrics.messages.series[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was known at one moment."""

    at: float
    """Monotonic seconds."""
    lag_messages: int = 0
    lag_seconds: float | None = None
    totals: Mapping[str, float] = field(default_factory=dict)
    """What was counted since the start."""
    ended: Mapping[str, float] = field(default_factory=dict)
    """How messages ended (the label of the disposition) → how many since the start."""
    dlq: Mapping[str, float] = field(default_factory=dict)
    """Reason → messages for the DLQ since the start."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Stage of a flush → seconds since the start."""
    usage: Mapping[int, tuple[int, Usage]] = field(default_factory=dict)
    """Worker → its process id, and what that uses."""

    def grown(self, before: "Sample", total: str) -> float:
        """Return by how much a total has grown since an earlier sample."""
        return self.totals.get(total, 0.0) - before.totals.get(total, 0.0)

    @property
    def memory_bytes(self) -> int:
        """What the workers use together."""
        return sum(usage.memory_bytes for _, usage in self.usage.values())


class History:
    """Keeps 15 minutes of samples. One thread takes them, and any thread may read."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        """`registry` has what all processes of the service count."""
        self._registry = registry
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES)

    def take(self, status: Status) -> None:
        """Take a sample of the status, and of what all processes of the service count."""
        totals = dict.fromkeys(_TOTALS.values(), 0.0)
        ended, dlq, stages = defaultdict[str, float](float), dict[str, float](), dict[str, float]()
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name in _TOTALS:
                    totals[_TOTALS[sample.name]] += sample.value
                elif sample.name == _STAGES:
                    stages[sample.labels["stage"]] = sample.value
                elif sample.name == _MESSAGES and sample.value:
                    ended[sample.labels["disposition"]] += sample.value
                    if sample.labels["disposition"] == Disposition.DLQ.label:
                        dlq[sample.labels["reason"]] = sample.value
        usage = {each.number: (each.pid, usage_of(each.pid)) for each in status.workers if each.pid is not None}
        self._samples.append(
            Sample(
                at=self._clock.monotonic(),
                lag_messages=status.lag_messages,
                lag_seconds=status.lag_seconds(self._clock.now_ms() / 1000),
                totals=totals,
                ended=ended,
                dlq=dlq,
                stages=stages,
                usage={worker: (pid, used) for worker, (pid, used) in usage.items() if used is not None},
            )
        )

    @property
    def latest(self) -> Sample:
        """The last sample; an empty one before the first."""
        return self._samples[-1] if self._samples else Sample(self._clock.monotonic())

    def rate(self, total: str) -> float:
        """Return how fast a total has grown lately, per second."""
        recent = self._recent()
        return _rate(recent[0], recent[-1], total) if len(recent) > 1 else 0.0

    def cpu(self) -> dict[int, float]:
        """Return worker → how many cores it has used lately. A worker that has just begun is left out."""
        recent, cores = self._recent(), dict[int, float]()
        for worker, (pid, used) in self.latest.usage.items():
            known = [
                (sample.at, sample.usage[worker][1]) for sample in recent if sample.usage.get(worker, (0,))[0] == pid
            ]
            seconds = recent[-1].at - known[0][0]
            if seconds > 0:
                cores[worker] = (used.cpu_seconds - known[0][1].cpu_seconds) / seconds
        return cores

    def stage_shares(self) -> dict[str, float]:
        """Return stage of a flush → its share of the time of the flushes that ended lately, if it took any."""
        recent = self._recent()
        if not recent:
            return {}
        spent = {stage: at - recent[0].stages.get(stage, 0.0) for stage, at in recent[-1].stages.items()}
        whole = sum(spent.values())
        return {stage: seconds / whole for stage, seconds in spent.items() if seconds > 0}

    def recent_dlq(self) -> dict[str, float]:
        """Return reason → messages for the DLQ in the time that is kept."""
        if not self._samples:
            return {}
        before = self._samples[0].dlq
        return {reason: total - before.get(reason, 0.0) for reason, total in self.latest.dlq.items()}

    def series(self) -> dict[str, list[float | None]]:
        """Return what the status page draws, a value for each 5 s, the latest last."""
        samples = list(self._samples)
        pairs = list(pairwise(samples))
        later = samples[1:]
        return {
            "messages_per_second": [_rounded(_rate(*pair, "messages")) for pair in pairs],
            "bytes_per_second": [_rounded(_rate(*pair, "bytes")) for pair in pairs],
            "written_bytes_per_second": [_rounded(_rate(*pair, "written_bytes")) for pair in pairs],
            "lag_seconds": [None if each.lag_seconds is None else _rounded(each.lag_seconds) for each in later],
            "lag_messages": [each.lag_messages for each in later],
            "memory_bytes": [each.memory_bytes for each in later],
            "flushing": [_rounded(_rate(*pair, "flush_seconds")) for pair in pairs],
            "dlq_per_second": [_rounded(_dlq_rate(*pair)) for pair in pairs],
        }

    def _recent(self) -> Sequence[Sample]:
        return list(self._samples)[-_RATE_SAMPLES:]


def _rate(before: Sample, after: Sample, total: str) -> float:
    return max(0.0, after.grown(before, total)) / max(0.001, after.at - before.at)


def _dlq_rate(before: Sample, after: Sample) -> float:
    return max(0.0, sum(after.dlq.values()) - sum(before.dlq.values())) / max(0.001, after.at - before.at)


def _rounded(value: float) -> float:
    return round(value, 3)
