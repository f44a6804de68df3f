"""A bench from its files to its results, a JSON document."""

import os
import platform
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recording_worker import __version__
from recording_worker._native import SIMDJSON_IMPLEMENTATION
from recording_worker.bench.cases import YARDSTICK, Measured
from recording_worker.bench.load import SIZES, cut, read_load
from recording_worker.bench.processes import scaling, steady
from recording_worker.bench.turns import interval, measure, ratio_interval, spread
from recording_worker.errors import ConfigError
from recording_worker.settings.model import Settings

FORMAT = "recording-worker-bench/1"
STAGES = ("decode", "unpack", "record", "compress", "everything else")
Results = dict[str, Any]

_NOISY = 0.05
"""The spread of the yardstick from which on the machine counts as too noisy."""
_SAME_MACHINE = 0.03
"""How far two benches' yardsticks may differ before a difference may be the machine's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure with."""

    settings: Settings
    paths: Sequence[Path]
    max_bytes: int
    """The most bytes of values that are read."""
    rounds: int
    workers: int


def run(plan: Plan, advance: Callable[[float, int], None]) -> Results:
    """Measure. `advance` gets the share of the work since its last call. Raises WorkerError."""
    load = read_load(plan.paths, plan.max_bytes)
    sized = {size: made for size in SIZES if (made := cut(load.messages, size))}
    with closing(Measured(plan.settings, load.messages, sized)) as measured:
        rounds = measure(measured.cases, plan.rounds, lambda: advance(0.6 / plan.rounds, 0))
    scaled = scaling(plan.settings, plan.paths, plan.max_bytes, plan.workers)
    advance(0.25, 0)
    long = steady(plan.settings, plan.paths, plan.max_bytes)
    advance(0.15, 0)
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    return {
        "format": FORMAT,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "data": {
            "files": [path.name for path in plan.paths] or ["made-up traffic"],
            "messages": measured.messages,
            "recorded": measured.recorded,
            "left_out": load.left_out,
            "bytes": measured.bytes,
            "fingerprint": load.fingerprint,
        },
        "noise": _noise(rounds[YARDSTICK]),
        "no_dictionary": measured.no_dictionary,
        "cases": {name: _case(values) for name, values in rounds.items()},
        "stages": {
            "zstd": _stages(medians, "zstd", unpack=True),
            "snappy": _stages(medians, "snappy", unpack=False),
        },
        "sizes": [
            {
                "bytes": round(statistics.mean(len(message.value or b"") for message in made)),
                "mb_per_s": round(1000 / medians[f"size {size}"], 1),
            }
            for size, made in sized.items()
        ],
        "codecs": [
            {"name": name, "cpu_s_per_gb": round(medians[name], 4), "stored_share": round(share, 5)}
            for name, share in measured.stored.items()
        ],
        "workers": scaled,
        "steady": long,
    }


def _machine() -> dict[str, object]:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "cpu": found[1] if found else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": SIMDJSON_IMPLEMENTATION,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "recording_worker": __version__,
    }


def _case(rounds: Sequence[float]) -> dict[str, object]:
    low, high = interval(rounds)
    median = statistics.median(rounds)
    return {
        "cpu_s_per_gb": round(median, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "rounds": [round(value, 4) for value in rounds],
    }


def _noise(yardstick: Sequence[float]) -> dict[str, object]:
    share = spread(yardstick)
    text = f"The machine was quiet: a loop that always does the same differed by {share:.1%} between the middle rounds."
    if share >= _NOISY:
        text = (
            f"The machine was too noisy: a loop that always does the same differed by {share:.0%} between the middle"
            " rounds. Run the bench again when nothing else runs, and don't trust small differences."
        )
    return {"spread": round(share, 4), "too_noisy": share >= _NOISY, "text": text}


def _stages(medians: Mapping[str, float], codec: str, *, unpack: bool) -> dict[str, float]:
    """Divide what the whole work costs, CPU seconds per GB. What a difference says is 0 if noise makes it negative."""
    parts = [
        medians["decode"],
        max(0.0, medians["decode and unpack"] - medians["decode"]) if unpack else 0.0,
        medians["record"],
        medians[f"compress {codec}"],
    ]
    parts.append(max(0.0, medians[f"whole {codec}"] - sum(parts)))
    return {stage: round(part, 4) for stage, part in zip(STAGES, parts, strict=True)}


def compare(new: Results, old: Results) -> dict[str, Any]:
    """Compare two benches of the same messages, case by case. Raises ConfigError if they can't be compared.

    A case is faster or slower if the 95 % interval of the ratio of its medians leaves out 1, and both machines' speeds
    are as good as equal.
    """
    if old.get("format") != FORMAT:
        raise ConfigError("the older bench is no result of `bench --json`, or of another version")
    if old["data"]["fingerprint"] != new["data"]["fingerprint"]:
        raise ConfigError("the older bench was made of other messages, so the two can't be compared")
    yardstick = new["cases"][YARDSTICK]["cpu_s_per_gb"] / old["cases"][YARDSTICK]["cpu_s_per_gb"]
    same = abs(yardstick - 1) <= _SAME_MACHINE and not new["noise"]["too_noisy"] and not old["noise"]["too_noisy"]
    cases: dict[str, dict[str, object]] = {}
    for name, case in new["cases"].items():
        if name == YARDSTICK or name not in old["cases"]:
            continue
        before = old["cases"][name]
        low, high = ratio_interval(case["rounds"], before["rounds"])
        verdict = "no difference seen"
        if high < 1 or low > 1:
            verdict = ("faster" if high < 1 else "slower") if same else "differs, or the machine does"
        ratio = case["cpu_s_per_gb"] / before["cpu_s_per_gb"]
        cases[name] = {"ratio": round(ratio, 4), "low": round(low, 4), "high": round(high, 4), "verdict": verdict}
    text = "Both times the machine was equally fast and quiet."
    if not same:
        text = (
            f"Nothing can be said for sure: the same loop cost {yardstick:.2f} times as much as in the older bench,"
            f" and differed by {old['noise']['spread']:.0%} within that one and by {new['noise']['spread']:.0%} now."
        )
    return {"made": old["made"], "recording_worker": old["machine"]["recording_worker"], "text": text, "cases": cases}
