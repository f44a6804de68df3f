"""Which files `sweep` takes for orphans. The command itself is tested on a real Kafka."""

from dataclasses import replace
from pathlib import Path

import pytest

from recording_worker.formats.block_metadata import deletion_value
from recording_worker.messages import Record
from recording_worker.operations.sweep import Committed, SweepResult, judge
from recording_worker.storage.base import StoredFile
from recording_worker.storage.local.inventory import LocalInventory
from tests.builders import NOW_MS
from tests.history import METADATA, TOPIC, History, Part

HOUR_MS = 3_600_000


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = History(tmp_path)
    made.batch({0: Part({0: "a"})})
    return made


def committed(history: History) -> Committed:
    found = Committed()
    for record in history.metadata:
        found.add(record)
    return found


def file_of(history: History) -> StoredFile:
    [file] = LocalInventory(history.folder).files()
    return file


def judged(
    file: StoredFile,
    found: Committed | None = None,
    *,
    older_than_ms: int = NOW_MS + 1,
    horizon_ms: int = 0,
) -> SweepResult:
    """Judge one file; by default nothing refers to it, and its source is known."""
    known = found or Committed(topics={TOPIC})
    return judge([file], known, older_than_ms=older_than_ms, horizon_ms=horizon_ms)


def kind(result: SweepResult) -> str:
    """The one kind that has the file."""
    kinds = {
        "referred": result.referred,
        "young": result.young,
        "orphan": len(result.orphans),
        "temporary": len(result.temporary),
        "not judged": len(result.not_judged),
    }
    assert sum(kinds.values()) == 1
    return next(name for name, number in kinds.items() if number)


def test_committed_metadata_refers_to_its_files_wherever_the_storage_is_mounted(history: History) -> None:
    found = committed(history)
    file = file_of(history)
    assert found.topics == {TOPIC}
    assert kind(judged(file, found)) == "referred"
    assert kind(judged(file)) == "orphan"
    assert judged(file).removable == [file]
    assert kind(judged(replace(file, temporary=True), found)) == "temporary", "metadata never refers to one"
    assert kind(judged(file, found, older_than_ms=NOW_MS)) == "referred", "whatever its age"


def test_records_that_are_not_ours_are_counted(history: History) -> None:
    found = committed(history)
    for value in (None, b"{}", (history.metadata[0].value or b"").replace(b"?range", b"!range")):
        found.add(Record("metadata", 0, 9, NOW_MS, [], value))
    assert found.unreadable == 3
    assert found.keys == committed(history).keys


@pytest.mark.parametrize("temporary", [False, True])
def test_a_file_younger_than_asked_for_is_left(history: History, *, temporary: bool) -> None:
    file = replace(file_of(history), temporary=temporary)
    assert kind(judged(file, older_than_ms=NOW_MS)) == "young"
    old = judged(file, older_than_ms=NOW_MS + 1)
    assert kind(old) == ("temporary" if temporary else "orphan")
    assert old.removable == [file]


def test_a_file_as_old_as_metadata_that_is_gone_is_not_judged(history: History) -> None:
    file = file_of(history)
    result = judged(file, horizon_ms=NOW_MS - HOUR_MS)
    assert result.not_judged == [(file, "older than what the metadata topic still holds")]
    assert result.removable == []
    assert kind(judged(file, horizon_ms=NOW_MS - HOUR_MS - 1)) == "orphan"


def test_a_file_that_was_recorded_from_elsewhere_is_not_judged(history: History) -> None:
    file = file_of(history)
    assert judged(file, Committed(topics={"b"})).not_judged == [(file, f"recorded from elsewhere: {TOPIC}")]
    assert kind(judged(file, Committed(topics={"b", TOPIC}))) == "orphan"


def test_a_file_whose_index_can_not_be_read_is_not_judged(history: History) -> None:
    history.files[0].rename(posthogs := history.files[0].with_name("1795000000000-01890a5dac96774b"))
    assert kind(judged(file_of(history))) == "orphan"
    posthogs.write_bytes(b"blocks of PostHog's consumer, without an index")
    file = file_of(history)
    assert judged(file).not_judged == [(file, "its index can't be read")]


def test_a_record_that_a_session_is_deleted_is_no_record_that_cannot_be_read(history: History) -> None:
    found = committed(history)
    found.add(Record(METADATA, 0, 9, NOW_MS, [], deletion_value((1, "a\ud83d"), NOW_MS, 30)))
    found.add(Record(METADATA, 0, 10, NOW_MS, [], deletion_value((1, "a"), NOW_MS, 30)))
    assert found.unreadable == 1, "JSON with half a character is read by nobody"
    found.add(Record(METADATA, 0, 11, NOW_MS, [], b"{}"))
    assert found.unreadable == 2
    assert history.verify().findings == []
    history.metadata.append(Record(METADATA, 0, 9, NOW_MS, [], deletion_value((1, "a"), NOW_MS, 30)))
    for prefix in (None, "blocks"):
        assert history.verify(posthog_prefix=prefix).written_by_others == 0
    assert history.verify().findings == []
