"""`python -m tests.faults.history FILE…`: what is wrong with recorded histories, found without any broker.

A history is a file of JSON lines, each one of: a message that was sent, one that a read_committed reader found while
faults happened ("read"), one that another reader found at the end ("read_again"), and the committed offsets at the end.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.load import Sent
from tests.faults.messages import Fate


class Read(NamedTuple):
    """A message that a reader has found."""

    number: int
    fate: str
    where: str
    """The block's URL, or the record's place."""


class HistoryFile:
    """Writes a history."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w")

    def sent(self, messages: Iterable[Sent]) -> None:
        for one in messages:
            self._write("sent", {"number": one.number, "fate": one.fate, "at": [one.partition, one.offset]})

    def read(self, found: Read) -> None:
        self._write("read", found._asdict())

    def read_again(self, found: Read) -> None:
        self._write("read_again", found._asdict())

    def committed(self, offsets: Mapping[int, int]) -> None:
        """`offsets`: partition → the group's committed offset, once all is over."""
        self._write("committed", [*offsets.items()])
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, what: str, value: Any) -> None:
        self._file.write(json.dumps({what: value}) + "\n")


def problems(lines: Iterable[str]) -> list[str]:
    """What is wrong with a history, a line each."""
    sent: dict[int, tuple[str, int, int]] = {}
    read: set[Read] = set()
    again: list[Read] = []
    committed: dict[int, int] = {}
    for line in lines:
        [(what, value)] = json.loads(line).items()
        match what:
            case "sent":
                sent[value["number"]] = (value["fate"], *value["at"])
            case "read":
                read.add(Read(**value))
            case "read_again":
                again.append(Read(**value))
            case "committed":
                committed = dict(value)
    return [
        *_counted(sent, Counter(one.number for one in again), committed),
        *_misplaced(sent, again),
        *(f"aborted read: {one} was read, and is not there" for one in sorted(read - {*again})),
        *(f"hidden: {one} is there, and was not read" for one in sorted({*again} - read)),
    ]


def _counted(
    sent: Mapping[int, tuple[str, int, int]], times: Mapping[int, int], committed: Mapping[int, int]
) -> Iterable[str]:
    for number, (fate, partition, offset) in sent.items():
        counts = offset < committed.get(partition, 0)
        if counts and fate != Fate.DROPPED and not times[number]:
            yield f"lost: {number}, its offset is committed and its record is not"
        if not counts and times[number]:
            yield f"torn: {number}, its record is committed and its offset is not"
        if not counts and not times[number]:
            yield f"left: {number}, its record and its offset are not committed"
        if times[number] > 1:
            yield f"doubled: {number}, {times[number]} times"


def _misplaced(sent: Mapping[int, tuple[str, int, int]], reads: Iterable[Read]) -> Iterable[str]:
    for one in reads:
        if one.number not in sent:
            yield f"unknown: {one} was never sent"
        elif sent[one.number][0] != one.fate:
            yield f"misplaced: {one} should be {sent[one.number][0]}"


def main() -> int:
    wrong = 0
    for name in sys.argv[1:]:
        found = problems(Path(name).read_text().splitlines())
        print("\n".join([f"{name}: {len(found)} problems", *found]))
        wrong += len(found)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
