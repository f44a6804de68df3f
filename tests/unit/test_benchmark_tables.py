"""Tables of benchmark results: made of the reports, and the pages hold them as they are made."""

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tables import PAGES, REGIONS, end_to_end_summary, end_to_end_tables, written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_holds_what_the_reports_say(page: Path) -> None:
    text = page.read_text()
    assert written(text) == text, "run `python -m benchmarks.tables`"


def test_each_region_is_on_a_page() -> None:
    found = [
        name for page in PAGES for name in re.findall(r"<!-- (\w+): python -m benchmarks\.tables -->", page.read_text())
    ]
    assert sorted(found) == sorted(REGIONS)


def test_what_is_typed_into_a_region_is_replaced() -> None:
    begin, end = "<!-- compare_summary: python -m benchmarks.tables -->", "<!-- /compare_summary -->"
    page = written(f"before\n{begin}\n{end}\nafter")
    assert page == written(page.replace("MB/s", "typed"))
    assert page.startswith(f"before\n{begin}\n\n|  |")
    assert page.endswith(f"|\n\n{end}\nafter")


def test_an_unknown_region_is_an_error() -> None:
    with pytest.raises(KeyError):
        written("<!-- unknown: python -m benchmarks.tables --><!-- /unknown -->")


def figures(**given: float | None) -> dict[str, Any]:
    usual = {
        "cpu_s": 20.0,
        "cpu_s_lowest": 18.0,
        "cpu_s_highest": 24.0,
        "cpu_s_per_gb": 10.0,
        "messages_per_cpu_s": 1_500,
        "start_up_cpu_s": 1.25,
        "wall_s": 30.0,
        "peak_rss_bytes": 500_000_000,
        "stored_bytes": 400_000_000,
        "commit_s_p50": 1.0,
        "commit_s_p99": 2.0,
        "pause_s_p99": None,
    }
    return usual | given


def report(**contenders: dict[str, Any]) -> dict[str, Any]:
    load = {"messages": 30_000, "sessions": 400, "bytes": 2_000_000_000, "contenders": contenders}
    machine = {"cpu": "Some CPU", "cores": 2, "load_at_start": 0.5, "load_at_end": 1.5}
    return {
        "machine": {**machine, "versions": {"python": "3.11", "node": None}},
        "settings": {"files": ["a.jsonl"], "workers": 1, "runs": 5},
        "loads": {"web": load, "small": load},
    }


def test_contenders_are_compared_with_node() -> None:
    given = report(node=figures(cpu_s=80.0, cpu_s_per_gb=40.0, stored_bytes=800_000_000), default=figures())
    rows = end_to_end_summary(given).splitlines()
    assert rows[2] == "| Node, snappy | 40.0 |  | 1,500 |  | 1.00 | 0.50 |"
    assert rows[3] == "| recording-worker, default settings | 10.0 | 4.0 | 1,500 | 4.0 | 0.50 | 0.50 |"


def test_without_node_the_figures_stand_alone() -> None:
    rows = end_to_end_tables(report(mine=figures())).splitlines()
    assert rows[0].startswith(
        "Some CPU, 2 cores, load average 0.5 at the start and 1.5 at the end; python 3.11; made of a.jsonl;"
    )
    assert "| mine | 10.0 (9.0 to 12.0) | 1,500 |  | 1.2 | 30.0 | 0.50 | 400 |  | 1.00 | 2.00 |  |" in rows
