"""MergedMetrics: what all processes of a service count, put together."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import mmap_dict
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_LEAST_BYTES = 4096
"""How much of a file is read first, if it did not hold more the last time."""


class _Layout(NamedTuple):
    """What is where in a file of a process."""

    used_bytes: int = 0
    keys: Sequence[str] = ()
    places: Sequence[int] = ()
    """Where the value of each key is, counted in values."""


class _CountsFile:
    """A file in which a process counts. It is never replaced, and what is in it stays in its place. For any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._layout = _Layout()
        """As of the last time that it was read."""

    def read(self) -> Iterator[tuple[str, float]]:
        """Read it. Return the key and the value of each entry."""
        layout = self._layout
        with self._path.open("rb", buffering=0) as file:
            content = file.read(max(layout.used_bytes, _LEAST_BYTES))
            used = int.from_bytes(content[:4], sys.byteorder)
            if used > len(content):
                content += file.read(used - len(content))
        if used != layout.used_bytes:
            entries = [*mmap_dict._read_all_values(content, used)]  # type: ignore[no-untyped-call]  # noqa: SLF001 - it has no public name
            keys = [sys.intern(key) for key, *_ in entries]  # most are in the files of all workers
            layout = self._layout = _Layout(used, keys, [at // 8 for *_, at in entries])
        values = memoryview(content)[:used].cast("d")
        return zip(layout.keys, map(values.__getitem__, layout.places), strict=True)


class MergedMetrics(Collector):
    """Reads the files of all processes in a folder.

    prometheus_client's own collector makes a sample of each entry of each file, and then adds them up. Here entries of
    one name are added up first. Most entries are in the files of all workers, so it makes far fewer samples. It also
    remembers where in a file the entries are.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._files: dict[str, _CountsFile] = {}
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
            for key, value in self._files.setdefault(file.name, _CountsFile(file)).read():
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
