"""Compare the native core with other decoders: `python -m benchmarks.compare FILE…`, see docs/change/benchmarks.md."""

import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.contenders.floor import build_floor
from benchmarks.contenders.node import prepare_node
from benchmarks.contenders.process import Contender, ContenderError, stay_on_one_core
from benchmarks.message_sets import SMALL_BYTES, load_messages, small_messages
from benchmarks.wire import WireMessage, write_wire
from recording_worker.errors import WorkerError

ROUND_SECONDS = 0.2
"""The least CPU seconds of a contender's turn."""
DESCRIPTIONS = {
    "native": "native core",
    "python": "plain Python",
    "node": "Node",
    "floor": "floor (bare C++ loop)",
}
Commands = dict[str, list[str | Path] | None]
"""How to start each contender; None for those that are not available here."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one contender achieves on one core."""

    mb_per_s: float
    """Million bytes of uncompressed message values per CPU second."""
    messages_per_s: float


Rates = dict[str, Rate | None]
"""By the contenders' names; None for those that are not available here."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--runs", type=click.IntRange(min=1), default=15, show_default=True, help="Rounds to take medians of.")
def main(files: tuple[Path, ...], as_json: bool, runs: int) -> None:
    """Compare decode + record on one core: native core, plain Python, Node, and a bare C++ loop as the floor.

    A FILE holds messages as JSON lines, plain or .zst, as `recording-worker ingest` reads them.
    """
    try:
        messages, left_out = load_messages(files)
        if not messages:
            raise ContenderError(f"no messages to compare with in {', '.join(map(str, files))}")
        if left_out:
            note(f"{left_out} messages left out: they have no value, or an encoding that not all contenders read")
        stay_on_one_core()
        commands = contender_commands()
        real, small = (
            measure(commands, message_set, runs, name)
            for name, message_set in (("the messages", messages), ("small messages", small_messages(messages)))
        )
    except (ContenderError, WorkerError) as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(1)
    if as_json:
        print(json.dumps(summary(real, small), indent=2))
    else:
        show(real, "The messages unchanged")
        show(small, f"Small messages, {SMALL_BYTES} bytes at most")


def note(text: str) -> None:
    print(f"compare: {text}", file=sys.stderr)


def contender_commands() -> Commands:
    """Return how to start each contender. Builds what must be built, and reports what is not available."""
    if importlib.util.find_spec("recording_worker._native") is None:
        raise ContenderError("the native core is not built: `make setup`, or `python setup.py build_ext --inplace`")
    commands: Commands = {
        "python": [sys.executable, "-m", "benchmarks.contenders.plain_python"],
        "node": None,
        "native": [sys.executable, "-m", "benchmarks.contenders.native_core"],
        "floor": None,
    }
    ready: dict[str, Callable[[], list[str | Path]]] = {
        "node": lambda: list(prepare_node()),
        "floor": lambda: [build_floor()],
    }
    for name, prepare in ready.items():
        try:
            commands[name] = prepare()
        except ContenderError as error:
            note(f"without {DESCRIPTIONS[name]}: {error}")
    return commands


def measure(commands: Commands, messages: Sequence[WireMessage], runs: int, what: str) -> Rates:
    """Return the contenders' rates over one set of messages: medians of rounds in which each has a turn.

    Raises ContenderError if their results differ.
    """
    rates: Rates = dict.fromkeys(commands)
    if not messages:
        note(f"no {what}: no event is small enough")
        return rates
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_wire(folder / "messages", messages)
        contenders = [
            stack.enter_context(Contender(name, command, folder / "messages"))
            for name, command in commands.items()
            if command is not None
        ]
        status = stack.enter_context(Console(stderr=True).status("")) if sys.stderr.isatty() else None
        seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
        found: dict[str, dict[str, Any]] = {}
        for turn in range(runs + 1):  # the first warms up
            for contender in contenders:
                if status is not None:
                    status.update(f"{what}, round {turn} of {runs}: {DESCRIPTIONS[contender.name]}")
                result = contender.run(ROUND_SECONDS)
                found[contender.name] = result
                if turn:
                    seconds[contender.name].append(result["seconds"])
        check_same(found, what)
        digests = {contender.digest() for contender in contenders if contender.name in ("native", "python")}
        if len(digests) > 1:
            raise ContenderError(f"{what}: native core and plain Python do not write the same events")
    for name, result in found.items():
        median = statistics.median(seconds[name])
        rates[name] = Rate(result["bytes"] / median / 1e6, len(messages) / median)
    return rates


def check_same(found: dict[str, dict[str, Any]], what: str) -> None:
    """Compare what the contenders found with what plain Python found. The floor only counts messages and bytes.

    Active milliseconds may differ by one per session, because of fractions of a millisecond.
    """
    expected = found["python"]
    if not expected["ok"]:
        raise ContenderError(f"{what}: none of the messages can be recorded")
    for name, result in found.items():
        for key in expected.keys() & result.keys() - {"seconds"}:
            tolerance = expected["sessions"] if key == "active_milliseconds" else 0
            if name != "floor" and abs(result[key] - expected[key]) > tolerance:
                raise ContenderError(f"{what}: {name} has {key} {result[key]:,}, plain Python {expected[key]:,}")


def over(rates: Rates, name: str) -> float | None:
    """Return the native core's rate divided by another contender's rate."""
    native, other = rates["native"], rates[name]
    return None if native is None or other is None else native.mb_per_s / other.mb_per_s


def summary(real: Rates, small: Rates) -> dict[str, object]:
    """Return the comparison as printed in JSON."""

    def rounded(rates: Rates) -> dict[str, object]:
        return {
            name: rate and {"mb_per_s": round(rate.mb_per_s, 1), "messages_per_s": round(rate.messages_per_s, 1)}
            for name, rate in rates.items()
        }

    def ratio(rates: Rates, name: str) -> float | None:
        value = over(rates, name)
        return None if value is None else round(value, 3)

    return {
        **rounded(real),
        "native_over_python": ratio(real, "python"),
        "native_over_node": ratio(real, "node"),
        "native_over_floor": ratio(real, "floor"),
        "small_native_over_python": ratio(small, "python"),
        "small_native_over_node": ratio(small, "node"),
        "small_native_over_floor": ratio(small, "floor"),
        "small": rounded(small),
    }


def show(rates: Rates, title: str) -> None:
    """Print one set's rates as a table."""
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("MB/s", "messages/s", "CPU s per GB", "native over it"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, description in DESCRIPTIONS.items():
        rate, ratio = rates[name], over(rates, name)
        if rate is None:
            table.add_row(description, "-", "-", "-", "-")
            continue
        times = "" if name == "native" or ratio is None else f"{ratio:.2f}"
        table.add_row(
            description, f"{rate.mb_per_s:,.1f}", f"{rate.messages_per_s:,.0f}", f"{1000 / rate.mb_per_s:.2f}", times
        )
    Console().print(table)


if __name__ == "__main__":
    main()
