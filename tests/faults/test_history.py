"""The checker of histories finds what was doctored in one, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.history import HistoryFile, Read, Transaction, problems
from tests.faults.load import Sent
from tests.faults.messages import Fate

FATES = (Fate.RECORDED, Fate.DLQ, Fate.REDIRECTED, Fate.DROPPED)
Lines = list[str]


@pytest.fixture
def history(tmp_path: Path) -> Lines:
    """A good one: message n has offset n of partition 0. Two transactions: of messages 0 and 1, and of 2 and 3."""
    file = HistoryFile(tmp_path / "history.jsonl")
    file.sent(Sent(number, fate, 0, number, 2, 0, "session", 0.0) for number, fate in enumerate(FATES))
    for write in (file.read, file.read_again):
        for number, fate in enumerate(FATES[:3]):
            write(Read(number, fate, f"place {number}", "first" if fate is Fate.RECORDED else ""))
    file.transaction(Transaction("first", {0: 2}))
    file.transaction(Transaction("second", {0: 4}))
    file.committed({0: 4})
    file.close()
    return file.path.read_text().splitlines()


def without(history: Lines, *parts: str) -> Lines:
    return [line for line in history if not all(part in line for part in parts)]


def replaced(history: Lines, part: str, old: str, new: str) -> Lines:
    return [line.replace(old, new) if part in line else line for line in history]


def test_a_good_history_has_no_problems(history: Lines) -> None:
    assert problems(history) == []


def test_messages_of_deleted_sessions_may_be_missing(history: Lines, tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "more.jsonl")
    file.may_miss([Sent(0, Fate.RECORDED, 0, 0, 2, 0, "session", 0.0)])
    file.close()
    missing = [*file.path.read_text().splitlines(), *without(history, "read", '"number": 0,')]
    assert problems(missing) == []
    assert [each.split(",")[0] for each in problems(without(missing, "read", '"number": 1,'))] == ["lost: 1"]


@pytest.mark.parametrize(
    ("doctored", "kinds"),
    [
        (lambda lines: without(lines, "read", '"number": 1,'), ["lost"]),
        (
            lambda lines: [*lines, lines[7].replace("place 0", "place 9"), lines[4].replace("place 0", "place 9")],
            ["doubled"],
        ),
        (lambda lines: replaced(lines, "committed", "[[0, 4]]", "[[0, 2]]"), ["left", "torn", "torn"]),
        (lambda lines: replaced(lines, "committed", "[[0, 4]]", "[]"), ["left", "torn", "torn", "torn", "torn"]),
        (lambda lines: replaced(lines, "read", "first", "second"), ["torn"]),
        (lambda lines: replaced(lines, "transaction", "[[0, 2]]", "[[1, 2]]"), ["torn", "torn"]),
        (lambda lines: without(lines, "transaction", "first"), ["torn"]),
        (lambda lines: without(lines, "transaction", "second"), ["torn"]),
        (lambda lines: [*lines, lines[11]], ["torn"]),
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
