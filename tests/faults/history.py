"""`python -m tests.faults.history FILE…`: what is wrong with recorded histories, found without any broker.

A history is a file of JSON lines, each one of: a message that was sent, the messages that may be missing since their
sessions were deleted ("may_miss"), one that a read_committed reader found while faults happened ("read"), one that
another reader found at the end ("read_again"), what a transaction says about itself ("transaction", in the order of the
log), and the committed offsets at the end.

A transaction holds a batch's records and its offsets, all or nothing. So a message's record must be in the batch whose
transaction has committed its offset.
"""

import json
import sys
from collections import Counter
from collections.abc import Container, Iterable, Mapping
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
    batch: str = ""
    """The id of the batch that it is in; empty if the record does not tell, as in the DLQ and the overflow."""


class Transaction(NamedTuple):
    """What a committed transaction says about itself."""

    batch: str
    next: dict[int, int]
    """Partition → the offset that it commits."""


class HistoryFile:
    """Writes a history."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w")

    def sent(self, messages: Iterable[Sent]) -> None:
        for one in messages:
            self._write("sent", {"number": one.number, "fate": one.fate, "at": [one.partition, one.offset]})

    def may_miss(self, messages: Iterable[Sent]) -> None:
        """`messages`: that may be nowhere, since their sessions were deleted."""
        self._write("may_miss", [one.number for one in messages])

    def read(self, found: Read) -> None:
        self._write("read", found._asdict())

    def read_again(self, found: Read) -> None:
        self._write("read_again", found._asdict())

    def transaction(self, one: Transaction) -> None:
        self._write("transaction", [one.batch, [*one.next.items()]])

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
    transactions: list[Transaction] = []
    committed: dict[int, int] = {}
    may_miss: set[int] = set()
    for line in lines:
        [(what, value)] = json.loads(line).items()
        match what:
            case "sent":
                sent[value["number"]] = (value["fate"], *value["at"])
            case "may_miss":
                may_miss.update(value)
            case "read":
                read.add(Read(**value))
            case "read_again":
                again.append(Read(**value))
            case "transaction":
                transactions.append(Transaction(value[0], dict(value[1])))
            case "committed":
                committed = dict(value)
    return [
        *_counted(sent, Counter(one.number for one in again), committed, may_miss),
        *_misplaced(sent, again),
        *_torn(sent, again, transactions, committed),
        *(f"aborted read: {one} was read, and is not there" for one in sorted(read - {*again})),
        *(f"hidden: {one} is there, and was not read" for one in sorted({*again} - read)),
    ]


def _counted(
    sent: Mapping[int, tuple[str, int, int]],
    times: Mapping[int, int],
    committed: Mapping[int, int],
    may_miss: Container[int],
) -> Iterable[str]:
    for number, (fate, partition, offset) in sent.items():
        counts = offset < committed.get(partition, 0)
        if counts and fate != Fate.DROPPED and number not in may_miss and not times[number]:
            yield f"lost: {number}, its offset is committed and its record is not"
        if not counts and times[number]:
            yield f"torn: {number}, its record is committed and its offset is not"
        if not counts and not times[number]:
            yield f"left: {number}, its record and its offset are not committed"
        if times[number] > 1:
            yield f"doubled: {number}, {times[number]} times"


def _torn(
    sent: Mapping[int, tuple[str, int, int]],
    reads: Iterable[Read],
    transactions: Iterable[Transaction],
    committed: Mapping[int, int],
) -> Iterable[str]:
    """Compare each record's batch with the transaction that has committed the offset of its message."""
    ends: dict[int, list[tuple[int, str]]] = {partition: [(0, "")] for partition in committed}
    for batch, offsets in transactions:
        for partition, offset in offsets.items():
            before = ends.setdefault(partition, [(0, "")])
            if offset <= before[-1][0]:
                yield f"torn: batch {batch} commits {offset} of partition {partition}, behind {before[-1]}"
            before.append((offset, batch))
    for partition, its in ends.items():
        if its[-1][0] != committed.get(partition, 0):
            yield f"torn: {committed.get(partition, 0)} is committed in partition {partition}, and {its[-1]} says so"
    for one in reads:
        if one.batch and one.number in sent:
            _fate, partition, offset = sent[one.number]
            owner = next((batch for end, batch in ends.get(partition, []) if end > offset), None)
            if owner is not None and owner != one.batch:
                yield f"torn: {one}, and batch {owner} has committed its offset"


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
