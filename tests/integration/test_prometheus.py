"""What Prometheus' own tool says of our rules and metrics, and when each alert fires."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recording_worker.metrics import GROUPS, families

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "recording-worker.json"
RULES = ROOT / "deploy" / "prometheus"
ALERTS = (RULES / "alerts.yml").read_text()
NAMES = re.findall(r"- alert: (\w+)", ALERTS)
SERIES = {series for group in GROUPS.values() for family in families(group) for series in family.series}
AT = '{job="recording-worker",instance="a"'

QUIET = {
    "up": "1x60",
    "lag_messages partition=0": "20000-300x60",
    "dependency_failing_seconds dependency=kafka": "0x60",
    "dependency_failing_seconds dependency=storage": "0x60",
    "dependency_failing_seconds dependency=key_store": "0x60",
    "dependency_failing_seconds dependency=sessions_redis": "0x60",
    "partitions_stopped": "0x60",
    "offsets_skipped_total partition=0": "5x60",
    "flush_failures_total": "3x60",
    "flush_seconds_bucket le=1.0": "0+9x60",
    "flush_seconds_bucket le=10.0": "0+10x60",
    "flush_seconds_bucket le=+Inf": "0+10x60",
    "dependency_failing_seconds dependency=restrictions_redis": "0x60",
    "dependency_failing_seconds dependency=teams_postgres": "0x60",
    "worker_restarts_total reason=killed": "2x60",
    "latency_seconds_bucket since=captured le=60.0": "0+100x60",
    "latency_seconds_bucket since=captured le=300.0": "0+101x60",
    "latency_seconds_bucket since=captured le=+Inf": "0+101x60",
    "messages_total disposition=ok": "0+1000x60",
    "messages_total disposition=dlq": "0+5x60",
    "records_too_large_total topic=dlq": "4x60",
    "records_refused_total topic=metadata error=POLICY_VIOLATION": "1x60",
    "store_read_timestamp_seconds store=teams": "0+60x60",
}
"""A service that has had troubles before, and has none now, by the minute."""

TROUBLES = {
    "Down": {"up": "1x30 0x30"},
    "KafkaSilent": {"dependency_failing_seconds dependency=kafka": "0x49 30+60x10"},
    "StorageFailing": {"dependency_failing_seconds dependency=storage": "0x49 30+60x10"},
    "KeyStoreFailing": {"dependency_failing_seconds dependency=key_store": "0x49 30+60x10"},
    "PartitionsStopped": {"partitions_stopped": "0x49 2x10"},
    "OffsetsSkipped": {"offsets_skipped_total partition=0": "0x49 120x10"},
    "FlushFailing": {"flush_failures_total": "0x49 1x10"},
    "FlushSlow": {"flush_seconds_bucket le=1.0": "0x60"},
    "WorkersRestarting": {"worker_restarts_total reason=killed": "0x49 1x10"},
    "LagGrows": {"lag_messages partition=0": "0+1000x60"},
    "RecordingsLate": {"latency_seconds_bucket since=captured le=60.0": "0+50x60"},
    "DlqGrows": {"messages_total disposition=dlq": "0+5x30 155+100x30"},
    "RecordsLeftOut": {"records_refused_total topic=metadata error=POLICY_VIOLATION": "_x49 1x10"},
    "StoresStale": {"store_read_timestamp_seconds store=teams": "0+60x10 600x50"},
    "RedisFailing": {"dependency_failing_seconds dependency=restrictions_redis": "0x40 30+60x20"},
    "PostgresFailing": {"dependency_failing_seconds dependency=teams_postgres": "0x40 30+60x20"},
}
"""Alert → what is different if it has to fire."""


def promtool(*arguments: str | Path, given: str = "") -> str:
    """Run promtool, and return what it says. Fails if it complains."""
    ended = subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def series(name: str, values: str) -> dict[str, str]:
    metric, *labels = name.split()
    full = metric if metric == "up" else f"recording_worker_{metric}"
    pairs = [f'{key}="{value}"' for key, value in (label.split("=", 1) for label in labels)]
    return {"series": f"{full}{','.join([AT, *pairs])}}}", "values": values}


def test_the_rules_are_in_order() -> None:
    said = promtool("check", "rules", *sorted(RULES.glob("*.yml")))
    assert f"{len(NAMES)} rules found" in said
    assert "duplicate" not in said


def test_rules_name_only_metrics_that_exist() -> None:
    used = set(re.findall(r"recording_worker_\w+", "".join(path.read_text() for path in RULES.glob("*.yml"))))
    assert used
    assert used <= SERIES


def test_each_alert_has_an_entry_in_the_runbook_and_a_test() -> None:
    runbook = (ROOT / "docs" / "operate" / "runbook.md").read_text()
    assert sorted(re.findall(r"^## (RecordingWorker\w+)", runbook, re.MULTILINE)) == sorted(NAMES)
    anchors = re.findall(r"runbook: docs/operate/runbook.md#(\w+)", ALERTS)
    assert anchors == [name.lower() for name in NAMES]
    assert sorted(f"RecordingWorker{name}" for name in TROUBLES) == sorted(NAMES)


def test_each_alert_fires_in_its_trouble_and_no_other(tmp_path: Path) -> None:
    cases = []
    for trouble, changes in {"": {}, **TROUBLES}.items():
        alerts = [f"RecordingWorker{trouble}"] if trouble else []
        cases.append(
            {
                "interval": "1m",
                "input_series": [series(name, values) for name, values in {**QUIET, **changes}.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "52m",
                        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts],
                    }
                ],
            }
        )
    file = tmp_path / "test.yml"  # JSON is YAML
    file.write_text(
        json.dumps({"rule_files": [str(RULES / "alerts.yml")], "evaluation_interval": "1m", "tests": cases})
    )
    promtool("test", "rules", file)


def expressions(panels: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for panel in panels:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def test_the_dashboard_asks_only_for_what_exists_and_its_questions_are_understood(tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [*expressions(dashboard["panels"])]
    assert len(asked) > 30
    assert set(re.findall(r"recording_worker_\w+", DASHBOARD.read_text())) <= SERIES
    labels = {label for group in GROUPS.values() for family in families(group) for label in family.label_names}
    by = {name for _, text in asked for names in re.findall(r"by \(([^)]+)\)", text) for name in names.split(", ")}
    assert by <= labels | {"le", "instance"}
    legends = set(re.findall(r"{{(\w+)}}", DASHBOARD.read_text()))
    assert legends <= labels | {"instance"}
    rules = [{"record": "asked", "expr": text.replace("$__rate_interval", "1m")} for _, text in asked]
    file = tmp_path / "rules.yml"
    named = [{**rule, "labels": {"number": str(number)}} for number, rule in enumerate(rules)]
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": named}]}))  # JSON is YAML
    promtool("check", "rules", file)


def test_panels_have_names_of_their_own_and_do_not_lie_on_each_other() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    squares = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(squares)) == len(squares)
    assert {x for x, _ in squares} == set(range(24))


SERVE = """
import sys
from prometheus_client import generate_latest
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.status_metrics import StatusCollector
from recording_worker.processes.supervisor.status import Status

metrics = Metrics(sys.argv[1], "supervisor")
registry = metrics.served()
registry.register(StatusCollector(lambda: Status(0.0)))
sys.stdout.buffer.write(generate_latest(registry))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a service serves that has counted nothing yet."""
    folder = tmp_path_factory.mktemp("metrics")
    return subprocess.check_output([sys.executable, "-c", SERVE, str(folder)], text=True)


def test_the_metrics_are_as_prometheus_wants_them(served: str) -> None:
    assert promtool("check", "metrics", given=served) == ""
