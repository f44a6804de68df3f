"""The docs name what there is."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from recording_worker import metrics
from recording_worker.outcome import Reason

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs" / "operate" / "operations.md").read_text()
    families = [family.name for family in REGISTRY.collect() if family.name.startswith(metrics.PREFIX)]
    names = [*families, metrics.LAG, metrics.PARTITIONS_STOPPED, metrics.PARTITIONS_CAREFUL]
    assert len(names) > 20
    assert [name for name in names if f"`{name}`" not in text and f"`{name}_total`" not in text] == []


def test_every_reason_is_documented() -> None:
    text = (ROOT / "docs" / "data" / "messages.md").read_text()
    assert [reason.label for reason in Reason if reason and f"`{reason.label}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if not link.startswith("https://")]
    assert [link for link in local if not (page.parent / link).exists()] == []
