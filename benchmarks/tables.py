"""Write the tables of README and docs from the reports in benchmarks/results: `python -m benchmarks.tables`.

`benchmarks.end_to_end --json` and `benchmarks.compare --json` print these reports. A page has a region for each table,
between two comments, and nobody types between them.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Report = Mapping[str, Any]
"""What a benchmark prints with --json."""

_CONTENDERS = {
    "node": "Node, snappy",
    "snappy": "recording-worker, snappy",
    "default": "recording-worker, default settings",
}
_PARTS = {
    "take": "take the messages from Kafka (librdkafka, the network)",
    "decode": "decode them (headers, inflate, check, unpack with zstd, write lines)",
    "record": "gather them by session",
    "compress": "compress the blocks",
    "write": "write the files",
}
_DECODERS = {
    "native": "native core",
    "python": "plain Python (zlib, json)",
    "node": "Node (gunzip, JSON.parse, zod, JSON.stringify)",
    "floor": "a bare C++ loop that checks nothing",
}


def end_to_end_summary(report: Report) -> str:
    """Return what the whole job costs each contender: recordings as they are, and small messages."""
    web, small = report["loads"]["web"], report["loads"]["small"]
    rows = []
    for name, figures in web["contenders"].items():
        of_small = small["contenders"][name]
        rows.append(
            [
                _title(name),
                _number(figures["cpu_s_per_gb"], 1),
                _times_node(web, name),
                f"{of_small['messages_per_cpu_s']:,}",
                _times_node(small, name),
                _stored(web, name),
                _number(figures["peak_rss_bytes"], 1e-9, 2),
            ]
        )
    headings = (
        "CPU s per GB",
        "Node's / this",
        "small messages per CPU s",
        "this / Node's",
        "stored, of Node's",
        "memory of a worker, GB",
    )
    return f"{_table(headings, rows)}\n\n{machine_line(report)}"


def end_to_end_tables(report: Report) -> str:
    """Return all figures of a report: a line that names the machine, and a table for each load."""
    loads = "\n\n".join(_load(name, load) for name, load in report["loads"].items())
    return f"{machine_line(report)}\n\n{loads}"


def machine_line(report: Report) -> str:
    machine, settings = report["machine"], report["settings"]
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items() if text)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, load average {machine['load_at_start']} at the start and"
        f" {machine['load_at_end']} at the end; {versions}; made of {', '.join(settings['files'])};"
        f" {settings['workers']} worker, medians of {settings['runs']}."
    )


def _load(name: str, load: Report) -> str:
    headings = (
        "CPU s per GB",
        "messages per CPU s",
        "Node's CPU / this",
        "start-up, CPU s",
        "wall s",
        "memory of a worker, GB",
        "stored, MB",
        "of Node's",
        "commit p50, s",
        "commit p99, s",
        "pause p99, ms",
    )
    rows = [
        [
            _title(contender),
            f"{_number(figures['cpu_s_per_gb'], 1)} ({_spread(figures, load)})",
            f"{figures['messages_per_cpu_s']:,}",
            _times_node(load, contender),
            _number(figures["start_up_cpu_s"], 1),
            _number(figures["wall_s"], 1),
            _number(figures["peak_rss_bytes"], 1e-9, 2),
            f"{figures['stored_bytes'] / 1e6:,.0f}",
            _stored(load, contender),
            _number(figures["commit_s_p50"], 1, 2),
            _number(figures["commit_s_p99"], 1, 2),
            _number(figures["pause_s_p99"], 1000),
        ]
        for contender, figures in load["contenders"].items()
    ]
    size = f"{load['messages']:,} messages of {load['sessions']:,} sessions, {load['bytes'] / 1e6:,.0f} MB"
    return f"`{name}`: {size}\n\n{_table(headings, rows)}"


def _spread(figures: Report, load: Report) -> str:
    """Return the lowest and the highest of the rounds, CPU s per GB."""
    lowest, highest = (figures[name] / load["bytes"] * 1e9 for name in ("cpu_s_lowest", "cpu_s_highest"))
    return f"{lowest:.1f} to {highest:.1f}"


def _times_node(load: Report, name: str) -> str:
    """Return how often the CPU time of a contender fits into Node's."""
    node, own = load["contenders"].get("node"), load["contenders"][name]
    return "" if node is None or name == "node" else _number(node["cpu_s"] / own["cpu_s"], 1)


def _stored(load: Report, name: str) -> str:
    node = load["contenders"].get("node")
    return "" if node is None else f"{load['contenders'][name]['stored_bytes'] / node['stored_bytes']:.2f}"


def memory_curve(report: Report) -> str:
    """Return what a larger `memory` brings: each contender has another one, and the first has the default."""
    contenders = report["loads"]["web"]["contenders"]
    first = next(iter(contenders.values()))["stored_bytes"]
    rows = [
        [
            _title(name),
            _number(figures["peak_rss_bytes"], 1e-9, 2),
            _number(figures["stored_bytes"] / first, 1, 2),
            _number(figures["cpu_s_per_gb"], 1),
        ]
        for name, figures in contenders.items()
    ]
    table = _table(("memory of a worker, GB", "bytes stored", "CPU s per GB"), rows, "`memory`")
    return f"{table}\n\n{machine_line(report)}"


def parts_table(report: Report) -> str:
    """Return what each part of the whole job costs by itself, with each codec."""
    codecs = report["codecs"]
    costs = {name: {part: codec[part] for part in _PARTS} for name, codec in codecs.items()}
    rows = [[title, *(_number(cost[part], 1, 2) for cost in costs.values())] for part, title in _PARTS.items()]
    rows.append(["together", *(_number(sum(cost.values()), 1, 2) for cost in costs.values())])
    machine, settings, load = report["machine"], report["settings"], report["load"]
    made = f"{load['messages']:,} messages, {load['bytes'] / 1e6:,.0f} MB, made of {', '.join(settings['files'])}"
    line = f"{machine['cpu']}, {machine['cores']} cores; {made}; medians of {settings['runs']}."
    return f"{_table(tuple(codecs), rows, 'CPU s per GB')}\n\n{line}"


def compare_summary(report: Report) -> str:
    """Return what decode + record costs: the messages as they are, and small messages."""
    rows = [
        [
            title,
            f"{report[name]['mb_per_s']:,.0f}",
            f"{1000 / report[name]['mb_per_s']:.2f}",
            _ratio(report, "native_over_", name),
            f"{report['small'][name]['messages_per_s']:,.0f}",
            _ratio(report, "small_native_over_", name),
        ]
        for name, title in _DECODERS.items()
        if report[name] is not None
    ]
    return _table(("MB/s", "CPU s per GB", "native over it", "small messages/s", "native over it"), rows)


def compare_tables(report: Report) -> str:
    """Return a table for each of the two sets of messages."""
    sets = (
        ("the messages as they are", report, "native_over_"),
        ("small messages", report["small"], "small_native_over_"),
    )
    return "\n\n".join(
        _table(
            ("MB/s", "messages/s", "CPU s per GB", "native over it"),
            [
                [
                    title,
                    f"{rates[name]['mb_per_s']:,.0f}",
                    f"{rates[name]['messages_per_s']:,.0f}",
                    f"{1000 / rates[name]['mb_per_s']:.2f}",
                    _ratio(report, prefix, name),
                ]
                for name, title in _DECODERS.items()
                if rates[name] is not None
            ],
            corner,
        )
        for corner, rates, prefix in sets
    )


def _ratio(report: Report, prefix: str, name: str) -> str:
    value = report.get(f"{prefix}{name}")
    return "" if value is None else _number(value, 1, 1 if value >= 2 else 2)


def _title(contender: str) -> str:
    return _CONTENDERS.get(contender, contender)


def _number(value: float | None, factor: float, digits: int = 1) -> str:
    return "" if value is None else f"{value * factor:,.{digits}f}"


def _table(headings: tuple[str, ...], rows: list[list[str]], corner: str = "") -> str:
    lines = [f"| {' | '.join((corner, *headings))} |", f"|---|{'---|' * len(headings)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


REGIONS: Mapping[str, tuple[str, Callable[[Report], str]]] = {
    "end_to_end_summary": ("end_to_end", end_to_end_summary),
    "end_to_end_tables": ("end_to_end", end_to_end_tables),
    "parts_table": ("parts", parts_table),
    "memory_curve": ("memory", memory_curve),
    "compare_summary": ("compare", compare_summary),
    "compare_tables": ("compare", compare_tables),
}
"""Region → the report that its content is made of, and how."""
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "operate" / "deploying.md",
    ROOT / "docs" / "change" / "benchmarks.md",
)


def written(page: str) -> str:
    """Return the text of a page with all its regions written from the reports. Raises KeyError for unknown regions."""

    def region(found: re.Match[str]) -> str:
        report, render = REGIONS[found[1]]
        content = render(json.loads((RESULTS / f"{report}.json").read_text()))
        return f"<!-- {found[1]}: python -m benchmarks.tables -->\n\n{content}\n\n<!-- /{found[1]} -->"

    return re.sub(r"<!-- (\w+): python -m benchmarks\.tables -->.*?<!-- /\1 -->", region, page, flags=re.DOTALL)


def main() -> None:
    for page in PAGES:
        page.write_text(written(page.read_text()))


if __name__ == "__main__":
    main()
