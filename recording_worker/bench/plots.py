"""The plots of a report, as SVG. Their colours are names of CSS variables, so that a page can be light or dark."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recording_worker.bench.run import STAGES, Results

_INK, _SOFT, _GRID = "#010203", "#010204", "#010205"
_SERIES = ("#010211", "#010212", "#010213", "#010214", "#010215")
_VARIABLES = {
    _INK: "var(--text)",
    _SOFT: "var(--soft)",
    _GRID: "var(--line)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES, start=1)},
}
"""Colours that stand for variables until the SVG is written."""
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recording-worker",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _SOFT,
    "axes.edgecolor": _GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _GRID,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "legend.frameon": False,
}


def plots(results: Results) -> dict[str, str]:
    """Return the name of each plot → its SVG."""
    drawn: dict[str, Callable[[Axes, Results], None]] = {
        "stages": _stages,
        "sizes": _sizes,
        "codecs": _codecs,
        "workers": _workers,
        "memory": _memory,
        "latency": _latency,
    }
    return {name: _svg(draw, results) for name, draw in drawn.items()}


def _svg(draw: Callable[[Axes, Results], None], results: Results) -> str:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.2, 3.5), layout="constrained")
        draw(figure.add_subplot(), results)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"(<svg[^>]*?) width=\"[^\"]*\"", r"\1", svg, count=1)
    return re.sub(r"(<svg[^>]*?) height=\"[^\"]*\"", r"\1", svg, count=1)


def _stages(axes: Axes, results: Results) -> None:
    names = list(results["stages"])
    left = [0.0] * len(names)
    for stage, colour in zip(STAGES, _SERIES, strict=True):
        widths = [results["stages"][name][stage] for name in names]
        axes.barh(names, widths, left=left, color=colour, label=stage, height=0.55)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("CPU seconds per GB of uncompressed messages")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=5, handlelength=1, columnspacing=1)
    axes.invert_yaxis()


def _sizes(axes: Axes, results: Results) -> None:
    sizes = results["sizes"]
    axes.plot([each["bytes"] for each in sizes], [each["mb_per_s"] for each in sizes], "o-", color=_SERIES[0])
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("bytes of a message, uncompressed")
    axes.set_ylabel("MB/s on one core, decode and record")


def _codecs(axes: Axes, results: Results) -> None:
    groups: dict[str, list[dict[str, Any]]] = {"zstd": [], "zstd with dictionary": [], "snappy": []}
    for each in results["codecs"]:
        kind = "snappy" if each["name"] == "snappy" else "zstd"
        groups["zstd with dictionary" if "dictionary" in each["name"] else kind].append(each)
    for (name, points), colour in zip(groups.items(), _SERIES, strict=False):
        if not points:
            continue
        x = [each["cpu_s_per_gb"] for each in points]
        y = [100 * each["stored_share"] for each in points]
        axes.plot(x, y, "o-", color=colour, label=name)
        for each, across, up in zip(points, x, y, strict=True):
            level = "" if name == "snappy" else each["name"].split()[1]
            axes.annotate(level, (across, up), textcoords="offset points", xytext=(3, 5), color=_SOFT, fontsize=8)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("CPU seconds per GB of lines")
    axes.set_ylabel("stored, % of the lines")
    axes.legend()


def _workers(axes: Axes, results: Results) -> None:
    points = results["workers"]
    counts = [point["workers"] for point in points]
    first = points[0]
    ideal, bare = counts, [point["bare"] / first["bare"] for point in points]
    axes.plot(counts, ideal, "--", color=_SOFT, label="as many times as workers")
    axes.plot(counts, bare, "s-", color=_SERIES[1], label="what the machine gives at most")
    done = [point["mb_per_s"] / first["mb_per_s"] for point in points]
    axes.plot(counts, done, "o-", color=_SERIES[0], label="workers")
    axes.set_xticks(counts)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("workers, each on a core of its own")
    axes.set_ylabel("times the rate of one")
    axes.legend()


def _memory(axes: Axes, results: Results) -> None:
    samples: Sequence[Sequence[float]] = results["steady"]["memory_mb"]
    axes.plot([each[0] for each in samples], [each[1] for each in samples], color=_SERIES[0])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("MB of a worker at full speed")


def _latency(axes: Axes, results: Results) -> None:
    for name, label, colour in (("poll_ms", "a poll", _SERIES[0]), ("flush_ms", "a flush", _SERIES[1])):
        found = results["steady"][name]
        if found:
            axes.plot(list(found), list(found.values()), "o-", color=colour, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("percentile")
    axes.set_ylabel("milliseconds")
    axes.legend()
