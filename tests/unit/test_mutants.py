"""The changes that `make mutants` makes to the code."""

import tomllib
from pathlib import Path

import pytest

from tests.mutants import run as mutants

CODE = """
def due(ages: list[int], limit: int = 3) -> bool:
    \"\"\"Not changed: 1 < 2.\"\"\"
    oldest = max(ages)
    if not ages or oldest >= limit:
        log.info("not changed")
        raise ValueError(ages)
    for age in ages:
        count += age
        if age == 7:
            continue
    return oldest + 1 < limit
"""


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The lines that the mutants of the code have in the place of one of its own."""
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(CODE)
    lines = CODE.splitlines()
    found = set()
    for mutant in mutants.Module("module.py", CODE.encode()).mutants():
        after = mutant.source().decode().splitlines()
        different = [line.strip() for line, before in zip(after, lines, strict=True) if line != before]
        assert len(different) == 1, mutant
        found.add(different[0])
    return found


def test_each_mutant_changes_one_line(changed: set[str]) -> None:
    assert changed == {
        "def due(ages: list[int], limit: int = 4) -> bool:",
        "oldest = min(ages)",
        "if not ages and oldest >= limit:",
        "if ages or oldest >= limit:",
        "if not ages or oldest > limit:",
        "if not (not ages or oldest >= limit):",
        "pass",
        "count -= age",
        "if age != 7:",
        "if age == 8:",
        "if not (age == 7):",
        "break",
        "return oldest - 1 < limit",
        "return oldest + 2 < limit",
        "return oldest + 1 <= limit",
    }


def test_the_modules_and_tests_that_are_listed_exist() -> None:
    targets = tomllib.loads(mutants.CONFIG.read_text())["target"]
    paths = [path for target in targets for path in (target["module"], *target["tests"])]
    assert len(paths) > 100
    assert [path for path in paths if not (mutants.ROOT / path).exists()] == []
