"""Write the tables of docs/operate/metrics.md from the catalogue of metrics: `python -m tools.metrics_tables`.

The page has a region for each group, between two comments, and nobody types between them.
"""

import re
from pathlib import Path

from recording_worker.metrics import GROUPS, families
from recording_worker.metrics.family import Family, Label

PAGE = Path(__file__).parents[1] / "docs" / "operate" / "metrics.md"
COMMAND = "python -m tools.metrics_tables"


def written(page: str) -> str:
    """Return the text of the page with all its regions written from the catalogue. Raises KeyError for unknown ones."""

    def region(found: re.Match[str]) -> str:
        return f"<!-- {found[1]}: {COMMAND} -->\n\n{group_table(GROUPS[found[1]])}\n\n<!-- /{found[1]} -->"

    return re.sub(rf"<!-- (\w+): {re.escape(COMMAND)} -->.*?<!-- /\1 -->", region, page, flags=re.DOTALL)


def group_table(group: type) -> str:
    """Return the table of a group's metrics."""
    rows = map(_row, families(group))
    return "\n".join(["| metric | type | unit | labels | meaning |", "|---|---|---|---|---|", *rows])


def _row(family: Family) -> str:
    name = family.series[0] if family.kind == "counter" else family.name
    labels = "; ".join(map(_label, family.labels))
    return f"| `{name}` | {family.kind} | {family.unit} | {labels} | {family.meaning} |"


def _label(label: Label) -> str:
    return f"`{label.name}`: {label.bound or ', '.join(f'`{value}`' for value in label.values)}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
