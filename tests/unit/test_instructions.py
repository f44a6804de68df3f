"""The gate on instructions: what it lets pass, and what it compares with."""

import json
from pathlib import Path

import pytest

from benchmarks.instructions import __main__ as gate
from benchmarks.instructions.commits import built
from benchmarks.instructions.count import InstructionsError


def test_two_per_cent_more_pass_and_three_fail(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {"decode": 1_000_000, "record": 1_000_000, "gone": 1}
    assert gate.judge({"decode": 1_019_000, "record": 700_000, "new": 5}, wanted) == []
    assert gate.judge({"decode": 1_030_000, "record": 1_000_000}, wanted) == ["decode"]
    printed = capsys.readouterr().out
    assert "+3.00%  over the limit" in printed
    assert "write the baseline again" in printed


def test_the_baseline_counts_if_all_around_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"surroundings": {"compiler": "13"}, "counts": {"decode": 7}}))
    assert gate.expected(path, {"compiler": "13"}) == {"decode": 7}


def test_with_another_compiler_the_commit_of_the_baseline_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"surroundings": {"compiler": "13"}, "counts": {"decode": 7}}))
    monkeypatch.setattr(gate, "last_commit_of", lambda _: "abc")
    monkeypatch.setattr(gate, "built", lambda commit: Path("/", commit))
    monkeypatch.setattr(gate, "count", lambda core: {str(core): 8})
    assert gate.expected(path, {"compiler": "14"}) == {"/abc": 8}
    assert "another compiler" in capsys.readouterr().out


def test_a_commit_that_is_not_there_is_named() -> None:
    with pytest.raises(InstructionsError, match="git rev-parse"):
        built("no-such-commit")


def test_the_committed_baseline_has_all_cases() -> None:
    baseline = json.loads(gate.BASELINE.read_text())
    assert len(baseline["counts"]) == 7
    assert {"compiler", "libzstd", "libdeflate", "liblz4"} <= baseline["surroundings"].keys()
