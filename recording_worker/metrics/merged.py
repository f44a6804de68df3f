"""MergedMetrics: what all processes of a service count, put together."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector


class MergedMetrics(Collector):
    """Reads the files of all processes in a folder.

    prometheus_client's own collector makes a sample of each entry of each file, and then adds them up. Here entries of
    one name are added up first. Most entries are in the files of all workers, so it makes far fewer samples.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._known: dict[str, tuple[str, str, tuple[tuple[str, str], ...], str]] = {}
        """An entry's key as it stands in a file → name of the metric and of the series, labels, and help."""

    def collect(self) -> Iterator[Metric]:
        """Return all metrics, each with the values of all processes together."""
        files = sorted(self._folder.glob("*.db"))
        gauges = [str(file) for file in files if file.name.startswith("gauge_")]
        yield from MultiProcessCollector.merge(gauges)  # type: ignore[no-untyped-call]
        added = self._added(file for file in files if not file.name.startswith("gauge_"))
        yield from MultiProcessCollector._accumulate_metrics(added, True)  # type: ignore[no-untyped-call]  # noqa: SLF001 - it has no public name

    def _added(self, files: Iterable[Path]) -> dict[str, Any]:
        """Return name → metric. Histograms are not cumulative yet."""
        totals: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for file in files:
            of_kind = totals[file.name.partition("_")[0]]
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
                of_kind[key] += value
        metrics: dict[str, Any] = {}
        for kind, values in totals.items():
            for key, value in values.items():
                name, series, labels, meaning = self._parsed(key)
                if name not in metrics:
                    metrics[name] = Metric(name, meaning, kind)
                metrics[name].add_sample(series, labels, value)
        return metrics

    def _parsed(self, key: str) -> tuple[str, str, tuple[tuple[str, str], ...], str]:
        found = self._known.get(key)
        if found is None:
            name, series, labels, meaning = json.loads(key)
            found = self._known[key] = name, series, tuple(sorted(labels.items())), meaning
        return found
