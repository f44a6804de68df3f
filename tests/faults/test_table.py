"""The tables of the fault suite: what is kept of a run, and that runs add up."""

from pathlib import Path

import pytest

from tests.faults import table
from tests.faults.table import Outcome, Sums, Tally, add_run


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(table, "RUNS", tmp_path / "runs.jsonl")
    return tmp_path / "runs.jsonl"


def outcome(kind: str, recovery: float, **more: object) -> Outcome:
    return Outcome(kind, recovery, 100, hits=2, membership="classic", **more)  # type: ignore[arg-type]  # see Outcome


def test_runs_add_up(runs: Path) -> None:
    add_run("the first", [outcome("killed", 1.0), outcome("frozen", 2.0)])
    made, sums = add_run("the second", [outcome("killed", 3.0, brokers=3, together=2, storage="s3")])
    assert [line.partition(",")[0] for line in made] == ["the first", "the second"]
    assert sums.kinds == {
        "killed": Tally(1, 1, together=1, hits=4, messages=200, recovery=[1.0, 3.0]),
        "frozen": Tally(1, hits=2, messages=100, recovery=[2.0]),
    }
    assert sums.surroundings["classic"] == Tally(2, 1, together=1, hits=6, messages=300, recovery=[1.0, 2.0, 3.0])
    assert sums.surroundings["files in S3"].three_brokers == 1
    lines = sums.lines()
    assert "| killed | 1 | 1 | 1 | 4 | 0 | 0 | 2.0 | 3.0 |" in lines
    assert "| **all** | 2 | 1 | 1 | 6 | 0 | 0 | 2.0 | 3.0 |" in lines
    assert lines[-1] == "3 faults, 300 messages counted; faults after which anything was wrong: 0."
    assert len(runs.read_text().splitlines()) == 2


def test_hosts_that_never_recover_are_told() -> None:
    _made, sums = add_run("one", [outcome("killed", float("inf"), wrong=["not recovered"], lost=3)])
    assert "| killed | 1 | 0 | 0 | 2 | 3 | 0 | never | never |" in sums.lines()
    assert sums.lines()[-1].endswith("anything was wrong: 1.")
    assert isinstance(sums, Sums)
