"""The gate: `python -m benchmarks.instructions` fails if the core takes over 2 % more instructions than before."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from benchmarks.instructions.commits import built, last_commit_of
from benchmarks.instructions.count import ROOT, InstructionsError, count
from benchmarks.instructions.surroundings import surroundings

BASELINE = ROOT / "benchmarks/results/instructions.json"
LIMIT = 1.02


@click.command()
@click.option("--write", is_flag=True, help="Write the baseline again, for a change that is worth its instructions.")
def main(write: bool) -> None:
    """Count the instructions of the core's work on the sample, and compare them with the baseline."""
    try:
        found, here = count(), surroundings()
        if write:
            BASELINE.write_text(json.dumps({"surroundings": here, "counts": found}, indent=2) + "\n")
            return
        sys.exit(1 if judge(found, expected(BASELINE, here)) else 0)
    except InstructionsError as error:
        print(f"instructions: {error}", file=sys.stderr)
        sys.exit(2)


def expected(path: Path, here: Mapping[str, str]) -> dict[str, int]:
    """Return what the baseline counts. If it was counted with another compiler or library, count its commit here."""
    baseline = json.loads(path.read_text())
    other = [
        name for name in here.keys() | baseline["surroundings"] if here.get(name) != baseline["surroundings"].get(name)
    ]
    if other:
        print(
            f"instructions: the baseline was counted with another {', '.join(sorted(other))}: counting its commit here"
        )
        return count(built(last_commit_of(path)))
    counts: dict[str, int] = baseline["counts"]
    return counts


def judge(found: Mapping[str, int], wanted: Mapping[str, int]) -> list[str]:
    """Print a line per case, and return the cases that are over the limit."""
    over = [name for name in found if name in wanted and found[name] > wanted[name] * LIMIT]
    for name, number in found.items():
        before = wanted.get(name)
        change = "no baseline" if before is None else f"{number / before - 1:+.2%}"
        print(f"instructions: {name:18} {number:13,} {change}{'  over the limit' if name in over else ''}")
    if over:
        print(
            f"instructions: over +{LIMIT - 1:.0%}: {', '.join(over)}. If that is worth it, say why in the commit, and"
            " write the baseline again: python -m benchmarks.instructions --write"
        )
    return over


if __name__ == "__main__":
    main()
