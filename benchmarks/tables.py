"""Tables of benchmark reports in Markdown."""

from typing import Any

Report = dict[str, Any]
"""What `benchmarks.end_to_end --json` prints."""

_TITLES = {
    "node": "Node",
    "snappy": "recording-worker, snappy",
    "default": "recording-worker, default (zstd, unpacked)",
}
_HEADINGS = (
    "CPU s per GB",
    "messages per CPU s",
    "of Node's CPU",
    "wall s",
    "peak memory of a worker, MB",
    "stored, of Node's",
    "commit p50, s",
    "commit p99, s",
    "pause p99, ms",
)


def end_to_end_table(report: Report) -> str:
    """Return a table for each load, below a line that names the machine."""
    return "\n\n".join([_machine(report), *(_load(name, load) for name, load in report["loads"].items())])


def _machine(report: Report) -> str:
    machine, versions = report["machine"], report["machine"]["versions"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_at_start']} at the start and "
        f"{machine['load_at_end']} at the end; {', '.join(f'{name} {text}' for name, text in versions.items() if text)}"
    )


def _load(name: str, load: dict[str, Any]) -> str:
    lines = [
        f"{name}: {load['messages']:,} messages of {load['sessions']:,} sessions, {load['bytes'] / 1e9:.2f} GB",
        "",
        f"| | {' | '.join(_HEADINGS)} |",
        f"|---|{'---|' * len(_HEADINGS)}",
    ]
    node = load["contenders"].get("node")
    for contender, figures in load["contenders"].items():
        cells = [
            f"{figures['cpu_s_per_gb']:.2f}",
            f"{figures['messages_per_cpu_s']:,}",
            f"{node['cpu_s'] / figures['cpu_s']:.1f} times less" if node and figures is not node else "",
            f"{figures['wall_s']:.0f}",
            f"{figures['peak_rss_bytes'] / 1e6:.0f}",
            f"{figures['stored_bytes'] / node['stored_bytes']:.2f}" if node else "",
            _number(figures["commit_s_p50"], 1, 2),
            _number(figures["commit_s_p99"], 1, 2),
            _number(figures["pause_s_p99"], 1000, 1),
        ]
        lines.append(f"| {_TITLES.get(contender, contender)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None, factor: float, digits: int) -> str:
    return "" if value is None else f"{value * factor:.{digits}f}"
