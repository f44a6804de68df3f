"""Lines that are alike are written once, and counted."""

import threading
from contextlib import suppress
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict

from recording_worker.logs.folding import Folding

SECONDS = 10.0


class Log:
    """What gets through, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[dict[str, Any]] = []
        self.folding = Folding(lambda line: self.lines.append(dict(line)), seconds=SECONDS, clock=lambda: self.now)

    def say(self, event: str, level: str = "warning", **fields: Any) -> None:
        with suppress(structlog.DropEvent):
            self.lines.append(dict(self.folding(None, level, {"event": event, "level": level, **fields})))

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def log() -> Log:
    return Log()


def counts(log: Log) -> list[tuple[str, int]]:
    return [(line["event"], line.get("repeated", 0)) for line in log.lines]


def test_no_line_is_lost(log: Log) -> None:
    """38 warnings of S3 in 30 s, and then something else."""
    for _ in range(38):
        log.say("S3 request failed", code="SlowDown", seconds=log.now / 7)
        log.wait(30 / 38)
    log.wait(SECONDS)
    log.say("other")
    assert len(log.lines) < 8
    assert sum(repeated or 1 for event, repeated in counts(log) if event == "S3 request failed") == 38
    assert counts(log)[0] == ("S3 request failed", 0), "the first is written at once"
    assert counts(log)[-1] == ("other", 0)


def test_what_is_left_is_written_at_the_end(log: Log) -> None:
    log.say("a", code=1)
    log.say("a", code=1)
    log.folding.flush()
    log.folding.flush()
    assert counts(log) == [("a", 0), ("a", 1)]


def test_lines_that_differ_are_all_written(log: Log) -> None:
    for partition in (1, 2):
        for level in ("warning", "error"):
            log.say("stopped", level, partition=partition)
    assert len(log.lines) == 4


def test_the_last_of_them_is_written_and_messages_are_added_up(log: Log) -> None:
    for number in range(1, 5):
        log.say("messages go to the DLQ", reason="r", messages=number, partition=number, offset=number, fold_by="r")
    log.folding.flush()
    first, last = log.lines
    assert first == {
        "event": "messages go to the DLQ",
        "level": "warning",
        "reason": "r",
        "messages": 1,
        "partition": 1,
        "offset": 1,
    }
    assert (last["messages"], last["repeated"], last["offset"]) == (9, 3, 4)


def test_debug_lines_and_stacks_are_not_folded(log: Log) -> None:
    for _ in range(2):
        log.say("fine", "debug")
        log.say("failed", "error", exc_info=True)
    assert len(log.lines) == 4


def test_it_remembers_no_more_than_some_lines(log: Log) -> None:
    log.say("first")
    log.say("first")
    for number in range(1000):
        log.say(f"line {number}")
    assert ("first", 1) in counts(log), "forgotten, so its count is written"
    assert len(log.folding._lines) <= 200


def test_a_count_is_written_in_time_though_nothing_else_is_logged() -> None:
    lines: list[dict[str, Any]] = []
    written = threading.Event()

    def emit(event: EventDict) -> None:
        lines.append(dict(event))
        written.set()

    folding = Folding(emit, seconds=0.05)
    for _ in range(3):
        with suppress(structlog.DropEvent):
            folding(None, "warning", {"event": "a", "level": "warning"})
    assert written.wait(30)
    assert lines[0]["repeated"] == 2
