"""Stores that are refreshed in the background: when, and what happens after failures."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from recording_worker.clock import SystemClock
from recording_worker.errors import BootError, ConfigError, StoreError
from recording_worker.lookups.refreshed import Reading, Refreshed, Stores
from recording_worker.lookups.watched_file import WatchedFile
from recording_worker.metrics import Metrics
from tests.builders import FakeClock, counted
from tests.waiting import wait_for


class Source:
    """A store whose answers the test chooses."""

    def __init__(self) -> None:
        self.answer: Reading[str] | Exception | None = Reading("first", 1)
        self.asked = 0

    def load(self) -> Reading[str] | None:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refreshed(source: Source, clock: FakeClock, metrics: Metrics | None = None) -> Refreshed[str]:
    return Refreshed("things", source.load, clock, metrics or Metrics(), interval=300, stale_after=1000)


def pass_time(clock: FakeClock, store: Refreshed[str], seconds: float) -> None:
    clock.ms += round(seconds * 1000)
    store.refresh_if_due()


def test_it_is_read_at_the_start_and_once_per_interval_plus_minus_20_percent() -> None:
    source, clock, metrics = Source(), FakeClock(), Metrics()
    store = refreshed(source, clock, metrics)
    assert (store.value, source.asked) == ("first", 1)
    assert counted(metrics, "store_entries", store="things") == 1
    source.answer = Reading("second", 2)
    pass_time(clock, store, 239)
    assert (store.value, source.asked) == ("first", 1)
    pass_time(clock, store, 122)
    assert (store.value, source.asked) == ("second", 2)
    assert 240 <= store.due - clock.monotonic() <= 360
    source.answer = None
    pass_time(clock, store, 361)
    assert (store.value, source.asked) == ("second", 3)
    assert counted(metrics, "store_entries", store="things") == 2
    assert counted(metrics, "store_read_timestamp_seconds", store="things") == clock.now_ms() / 1000
    assert counted(metrics, "store_reads_total", store="things", outcome="read") == 2
    assert counted(metrics, "store_reads_total", store="things", outcome="unchanged") == 1


def test_a_first_reading_that_fails_says_what_and_why() -> None:
    source = Source()
    source.answer = StoreError("connection refused")
    with pytest.raises(BootError, match=r"^things can't be read: connection refused$"):
        refreshed(source, FakeClock())


@pytest.mark.parametrize("failure", [StoreError("away"), ConfigError("wrong"), KeyError("a fault of ours")])
def test_a_failure_keeps_the_value_and_is_tried_again_soon(failure: Exception) -> None:
    source, clock, metrics = Source(), FakeClock(), Metrics()
    store = refreshed(source, clock, metrics)
    failed = metrics.store_reads.labels("things", "failed")
    source.answer = failure
    with capture_logs() as logs:
        pass_time(clock, store, 361)
        assert 24 <= store.due - clock.monotonic() <= 36
        for _ in range(5):
            pass_time(clock, store, 36)
        assert store.value == "first"
        assert failed._value.get() == 6
        source.answer = Reading("second", 1)
        pass_time(clock, store, 36)
    assert store.value == "second"
    told = [line["event"] for line in logs if line["log_level"] != "error"]
    assert told == ["can't be read: what was read before stays", "read again"]


def test_a_failure_that_goes_on_is_logged_every_five_minutes_and_a_new_one_at_once() -> None:
    source, clock = Source(), FakeClock()
    store = refreshed(source, clock)
    source.answer = StoreError("away")
    with capture_logs() as logs:
        for _ in range(12):
            pass_time(clock, store, 361 if not logs else 50)
        assert [line["error"] for line in logs] == ["away", "away"]
        source.answer = StoreError("wrong password")
        pass_time(clock, store, 36)
    assert [line["error"] for line in logs][2:] == ["wrong password"]


def test_a_value_that_was_not_read_for_too_long_is_stale() -> None:
    source, clock = Source(), FakeClock()
    store = refreshed(source, clock)
    source.answer = StoreError("away")
    pass_time(clock, store, 999)
    assert store.stale() == ""
    clock.ms += 2_000
    assert store.stale() == "things were last read 1001 s ago: away"
    source.answer = None
    pass_time(clock, store, 36)
    assert store.stale() == ""


def test_an_early_refresh_waits_until_a_minute_after_the_last_one() -> None:
    source, clock = Source(), FakeClock()
    store = refreshed(source, clock)
    pass_time(clock, store, 50)
    store.refresh_early()
    store.refresh_early()
    pass_time(clock, store, 9)
    assert source.asked == 1
    pass_time(clock, store, 1)
    assert source.asked == 2
    pass_time(clock, store, 60)
    assert source.asked == 2
    store.refresh_early()
    pass_time(clock, store, 0)
    assert source.asked == 3


def test_a_request_during_a_refresh_is_not_answered_by_that_refresh() -> None:
    source, clock = Source(), FakeClock()
    store = refreshed(source, clock)

    class Hurrying(Source):
        def load(self) -> Reading[str] | None:
            store.refresh_early()
            return super().load()

    store._load = Hurrying().load
    pass_time(clock, store, 361)
    assert store.due - clock.monotonic() == 60


def test_each_rejected_entry_is_logged_once_and_again_when_it_comes_back() -> None:
    source, clock, metrics = Source(), FakeClock(), Metrics()
    with capture_logs() as logs:
        store = refreshed(source, clock, metrics)
        for rejected in (["team 1: a"], ["team 1: a", "team 2: b"], [], ["team 1: a"]):
            source.answer = Reading("value", 1, rejected)
            pass_time(clock, store, 361)
    assert [line["entry"] for line in logs] == ["team 1: a", "team 2: b", "team 1: a"]
    assert metrics.store_rejected.labels("things")._value.get() == 1


def test_many_rejected_entries_are_not_all_logged() -> None:
    source = Source()
    source.answer = Reading("value", 1, [f"team {n}" for n in range(1000)])
    with capture_logs() as logs:
        refreshed(source, FakeClock())
    assert len(logs) == 21
    assert logs[-1]["entries"] == 980


def test_a_store_that_hangs_holds_up_no_other() -> None:
    stores = Stores(FakeClockThatRuns(), Metrics(), interval=0.01, stale_after=1000)
    hang = threading.Event()
    hanging, quick = Source(), Source()
    stores.read("hanging", hanging_after_first(hanging, hang))
    stores.read("quick", quick.load)
    stores.start()
    try:
        wait_for(lambda: hanging.asked == 2 and quick.asked > 5, "the quick store to be read while the other hangs")
        assert hanging.asked == 2
    finally:
        hang.set()
        stores.close()


class CountingClock(SystemClock):
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def monotonic(self) -> float:
        self.reads += 1
        return super().monotonic()


def test_a_store_waits_until_it_is_due_even_after_an_early_refresh_was_requested() -> None:
    clock, source = CountingClock(), Source()
    stores = Stores(clock, Metrics(), interval=300, stale_after=1000)
    store = stores.read("things", source.load)
    stores.start()
    try:
        store.refresh_early()
        wait_for(lambda: not store.woken.is_set(), "the store's thread to see the request")
        clock.reads = 0
        time.sleep(0.2)  # long enough for a busy loop to read the clock thousands of times
        assert clock.reads < 10
        assert source.asked == 1
    finally:
        stores.close()


def hanging_after_first(source: Source, hang: threading.Event) -> Callable[[], Reading[str] | None]:
    def load() -> Reading[str] | None:
        reading = source.load()
        if source.asked > 1:
            hang.wait()
        return reading

    return load


class FakeClockThatRuns(FakeClock):
    def monotonic(self) -> float:
        self.ms += 1
        return super().monotonic()


def test_a_watched_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path, reads = tmp_path / "file", []

    def read(path: Path) -> str:
        reads.append(path)
        return path.read_text()

    path.write_text("one")
    watched = WatchedFile(path, read)
    assert watched.load() == Reading("one", 3)
    assert watched.load() is None
    path.write_text("three")
    assert read_once_left_alone(watched) == Reading("three", 5)
    replacement = tmp_path / "new"
    replacement.write_text("seven")
    replacement.replace(path)
    assert read_once_left_alone(watched) == Reading("seven", 5)
    assert len(reads) == 3
    path.unlink()
    with pytest.raises(ConfigError, match=r"can't read .*: No such file"):
        watched.load()


def read_once_left_alone(watched: WatchedFile[str]) -> Reading[str] | None:
    """Look twice at a file that changed. The first look finds nothing new; return what the second finds."""
    assert watched.load() is None
    return watched.load()


def test_a_watched_file_is_not_read_while_it_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("whole")
    watched = WatchedFile(path, Path.read_text)
    assert watched.load() == Reading("whole", 5)
    with path.open("w") as file:
        for _ in range(3):
            assert watched.load() is None
            file.write("part")
            file.flush()
    assert read_once_left_alone(watched) == Reading("part" * 3, 12)


def test_a_watched_file_with_bad_content_stays_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    watched = WatchedFile(path, lambda path: [int(path.read_text())])

    def refuse(_: Path) -> list[int]:
        raise ConfigError("bad")

    assert watched.load() == Reading([1], 1)
    path.write_text("22")
    good, watched._read = watched._read, refuse
    assert watched.load() is None
    for _ in range(2):
        with pytest.raises(ConfigError, match="bad"):
            watched.load()
    path.write_text("333")
    watched._read = good
    with pytest.raises(ConfigError, match="bad"):  # the old problem stays: the file may not be complete yet
        watched.load()
    assert watched.load() == Reading([333], 1)
    assert watched.load() is None
