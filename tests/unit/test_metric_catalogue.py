"""The catalogue of metrics: what its names and labels may be, and what is written of it elsewhere."""

import re
from enum import Enum
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from recording_worker.metrics import GROUPS, Metrics, families
from recording_worker.metrics.family import UNITS, CounterFamily, Family, MadeFamily
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps import track_lib_version
from recording_worker.recording.session_batch import FlushReason, Since

ROOT = Path(__file__).parents[2]
CATALOGUE = [family for group in GROUPS.values() for family in families(group)]
COUNTED = [
    family
    for group in Metrics.__bases__
    for family in families(group)
    if isinstance(family, MadeFamily) and family.begins_at_0
]
SERIES = {series for family in CATALOGUE for series in family.series}
CODE = "\n".join(
    path.read_text()
    for path in (ROOT / "recording_worker").rglob("*.py")
    if path.parent != ROOT / "recording_worker" / "metrics"
)
OTHER_UNITS = re.compile(r"_(ms|millis\w*|us|ns|minutes?|hours?|days?|k?b|[kmg]i?b|kilo\w*|mega\w*|percent|ratio)(_|$)")

each_family = pytest.mark.parametrize("family", CATALOGUE, ids=lambda family: family.name)


def test_names_are_given_once() -> None:
    assert len(SERIES) == sum(len(family.series) for family in CATALOGUE)


@each_family
def test_a_name_ends_in_a_base_unit_or_counts(family: Family) -> None:
    assert re.fullmatch(r"recording_worker(_[a-z0-9]+)+", family.name)
    assert not OTHER_UNITS.search(family.name)
    within = [unit for unit in ("seconds", "bytes") if unit in family.name.split("_")]
    assert bool(within) == bool(family.unit)
    assert not re.search("_(total|count|sum|bucket)$", family.name)


@each_family
def test_the_meaning_is_a_sentence(family: Family) -> None:
    assert re.fullmatch(r"[A-Z].*\.", family.meaning)
    assert "|" not in family.meaning
    assert not re.search(rf"({'|'.join(UNITS.values())}|KiB)\.$", family.meaning), "the unit is said already"


@each_family
def test_labels_are_bounded(family: Family) -> None:
    for label in family.labels:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", label.name)
        assert label.values or label.bound
        assert len(label.values) <= 6 or label.bound, "too many to be listed on the page"


@each_family
def test_every_metric_is_used(family: Family) -> None:
    attributes = [name for group in GROUPS.values() for name, each in vars(group).items() if each is family]
    assert re.search(rf"(metrics|Metrics)\.{attributes[0]}\b", CODE)


def test_the_labels_have_the_values_that_are_counted() -> None:
    def values(family: Family, label: str) -> set[str]:
        return next({*each.values} for each in family.labels if each.name == label)

    def of(enum: type[Enum]) -> set[str]:
        return {member.value for member in enum}

    assert values(Metrics.flushes, "reason") == of(FlushReason)
    assert values(Metrics.latency_seconds, "since") == of(Since)
    assert track_lib_version.WARNING_TYPE in values(Metrics.warnings, "type")


def test_each_outcome_is_served_before_it_is_counted() -> None:
    registry = Metrics().served()
    served = {
        (sample.labels["disposition"], sample.labels["reason"])
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "recording_worker_messages_total"
    }
    assert served == {(reason.disposition.label, reason.label if reason else "") for reason in Reason}
    assert {disposition for disposition, _ in served} == {"ok", "drop", "redirect", "dlq"}


@pytest.mark.parametrize("family", COUNTED, ids=lambda family: family.name)
def test_labels_that_are_known_are_served_at_0(family: Family) -> None:
    metrics = Metrics()
    metrics.expect(partition=map(str, [7]), store=["teams"], topic=["dlq"], step=["parse"], error=["any"])
    served: CollectorRegistry = metrics.served()
    found = [
        sample
        for each in served.collect()
        if each.name == family.name
        for sample in each.samples
        if sample.name in family.series
    ]
    assert found
    assert {sample.value for sample in found} == {0}


def test_each_reason_has_the_disposition_of_the_docs() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+)", (ROOT / "docs" / "data" / "messages.md").read_text(), re.MULTILINE)
    documented = {name: how for name, how in rows if name.upper() in Reason.__members__}
    assert documented == {reason.label: reason.disposition.label for reason in Reason if reason}
    assert Reason.NONE.disposition is Disposition.OK


def test_metrics_under_posthogs_names_are_metrics_that_exist() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "posthog-metric-names.yml").read_text()
    given = re.findall(r"- record: recording_blob_ingestion_v2_(\w+)\n +expr: (.+)\n", rules)
    assert len(given) == rules.count("- record:") > 20
    for old, expression in given:
        used = set(re.findall(r"recording_worker_\w+", expression))
        assert len(used) == 1, old
        assert used <= SERIES, old
    assert set(re.findall('reason="([^"]+)"', rules)) <= {reason.label for reason in Reason}
    page = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "run" / "migrating-from-posthog.md").read_text()))
    assert [name for name, _ in given if name not in page and name.rpartition("_")[0] not in page] == []


def test_buckets_of_polls_are_those_that_posthogs_names_have() -> None:
    """Prometheus can't divide the bounds of buckets, so each of them has a rule."""
    rules = (ROOT / "deploy" / "prometheus" / "posthog-metric-names.yml").read_text()
    bounds = re.findall(r'batch_bytes_bucket\{le="(.+)"\}\)\n +labels:\n +le: "(.+)"', rules)
    ours = [f"{bound / 1024:.0f}" for bound in Metrics.batch_bytes.buckets]
    assert [theirs for _, theirs in bounds] == [*ours, "+Inf"]
    served = {
        sample.labels["le"]
        for family in Metrics().registry.collect()
        for sample in family.samples
        if sample.name == "recording_worker_batch_bytes_bucket"
    }
    assert {bound for bound, _ in bounds} == served


def test_a_counter_may_name_the_sets_of_its_labels() -> None:
    assert [*CounterFamily("x", "X.", sets=[("a",)]).label_sets({})] == [("a",)]
