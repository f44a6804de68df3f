"""What faults led to, and the tables of it that stand in docs/operate/reliability.md."""

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import confluent_kafka

from recording_worker import __version__
from tests.servers.kafka.distribution import version as kafka_version

PAGE = Path(__file__).parent.parent.parent / "docs" / "operate" / "reliability.md"
RUNS = Path(__file__).with_name("runs.jsonl")
"""The sums of each published run, a line each: the tables are of all of them."""
FAULTS = "made by make faults"
SOAK = "made by make soak"
"""Sections of the page."""

_STORAGES = {"folder": "files in a folder", "s3": "files in S3"}
_KEYS = {
    "postgres": "sessions encrypted, keys in PostgreSQL",
    "dynamodb": "sessions encrypted, keys in DynamoDB and KMS",
}
_STORES = {False: "teams in a file", True: "teams in PostgreSQL, sessions in Redis"}


@dataclass(slots=True)
class Outcome:
    """What a fault led to."""

    kind: str
    recovery: float
    """Seconds from the end of the fault until what was sent before it, in it and right after it is committed."""
    messages: int
    """Messages counted after it."""
    hits: int = 0
    """How much it has hit: see `kinds.Kind`."""
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)
    """All that is not as it should be, a line each; the lost and the doubled as well."""
    brokers: int = 1
    membership: str = ""
    storage: str = "folder"
    stores: bool = False
    """Whether teams came from PostgreSQL, and sessions from Redis."""
    keys: str = ""
    """The key store of sessions; empty if they were in the clear."""
    together: int = 1
    """How many faults happened together. Each has the recovery of all, and the first one has the counts."""


@dataclass(slots=True)
class Tally:
    """The sum of outcomes."""

    one_broker: int = 0
    three_brokers: int = 0
    """How many faults there were on one broker, and on three."""
    together: int = 0
    """How many of them overlapped with others, or happened in the recovery from others."""
    hits: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    messages: int = 0
    recovery: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Tally":
        tally = cls()
        for one in outcomes:
            tally.one_broker += one.brokers == 1
            tally.three_brokers += one.brokers > 1
            tally.together += one.together > 1
            tally.hits += one.hits
            tally.lost += one.lost
            tally.doubled += one.doubled
            tally.wrong += bool(one.wrong)
            tally.messages += one.messages
            tally.recovery.append(round(one.recovery, 1))
        return tally

    def add(self, more: "Tally") -> None:
        self.one_broker += more.one_broker
        self.three_brokers += more.three_brokers
        self.together += more.together
        self.hits += more.hits
        self.lost += more.lost
        self.doubled += more.doubled
        self.wrong += more.wrong
        self.messages += more.messages
        self.recovery += more.recovery

    def row(self, name: str) -> str:
        """A row of the table, in Markdown."""
        figures = (self.one_broker, self.three_brokers, self.together, self.hits, self.lost, self.doubled)
        counted = " | ".join(f"{figure:,}" for figure in figures)
        return f"| {name} | {counted} | {_seconds(statistics.median(self.recovery))} | {_seconds(max(self.recovery))} |"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if math.isfinite(seconds) else "never"


@dataclass(slots=True)
class Sums:
    """The sums of a run, or of several."""

    kinds: dict[str, Tally]
    surroundings: dict[str, Tally]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Sums":
        def by(names: Sequence[str]) -> dict[str, Tally]:
            return {
                name: Tally.of(one for one, its in zip(outcomes, names, strict=True) if its == name)
                for name in sorted({*names} - {""})
            }

        memberships = by([one.membership for one in outcomes])
        storages = by([_STORAGES[one.storage] for one in outcomes])
        stores = by([_STORES[one.stores] for one in outcomes])
        keys = by([_KEYS.get(one.keys, "") for one in outcomes])
        return cls(by([one.kind for one in outcomes]), memberships | storages | stores | keys)

    @classmethod
    def read(cls, sums: Mapping[str, Mapping[str, Mapping[str, object]]]) -> "Sums":
        def tallies(name: str) -> dict[str, Tally]:
            return {key: Tally(**value) for key, value in sums[name].items()}  # type: ignore[arg-type]  # see add_run

        return cls(tallies("kinds"), tallies("surroundings"))

    def add(self, more: "Sums") -> None:
        for mine, theirs in ((self.kinds, more.kinds), (self.surroundings, more.surroundings)):
            for name, tally in theirs.items():
                mine.setdefault(name, Tally()).add(tally)

    def lines(self) -> list[str]:
        """The tables, and how much was done and counted, in Markdown."""
        everything = Tally()
        for tally in self.kinds.values():
            everything.add(tally)
        columns = "one broker | three brokers | overlapping | hits | lost | doubled | recovery p50, s | max, s |"
        rule = "|---" * 9 + "|"
        counted = f"{everything.one_broker + everything.three_brokers} faults, {everything.messages:,} messages counted"
        return [
            f"| fault | {columns}",
            rule,
            *(tally.row(name) for name, tally in sorted(self.kinds.items())),
            everything.row("**all**"),
            "",
            "The same faults by what their rounds ran on:",
            "",
            f"| round | {columns}",
            rule,
            *(tally.row(name) for name, tally in sorted(self.surroundings.items())),
            "",
            f"{counted}; faults after which anything was wrong: {everything.wrong}.",
        ]


def add_run(command: str, outcomes: Sequence[Outcome]) -> tuple[list[str], Sums]:
    """Add a run to those that were kept. Return what made each of them, and the sums of all."""
    with RUNS.open("a") as file:
        file.write(json.dumps({"made": made_by(command), **asdict(Sums.of(outcomes))}) + "\n")
    return all_runs()


def all_runs() -> tuple[list[str], Sums]:
    """What made each of the runs that were kept, and the sums of all."""
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()]
    sums = Sums({}, {})
    for run in runs:
        sums.add(Sums.read(run))
    return [run["made"] for run in runs], sums


def made_by(command: str) -> str:
    """The command, the day and the versions."""
    librdkafka, _number = confluent_kafka.libversion()
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return (
        f"{command}, {day}; recording-worker {__version__}, Kafka {kafka_version()}, librdkafka {librdkafka},"
        f" Python {platform.python_version()}, {os.cpu_count()} cores"
    )


def publish(section: str, lines: Sequence[str]) -> None:
    """Write a section of the page between its markers."""
    text = PAGE.read_text()
    begin, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->"
    before, rest = text.split(begin)
    _old, after = rest.split(end)
    PAGE.write_text("\n".join([f"{before}{begin}{lines[0]}", *lines[1:], f"{end}{after}"]))
