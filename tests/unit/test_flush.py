"""How a flush goes on: its order, its threads and its faults."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from recording_worker.errors import FlushError, StepError
from recording_worker.lookups.teams.service import Team
from recording_worker.metrics import Metrics
from recording_worker.recording.flush import FlushedBatch
from recording_worker.recording.session_batch import FlushReason, SessionBatchRecorder, SessionLimits
from recording_worker.storage.base import Part
from tests.builders import TOPIC, FakeClock, counted, session_message
from tests.unit.flushing import Deliveries, Make, files, flush, session_batch
from tests.unit.test_session_batch import TEAM, decoded, record_all


def test_one_flush_at_a_time(flusher_of: Make, deliveries: Deliveries) -> None:
    flusher = flusher_of()
    assert not flusher.busy
    deliveries.let.clear()
    flusher.submit(session_batch("a"), FlushReason.AGE)
    assert flusher.busy
    assert not flusher.wait(0.01)
    with pytest.raises(RuntimeError, match="in flight"):
        flusher.submit(session_batch("b"), FlushReason.AGE)
    deliveries.let.set()
    assert flusher.wait(10)
    assert not flusher.busy
    flush(flusher, session_batch("c"))
    assert [flushed.reason for flushed in deliveries.delivered] == [FlushReason.AGE, FlushReason.SIZE]


def test_the_caller_learns_of_a_flush_before_anything_else_is_done(flusher_of: Make, tmp_path: Path) -> None:
    seen: list[tuple[dict[int, int], list[Path]]] = []
    flush(flusher_of(on_started=lambda offsets: seen.append((dict(offsets), files(tmp_path)))), session_batch("a", "b"))
    assert seen == [({0: 2}, [])]
    assert files(tmp_path)


def test_sessions_are_marked_as_seen_once_a_part_of_them_is_delivered(flusher_of: Make, deliveries: Deliveries) -> None:
    marked: list[tuple[int, str]] = []
    batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    for partition, session_id, retention in ((0, "a", "30d"), (1, "b", "30d"), (0, "c", "5y"), (0, "a", "30d")):
        team = Team(partition + 7, console_logs=True, retention=retention)
        record_all(batch, decoded(session_message(1, session_id, partition=partition), team=team))
    deliveries.lost, deliveries.on_delivery = {1}, lambda: marked.append((0, "delivered"))
    flush(flusher_of(mark_seen=marked.extend), batch)
    assert marked == [(0, "delivered"), (7, "a"), (7, "c")]


def test_no_session_is_marked_as_seen_if_its_delivery_fails(flusher_of: Make, deliveries: Deliveries) -> None:
    marked: list[object] = []
    deliveries.fault = FlushError("no")
    flusher = flusher_of(mark_seen=marked.extend)
    flusher.submit(session_batch("a"), FlushReason.AGE)
    assert flusher.wait(10)
    with pytest.raises(FlushError):
        flusher.raise_if_failed()
    assert marked == []


def test_an_exception_that_no_storage_explains_may_be_the_fault_of_a_message(flusher_of: Make) -> None:
    def fail(_: object) -> None:
        raise ValueError("a bad block")

    flusher = flusher_of(on_started=fail)
    flusher.submit(session_batch("a"), FlushReason.AGE)
    assert flusher.wait(10)
    with pytest.raises(StepError, match="a flush raised ValueError\\('a bad block'\\)") as raised:
        flusher.raise_if_failed()
    assert isinstance(raised.value.__cause__, ValueError)


def test_close_waits_for_the_flush_in_flight(flusher_of: Make, deliveries: Deliveries) -> None:
    before = set(threading.enumerate())
    flusher = flusher_of()
    (thread,) = set(threading.enumerate()) - before
    deliveries.let.clear()
    flusher.submit(session_batch("a"), FlushReason.STOP)
    threading.Timer(0.1, deliveries.let.set).start()
    flusher.close()
    assert len(deliveries.delivered) == 1
    assert not thread.is_alive()


class CallingStorage:
    """A storage that calls a function for each file."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def check(self) -> None:
        """Fine."""

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:  # noqa: ARG002 - a storage's signature
        deque(parts, maxlen=0)
        self.call()
        return f"test:{key}"

    def close(self) -> None:
        """Fine."""


def test_what_was_decoded_is_freed_before_a_file_is_written_and_all_files_are_before_delivery(
    flusher_of: Make, deliveries: Deliveries
) -> None:
    batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    for offset, retention in enumerate(("30d", "1y")):
        rows = decoded(session_message(offset, retention), team=Team(1, console_logs=True, retention=retention))
        record_all(batch, rows)
    writes: list[tuple[int, int]] = []
    flush(flusher_of(CallingStorage(lambda: writes.append((batch.session_count, len(deliveries.delivered))))), batch)
    assert writes == [(0, 0), (0, 0)]
    assert len(deliveries.delivered) == 1


@pytest.mark.parametrize("fault", [FlushError("disk full"), OSError("disk full")])
def test_a_storage_fault_is_raised_on_the_callers_thread_and_stops_the_flusher(
    flusher_of: Make, deliveries: Deliveries, fault: Exception
) -> None:
    def fail() -> None:
        raise fault

    metrics = Metrics()
    flusher = flusher_of(CallingStorage(fail), metrics=metrics)
    with pytest.raises(type(fault)):
        flush(flusher, session_batch("a"))
    assert not flusher.busy
    assert metrics.flush_failures._value.get() == 1
    later = session_batch("b")
    with pytest.raises(type(fault)):
        flusher.submit(later, FlushReason.SIZE)
    assert later.session_count == 1
    assert deliveries.delivered == []


def test_a_delivery_fault_is_raised_on_the_callers_thread(flusher_of: Make, deliveries: Deliveries) -> None:
    told: list[FlushedBatch] = []
    deliveries.fault = fault = FlushError("not acknowledged")
    with pytest.raises(type(fault), match=str(fault)):
        flush(flusher_of(on_flushed=told.append), session_batch("a"))
    assert told == []


def test_metrics_and_the_caller_are_told_once_it_is_delivered(flusher_of: Make, deliveries: Deliveries) -> None:
    metrics = Metrics()
    told: list[FlushedBatch] = []
    clock = FakeClock()

    def take_a_while() -> None:
        clock.ms += 1_500

    flusher = flusher_of(CallingStorage(take_a_while), clock=clock, metrics=metrics, on_flushed=told.append)
    flush(flusher, session_batch("a", "b"))
    assert told == [replace(deliveries.delivered[0], seconds=1.5)]
    counted = metrics.flushed_sessions, metrics.flushed_events, metrics.flushed_bytes
    assert [metric._value.get() for metric in counted] == [2, 2, told[0].bytes_written]
    assert metrics.flush_seconds._sum.get() == 1.5
    stages = {name: metrics.flush_stage_seconds.labels(name)._sum.get() for name in ("gather", "store", "deliver")}
    assert stages == {"gather": 0, "store": 1.5, "deliver": 0}
    assert metrics.file_bytes._sum.get() == told[0].bytes_written
    assert metrics.session_bytes._sum.get() == told[0].raw_bytes
    assert 0 < metrics.block_bytes._sum.get() < told[0].bytes_written, "the rest is the index"
    assert metrics.flushes.labels("size")._value.get() == 1


@pytest.mark.parametrize("encrypts", [True, False])
def test_encryption_is_a_stage_of_its_own(flusher_of: Make, deliveries: Deliveries, encrypts: bool) -> None:
    metrics, batch = Metrics(), session_batch("a", "b")
    batch.keys = {(TEAM.id, session_id): bytes(32) for session_id in ("a", "b")}
    flush(flusher_of(metrics=metrics, encrypts=encrypts), batch)
    assert len(deliveries.delivered) == 1
    assert counted(metrics, "flush_stage_seconds_count", stage="compress") == 1
    assert counted(metrics, "flush_stage_seconds_count", stage="encrypt") == encrypts


def test_a_flush_that_takes_long_is_logged_with_its_stages(flusher_of: Make) -> None:
    clock = FakeClock()
    waits = iter((5_000, 5_100))

    def take_a_while() -> None:
        clock.ms += next(waits)

    flusher = flusher_of(CallingStorage(take_a_while), clock=clock)
    with capture_logs() as logs:
        flush(flusher, session_batch("a"))
        assert [line for line in logs if line["event"] == "flush took long"] == []
        flush(flusher, session_batch("a"))
    [line] = [line for line in logs if line["event"] == "flush took long"]
    assert (line["log_level"], line["seconds"], line["store"], line["deliver"]) == ("warning", 5.1, 5.1, 0)
