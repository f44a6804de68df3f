"""Let contenders read a load in turns, and sum up what they did."""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders.process import ContenderError
from benchmarks.end_to_end.contenders import Contender, Place
from benchmarks.end_to_end.figures import Run, StartUp, summary
from benchmarks.end_to_end.kafka import PinnedKafka, fill
from benchmarks.end_to_end.loads import Load
from benchmarks.end_to_end.machine import Cores
from benchmarks.end_to_end.storage import Storage

_EMPTY_TOPIC = "empty"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for all contenders."""

    runs: int
    partitions: int
    storage: Storage
    cores: Cores


def measure_load(load: Load, contenders: Sequence[Contender], conditions: Conditions) -> dict[str, object]:
    """Start a broker, fill a topic with the load, and return what each contender needs to read it.

    The contenders take turns. In each turn a contender is a new group and writes to a new folder. Raises ContenderError
    if one fails or leaves out messages, or if two find different events.
    """
    start_ups: dict[str, list[StartUp]] = {contender.name: [] for contender in contenders}
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    with (
        tempfile.TemporaryDirectory(prefix="end-to-end-") as temporary,
        PinnedKafka(Path(temporary) / "kafka", conditions.cores.broker) as kafka,
    ):
        kafka.create_output_topics()
        kafka.create_topic(_EMPTY_TOPIC, conditions.partitions)
        kafka.create_topic(load.shape, conditions.partitions)
        note(f"{load.shape}: {load.messages:,} messages of {load.sessions:,} sessions, {load.bytes / 1e6:,.0f} MB")
        fill(kafka.bootstrap_servers, load.shape, conditions.partitions, load)
        for turn in range(1, conditions.runs + 1):
            for contender in contenders:
                name = contender.name
                with _place(_EMPTY_TOPIC, kafka, conditions) as at:
                    start_ups[name].append(contender.start_up(at))
                with _place(load.shape, kafka, conditions) as at:
                    runs[name].append(contender.read(at))
                _check(runs, load)
                spent = runs[name][-1].cpu_seconds - start_ups[name][-1].cpu_seconds
                note(f"{load.shape}, round {turn} of {conditions.runs}: {name}, {spent:.1f} CPU seconds")
    figures = {name: summary(start_ups[name], runs[name], load.bytes) for name in runs}
    return {**load.describe(), "contenders": figures}


def note(text: str) -> None:
    print(f"end_to_end: {text}", file=sys.stderr, flush=True)


@contextmanager
def _place(topic: str, kafka: PinnedKafka, conditions: Conditions) -> Iterator[Place]:
    """Make a new place, and remove what was written there at the end."""
    with tempfile.TemporaryDirectory(prefix="end-to-end-") as temporary:
        folder = Path(temporary)
        yield Place(
            bootstrap_servers=kafka.bootstrap_servers,
            topic=topic,
            partitions=conditions.partitions,
            group=folder.name,
            folder=folder,
            cores=conditions.cores,
            storage=conditions.storage,
        )


def _check(runs: Mapping[str, Sequence[Run]], load: Load) -> None:
    """Raise ContenderError unless all runs have recorded all messages, and the same events."""
    for name, of_one in runs.items():
        for run in of_one:
            if run.messages != load.messages:
                raise ContenderError(f"{name} recorded {run.messages:,} of {load.messages:,} messages")
    if len({run.events for of_one in runs.values() for run in of_one}) > 1:
        found = {name: of_one[0].events for name, of_one in runs.items() if of_one}
        raise ContenderError(f"the contenders recorded different numbers of events: {found}")
