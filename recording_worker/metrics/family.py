"""Family: what is written down about one metric, and how it is made of that."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Generic, Literal, Self, TypeVar, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.core import Metric

PREFIX = "recording_worker"
UNITS = {"timestamp_seconds": "seconds since 1970", "seconds": "seconds", "bytes": "bytes"}
"""The end of a name → the unit. Prometheus wants base units. A metric with another end counts things."""

Made = TypeVar("Made")
Mode = Literal["livesum", "livemin", "livemax"]
"""How what the processes say at present becomes one value. A process that has ended says nothing."""


@dataclass(frozen=True)
class Label:
    """A label of a metric. Its values are few, and nobody outside can make more of them."""

    name: str
    values: tuple[str, ...] = ()
    """All values, if they are known here."""
    bound: str = ""
    """What bounds them, for people; not needed if they are few enough to be listed."""


WORKER = Label("worker", bound="the numbers of the workers")
SIZES = tuple(4**power for power in range(4, 14))
"""Bounds of buckets for sizes: from 256 bytes to 64 MiB."""
PARTITION = Label("partition", bound="the partitions of the topic")


class BatchSummary(Summary):
    """A Summary that takes the observations of a whole batch in one call."""

    def observe_sum(self, count: int, total: int) -> None:
        """Observe `count` sizes, which add up to `total`."""
        self._count.inc(count)
        self._sum.inc(total)


class BatchHistogram(Histogram):
    """A Histogram that takes many observations in one call."""

    def observe_many(self, counted: Iterable[tuple[float, int]]) -> None:
        """Observe amounts, each as often as its count says."""
        counts, total = [0] * len(self._buckets), 0.0
        for amount, count in counted:
            counts[bisect_left(self._upper_bounds, amount)] += count
            total += amount * count
        self.observe_counts(counts, total)

    def observe_counts(self, counts: Iterable[int], total: float) -> None:
        """Observe amounts that are counted by bucket already, and add up to `total`."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)

    def observe_all(self, amounts: Iterable[float]) -> None:
        """Observe several amounts. That is quick for thousands of them."""
        ordered = sorted(amounts)
        self._sum.inc(sum(ordered))
        below = 0
        for bound, bucket in zip(self._upper_bounds, self._buckets, strict=True):
            within = bisect_right(ordered, bound)
            if within > below:
                bucket.inc(within - below)
            below = within


class Family:
    """One metric of the catalogue."""

    kind: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ("",)
    """What the names of its series have after its name."""

    def __init__(self, name: str, meaning: str, *labels: Label) -> None:
        """`name` is without what all names begin with, and `meaning` is Markdown."""
        self.name = f"{PREFIX}_{name}"
        self.meaning = meaning
        self.labels = labels

    @property
    def series(self) -> list[str]:
        """The names of its series."""
        return [self.name + part for part in self.parts]

    @property
    def unit(self) -> str:
        """The unit, for people; empty for a number of things."""
        return next((unit for end, unit in UNITS.items() if self.name.endswith(f"_{end}")), "")

    @property
    def help(self) -> str:
        """What /metrics says that it means."""
        return self.meaning.replace("`", "")

    @property
    def label_names(self) -> list[str]:
        return [label.name for label in self.labels]


class StatusFamily(Family):
    """A gauge that the supervisor serves of what it knows at the moment."""

    kind = "gauge"

    def collect(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """Return the metric with these values, by the values of the labels."""
        metric = Metric(self.name, self.help, self.kind)
        for labels, value in values.items():
            metric.add_sample(self.series[0], dict(zip(self.label_names, labels, strict=True)), value)
        return metric


class StatusCounterFamily(StatusFamily):
    """A counter of the same kind: somebody else counts."""

    kind = "counter"
    parts = ("_total",)


class MadeFamily(Family, Generic[Made]):
    """A metric that a `Metrics` makes once. There the attribute is what `make` has made."""

    begins_at_0: ClassVar[bool] = True
    """Whether 0 is right before anything is counted or measured."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Made: ...
    def __get__(self, instance: object | None, owner: type) -> Self | Made:
        return self  # an attribute of the instance goes before this one

    def make(self, registry: CollectorRegistry) -> Made:
        """Make the metric, and register it."""
        raise NotImplementedError

    def label_sets(self, known: Mapping[str, Iterable[str]]) -> Iterable[tuple[str, ...]]:
        """Return the values of the labels that are served from the start, at 0.

        `known` gives values of labels which the catalogue doesn't list.
        """
        return product(*(label.values or known.get(label.name, ()) for label in self.labels))


class CounterFamily(MadeFamily[Counter]):
    kind = "counter"
    parts = ("_total",)

    def __init__(self, name: str, meaning: str, *labels: Label, sets: Iterable[tuple[str, ...]] | None = None) -> None:
        """`sets`: the values of the labels that occur together, if not all of them do."""
        super().__init__(name, meaning, *labels)
        self._sets = None if sets is None else [*sets]

    def label_sets(self, known: Mapping[str, Iterable[str]]) -> Iterable[tuple[str, ...]]:
        return super().label_sets(known) if self._sets is None else self._sets

    def make(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name, self.help, self.label_names, registry=registry)


class SummaryFamily(MadeFamily[BatchSummary]):
    kind = "summary"
    parts = ("_sum", "_count")

    def make(self, registry: CollectorRegistry) -> BatchSummary:
        return BatchSummary(self.name, self.help, self.label_names, registry=registry)


class HistogramFamily(MadeFamily[BatchHistogram]):
    kind = "histogram"
    parts = ("_bucket", "_sum", "_count")

    def __init__(self, name: str, meaning: str, *labels: Label, buckets: Sequence[float]) -> None:
        super().__init__(name, meaning, *labels)
        self.buckets = buckets

    def make(self, registry: CollectorRegistry) -> BatchHistogram:
        return BatchHistogram(self.name, self.help, self.label_names, registry=registry, buckets=self.buckets)


class GaugeFamily(MadeFamily[Gauge]):
    kind = "gauge"
    begins_at_0 = False

    def __init__(self, name: str, meaning: str, *labels: Label, mode: Mode = "livesum") -> None:
        super().__init__(name, meaning, *labels)
        self.mode = mode

    def make(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.name, self.help, self.label_names, registry=registry, multiprocess_mode=self.mode)
