"""What faults led to, and the table of it that stands in docs/operate/reliability.md."""

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import confluent_kafka

from recording_worker import __version__
from tests.servers.kafka.distribution import version as kafka_version

PAGE = Path(__file__).parent.parent.parent / "docs" / "operate" / "reliability.md"
RUNS = Path(__file__).with_name("runs.jsonl")
"""The outcomes of each published run, a line each: the table is of all of them."""
FAULTS = "made by make faults"
SOAK = "made by make soak"
"""Sections of the page."""


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


def table(outcomes: Sequence[Outcome]) -> str:
    """A row a kind of fault, in Markdown."""
    head = ["| fault | times | hits | lost | doubled | recovery p50, s | max, s |", "|---|---|---|---|---|---|---|"]
    kinds = sorted({outcome.kind for outcome in outcomes})
    rows = [_row(kind, [outcome for outcome in outcomes if outcome.kind == kind]) for kind in kinds]
    return "\n".join([*head, *rows, _row("**all**", outcomes)])


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    seconds = [outcome.recovery for outcome in outcomes]
    lost, doubled = sum(outcome.lost for outcome in outcomes), sum(outcome.doubled for outcome in outcomes)
    figures = (len(outcomes), sum(outcome.hits for outcome in outcomes), lost, doubled)
    counted = " | ".join(f"{figure:,}" for figure in figures)
    return f"| {name} | {counted} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |"


def summary(outcomes: Sequence[Outcome]) -> str:
    """How much was done and counted."""
    wrong = sum(bool(outcome.wrong) for outcome in outcomes)
    messages = sum(outcome.messages for outcome in outcomes)
    return f"{len(outcomes)} faults, {messages:,} messages counted; faults after which anything was wrong: {wrong}."


def add_run(command: str, outcomes: Sequence[Outcome]) -> tuple[list[str], list[Outcome]]:
    """Add a run to those that were kept. Return what made each of them, and the outcomes of all."""
    with RUNS.open("a") as file:
        file.write(json.dumps({"made": made_by(command), "outcomes": [*map(asdict, outcomes)]}) + "\n")
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()]
    return [run["made"] for run in runs], [Outcome(**one) for run in runs for one in run["outcomes"]]


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
