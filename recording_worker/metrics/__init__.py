"""The metrics of a process, made from a catalogue: each file of this folder names the metrics of a group.

A process makes one `Metrics` and hands it to everything that counts. Increments are per batch, not per message.
docs/operate/metrics.md is made from the catalogue as well (tools/metrics_tables.py).
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from recording_worker.metrics.dependencies import DependencyMetrics
from recording_worker.metrics.family import Family, MadeFamily
from recording_worker.metrics.files import AllocatedDict
from recording_worker.metrics.flushes import FlushMetrics
from recording_worker.metrics.kafka import KafkaMetrics
from recording_worker.metrics.lookups import LookupMetrics
from recording_worker.metrics.merged import MergedMetrics
from recording_worker.metrics.messages import MessageMetrics
from recording_worker.metrics.processes import ProcessMetrics
from recording_worker.metrics.serving import ServingMetrics
from recording_worker.metrics.work import WorkMetrics

GROUPS: dict[str, type] = {
    "messages": MessageMetrics,
    "work": WorkMetrics,
    "flushes": FlushMetrics,
    "kafka": KafkaMetrics,
    "lookups": LookupMetrics,
    "processes": ProcessMetrics,
    "dependencies": DependencyMetrics,
    "serving": ServingMetrics,
}

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder of metrics. Processes that are started later inherit it."""


def families(group: type) -> Iterator[Family]:
    """Give the metrics of a group, in the order of the catalogue."""
    yield from (each for each in vars(group).values() if isinstance(each, Family))


class Metrics(
    MessageMetrics, WorkMetrics, FlushMetrics, KafkaMetrics, LookupMetrics, ProcessMetrics, DependencyMetrics
):
    """All metrics of one process.

    The processes of a service share them through a folder: each counts in files of its own there, and `served` reads
    the files of all.
    """

    def __init__(self, folder: str | None = None, process: str = "") -> None:
        """Make metrics that are kept in `folder`, in the files of `process`; without a folder, in memory only.

        A process with a folder makes only one `Metrics`, because prometheus_client has one setting for all.
        """
        self._folder = folder
        if folder is not None:
            # prometheus_client looks at both whenever it makes a metric
            os.environ[FOLDER_VARIABLE] = folder
            vars(values)["MmapedDict"] = AllocatedDict
            values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        for family in _made(*Metrics.__bases__):
            vars(self)[family.attribute] = family.make(self.registry)
        self.expect()

    @classmethod
    def of_worker(cls, folder: str, worker: int) -> Self:
        """Return the metrics of a worker. They continue what an earlier process of this worker counted."""
        return cls(folder, _process_of(worker))

    def expect(self, **values: Iterable[str]) -> None:
        """Serve each label set at 0 from now on, before it is counted.

        `values` are the values of labels that the catalogue does not list, by the label's name.
        """
        known = {label: [*texts] for label, texts in values.items()}
        for family in _made(*Metrics.__bases__):
            if family.labels and family.begins_at_0:
                for labels in family.label_sets(known):
                    vars(self)[family.attribute].labels(*labels)

    def served(self) -> CollectorRegistry:
        """Return what `/metrics` serves: the counts of all processes of the folder; without one, of this process."""
        if self._folder is None:
            return self.registry
        registry = CollectorRegistry()
        registry.register(MergedMetrics(self._folder))
        return registry

    def worker_ended(self, worker: int) -> None:
        """Stop serving what a worker said about its present state. Its counts stay."""
        if self._folder is not None:
            mark_process_dead(_process_of(worker), self._folder)  # type: ignore[no-untyped-call]


def counts_of_worker(folder: str, worker: int) -> dict[tuple[str, str], float]:
    """Return what one worker has counted: (name of the series, the values of its labels) → value.

    Raises OSError if its files are gone.
    """
    files = [
        str(path) for path in Path(folder).glob(f"*_{_process_of(worker)}.db") if not path.name.startswith("gauge")
    ]
    if not files:
        raise FileNotFoundError(f"no metrics of worker {worker} in {folder}")
    merged = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value for metric in merged for sample in metric.samples
    }


class ServeMetrics(ServingMetrics):
    """All metrics of a process that serves blocks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for family in _made(ServingMetrics):
            vars(self)[family.attribute] = family.make(self.registry)


def _made(*groups: type) -> Iterator[MadeFamily[object]]:
    for group in groups:
        yield from (family for family in families(group) if isinstance(family, MadeFamily))


def _process_of(worker: int) -> str:
    return f"worker-{worker}"
