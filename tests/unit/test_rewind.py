"""Where `rewind` sets a partition's committed offset. The command itself is tested on a real Kafka."""

import pytest

from recording_worker.formats.accounts import Account
from recording_worker.kafka.admin import LogBounds
from recording_worker.kafka.offsets import Position
from recording_worker.operations.rewind import Move, plan_move

LOG = LogBounds(10, 90, 100)
STAYS = "stays: it is not past that"
BEGINNING = "where the log begins now"
UNSPLIT = "where what was not recorded since the last block begins"


@pytest.mark.parametrize(
    ("committed", "wanted", "new", "remark"),
    [
        (Position(50), 20, 20, ""),
        (Position(50), 49, 49, ""),
        (Position(50), 50, None, STAYS),
        (Position(50), 51, None, STAYS),
        (Position(50), None, None, STAYS),
        (Position(150), None, 100, ""),  # all records are older than the time: the end of the log
        (Position(50), 10, 10, ""),
        (Position(50), 9, 10, BEGINNING),
        (Position(10), 9, None, STAYS),
        (Position(50, Account(30, 50)), 40, 30, UNSPLIT),
        (Position(50, Account(30, 50)), 30, 30, ""),
        (Position(50, Account(30, 50)), 29, 29, ""),
        (Position(50, Account(5, 50)), 40, 10, UNSPLIT),
        (Position(50, Account(30, 50)), 50, None, STAYS),
    ],
)
def test_a_partition_goes_back_and_never_forward(
    committed: Position, wanted: int | None, new: int | None, remark: str
) -> None:
    assert plan_move(3, committed, wanted, LOG) == Move(3, committed.offset, new, remark)


def test_a_partition_without_a_committed_offset_stays() -> None:
    assert plan_move(3, None, 20, LOG) == Move(3, None, None, "stays: nothing is committed")
