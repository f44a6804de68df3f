from collections import Counter

from recording_worker.messages import Message
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.recording.session_batch import Advance, Since
from tests.builders import NOW_MS, batch, headers, message

OK, DROP, DLQ = Disposition.OK, Disposition.DROP, Disposition.DLQ


def test_rows_are_counted_by_how_they_ended_and_move_their_partition() -> None:
    rows = batch(message(7, 1), message(3, 0), message(8, 1), message(9, 1), message(5, 0))
    rows.end(0, DLQ, Reason.INVALID_JSON, "step")
    rows.end(2, DLQ, Reason.INVALID_COMPRESSED_DATA, "step")
    rows.warned[1, "a_warning"] += 2
    assert rows.outcomes() == {
        (1, DLQ, Reason.INVALID_JSON): 1,
        (1, DLQ, Reason.INVALID_COMPRESSED_DATA): 1,
        (1, OK, Reason.NONE): 1,
        (0, OK, Reason.NONE): 2,
    }
    second = NOW_MS // 1000
    assert rows.advances() == {
        1: Advance(
            7,
            10,
            Counter({(DLQ, Reason.INVALID_JSON): 1, (DLQ, Reason.INVALID_COMPRESSED_DATA): 1, (OK, 0): 1}),
            Counter({(Since.RECEIVED, second): 3}),
            Counter({"a_warning": 2}),
        ),
        0: Advance(3, 6, Counter({(OK, 0): 2}), Counter({(Since.RECEIVED, second): 2}), Counter()),
    }


def test_rows_of_a_halted_partition_do_not_count() -> None:
    rows = batch(message(7, 1), message(3, 0), message(8, 1))
    rows.end(2, DROP, Reason.SESSION_BLOCKED, "step")
    rows.halt(1, "why")
    assert rows.halts == {1: "why"}
    assert [rows.counts(row) for row in range(3)] == [False, True, False]
    assert list(rows.ok_rows()) == [1]
    assert rows.outcomes() == {(0, OK, Reason.NONE): 1}
    assert rows.advances() == {
        0: Advance(3, 4, Counter({(OK, 0): 1}), Counter({(Since.RECEIVED, NOW_MS // 1000): 1}), Counter())
    }


def test_messages_are_counted_by_the_second_in_which_they_came_and_were_captured() -> None:
    def came(offset: int, timestamp_ms: int, now: str | None) -> Message:
        captured = [] if now is None else [("now", now.encode())]
        return message(offset, timestamp_ms=timestamp_ms, headers=[*headers(), *captured])

    rows = batch(
        came(0, 5_000, "1970-01-01T00:00:04.100Z"),
        came(1, 5_999, "1970-01-01T00:00:04.900Z"),
        came(2, -1, "yesterday"),
        came(3, 6_000, None),
    )
    ParseHeaders().run(rows)
    [advance] = rows.advances().values()
    assert advance.seconds == {(Since.CAPTURED, 4): 2, (Since.RECEIVED, 5): 2, (Since.RECEIVED, 6): 1}


def test_an_empty_batch_moves_nothing() -> None:
    assert batch().outcomes() == {}
    assert batch().advances() == {}
