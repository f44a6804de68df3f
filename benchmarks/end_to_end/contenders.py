"""The contenders: the product with some settings, and the Node consumer. Each reads a whole topic as a new group."""

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.contenders.node import prepare_node
from benchmarks.end_to_end.consumer import ConsumerProcess
from benchmarks.end_to_end.figures import Histogram, Run, StartUp, histogram
from benchmarks.end_to_end.kafka import Group
from benchmarks.end_to_end.machine import Cores
from benchmarks.end_to_end.storage import Storage, environment_of
from recording_worker.settings.model import Settings

READ_SECONDS = 1800
"""The longest that a contender may take for a topic."""
_READY_SECONDS = 60
_NODE_CONSUMER = Path(__file__).parents[1] / "node" / "end_to_end.js"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender runs, what it reads, and where it writes."""

    bootstrap_servers: str
    topic: str
    partitions: int
    group: str
    folder: Path
    """A new one for each run."""
    cores: Cores
    storage: Storage

    @property
    def files(self) -> Path:
        """Where files go if the storage is local."""
        return self.folder / "files"

    def bytes_on_disk(self) -> int:
        return sum(path.stat().st_size for path in self.files.rglob("*") if path.is_file())


class Contender(Protocol):
    """Something that does the whole job."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def start_up(self, at: Place) -> StartUp:
        """Start it on an empty topic, and stop it once it has partitions."""

    def read(self, at: Place) -> Run:
        """Let it read its topic to the end."""


@dataclass(frozen=True, slots=True)
class Product:
    """`recording-worker run` with its default settings, except for these flags."""

    name: str
    flags: tuple[str, ...] = ()
    workers: int = 1
    python: str = sys.executable
    """The interpreter of the build to run."""

    def start_up(self, at: Place) -> StartUp:
        with self._running(at) as process:
            seconds = process.wait_for(lambda: _page(process, "readyz") is not None, "become ready", _READY_SECONDS)
            _page(process, "metrics")  # `read` takes its figures from there, which is no part of the job
            return StartUp(process.stop(), seconds)

    def read(self, at: Place) -> Run:
        with self._running(at) as process:
            seconds = _wait_until_read(process, at)
            metrics = _page(process, "metrics") or ""
            return Run(
                cpu_seconds=process.stop(),
                seconds=seconds,
                peak_rss=process.peak_rss,
                stored=at.bytes_on_disk() if at.storage.is_local else round(_total(metrics, "flushed_bytes_total")),
                messages=round(_total(metrics, "messages_total", 'disposition="ok"')),
                events=round(_total(metrics, "flushed_events_total")),
                commit_seconds=_buckets(metrics, "flush_seconds"),
                pause_seconds=_buckets(metrics, "loop_pause_seconds"),
            )

    @contextmanager
    def _running(self, at: Place) -> Iterator[ConsumerProcess]:
        storage = ["--storage-dir", str(at.files)] if at.storage.is_local else ["--storage", at.storage.url]
        command = [self.python, "-m", "recording_worker", "run", "--any-token", *storage]
        command += ["--bootstrap-servers", at.bootstrap_servers, "--topic", at.topic, "--group-id", at.group]
        command += ["--workers", str(self.workers), "--max-timestamp-diff-days", "99999"]
        command += ["--ops-port", "0", "--log-json"]
        with ConsumerProcess(
            self.name, [*command, *self.flags], at.folder, at.cores.consumer, environment_of(at.storage)
        ) as process:
            yield process


@dataclass(frozen=True, slots=True)
class Node:
    """The Node consumer, with the limits that the product has by default. It writes snappy blocks and no metadata."""

    name: str = "node"

    def start_up(self, at: Place) -> StartUp:
        with self._running(at) as process:
            seconds = process.wait_for(lambda: b"ready" in process.output.read_bytes(), "become ready", _READY_SECONDS)
            return StartUp(process.stop(), seconds)

    def read(self, at: Place) -> Run:
        with self._running(at) as process:
            seconds = _wait_until_read(process, at)
            cpu_seconds = process.stop()
            found: dict[str, Any] = json.loads(process.output.read_bytes().splitlines()[-1])
            return Run(
                cpu_seconds=cpu_seconds,
                seconds=seconds,
                peak_rss=process.peak_rss,
                stored=at.bytes_on_disk() if at.storage.is_local else found["stored"],
                messages=found["messages"],
                events=found["events"],
                commit_seconds=histogram(found["flush_seconds"]),
                pause_seconds=histogram(found["pause_seconds"]),
            )

    @contextmanager
    def _running(self, at: Place) -> Iterator[ConsumerProcess]:
        at.files.mkdir()
        node, _ = prepare_node()
        limits = Settings()
        settings = {
            "bootstrap_servers": at.bootstrap_servers,
            "topic": at.topic,
            "group": at.group,
            "folder": str(at.files) if at.storage.is_local else None,
            "poll_messages": limits.poll_messages,
            "poll_timeout": limits.poll_timeout,
            "fetch_queue_bytes": limits.budget.fetch_bytes,
            "max_batch_bytes": limits.budget.batch_bytes,
            "max_batch_age": limits.max_batch_age,
        }
        command = [node, str(_NODE_CONSUMER), json.dumps(settings)]
        with ConsumerProcess(self.name, command, at.folder, at.cores.consumer, environment_of(at.storage)) as process:
            yield process


def _wait_until_read(process: ConsumerProcess, at: Place) -> float:
    """Wait until the whole topic is committed. Return the seconds since the start. Raises ContenderError."""
    group = Group(at.bootstrap_servers, at.group, at.topic, at.partitions)
    try:
        return process.wait_for(group.has_read_all, "read its topic", READ_SECONDS)
    finally:
        group.close()


def _page(process: ConsumerProcess, name: str) -> str | None:
    """Return a page of the ops server; None if there is no server yet, or it says that it is not ready."""
    started = re.search(r'"url": ?"([^"]+)"', process.log.read_text(errors="replace"))
    if started is None:
        return None
    try:
        with urllib.request.urlopen(started[1] + name, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.URLError:
        return None


def _samples(metrics: str, name: str) -> list[tuple[str, float]]:
    """Return the labels, as written, and the value of each sample of a metric."""
    found = re.findall(rf"^recording_worker_{name}(\{{.*\}})? (\S+)$", metrics, re.MULTILINE)
    return [(labels, float(value)) for labels, value in found]


def _total(metrics: str, name: str, label: str = "") -> float:
    return sum(value for labels, value in _samples(metrics, name) if label in labels)


def _buckets(metrics: str, name: str) -> Histogram:
    buckets: Histogram = {}
    for labels, value in _samples(metrics, f"{name}_bucket"):
        bound = re.search(r'le="([^"]+)"', labels)
        assert bound is not None
        buckets[float(bound[1])] = buckets.get(float(bound[1]), 0) + value
    return buckets
