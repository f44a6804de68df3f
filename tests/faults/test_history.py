"""The checker of histories finds what was doctored in one, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.history import HistoryFile, Read, problems
from tests.faults.load import Sent
from tests.faults.messages import Fate

FATES = (Fate.RECORDED, Fate.DLQ, Fate.REDIRECTED, Fate.DROPPED)
Lines = list[str]


@pytest.fixture
def history(tmp_path: Path) -> Lines:
    """A good one: message n has offset n of partition 0."""
    file = HistoryFile(tmp_path / "history.jsonl")
    file.sent(Sent(number, fate, 0, number, 2, 0) for number, fate in enumerate(FATES))
    for write in (file.read, file.read_again):
        for number, fate in enumerate(FATES[:3]):
            write(Read(number, fate, f"place {number}"))
    file.committed({0: 4})
    file.close()
    return file.path.read_text().splitlines()


def without(history: Lines, *parts: str) -> Lines:
    return [line for line in history if not all(part in line for part in parts)]


def test_a_good_history_has_no_problems(history: Lines) -> None:
    assert problems(history) == []


@pytest.mark.parametrize(
    ("doctored", "kinds"),
    [
        (lambda lines: without(lines, "read", '"number": 1,'), ["lost"]),
        (
            lambda lines: [*lines, lines[7].replace("place 0", "place 9"), lines[4].replace("place 0", "place 9")],
            ["doubled"],
        ),
        (lambda lines: [line.replace("[[0, 4]]", "[[0, 2]]") for line in lines], ["left", "torn"]),
        (lambda lines: [line.replace("[[0, 4]]", "[]") for line in lines], ["left", "torn", "torn", "torn"]),
        (lambda lines: [*lines, lines[4].replace("place 0", "place 9")], ["aborted read"]),
        (lambda lines: without(lines, '"read"', '"number": 2,'), ["hidden"]),
        (lambda lines: without(lines, '"sent"', '"number": 2,'), ["unknown"]),
        (lambda lines: [line.replace("dlq", "recorded") if "read" in line else line for line in lines], ["misplaced"]),
        (
            lambda lines: [line.replace('"dlq"', '"dropped"') if "sent" in line else line for line in lines],
            ["misplaced"],
        ),
    ],
)
def test_what_was_doctored_is_found(history: Lines, doctored: Callable[[Lines], Lines], kinds: list[str]) -> None:
    assert sorted(problem.split(":")[0] for problem in problems(doctored(history))) == kinds
