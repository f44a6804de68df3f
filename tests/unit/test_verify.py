import json
from pathlib import Path
from typing import Any

import cramjam
import pytest

from recording_worker.cli.verify import parse_moved
from recording_worker.errors import ConfigError
from recording_worker.formats.accounts import ACCOUNT_HEADER, Account, account_header
from recording_worker.formats.batch_file import (
    index_frame_length,
    parse_block_url,
    parse_index_frame,
)
from recording_worker.formats.timestamps import utc_text
from recording_worker.messages import Record
from recording_worker.operations.verify.finding import FindingKind
from recording_worker.settings.model import Settings
from recording_worker.storage.locate import Locator
from tests.batch_files import frame_of, line, make_dictionary, store_dictionary
from tests.builders import NOW_MS
from tests.history import GROUP, History, Part, dlq_record

DAY_MS = 86_400_000


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = History(tmp_path)
    made.batch({0: Part({0: "a", 1: "b", 2: "a"})})
    return made


def changed(history: History, number: int, **fields: Any) -> None:
    """Change fields of a metadata record."""
    record = history.metadata[number]
    value = json.loads(record.value or b"") | fields
    history.metadata[number] = record._replace(value=json.dumps(value).encode())


def kinds(history: History, **given: Any) -> list[FindingKind]:
    return [finding.kind for finding in history.verify(**given).findings]


COMPARED = (
    "batch_id",
    "codec",
    "team_id",
    "session_id",
    "distinct_id",
    "partition",
    "first_offset",
    "last_offset",
    "event_count",
    "message_count",
    "size",
    "first_timestamp",
    "last_timestamp",
    "has_full_snapshot",
)


def test_a_report_adds_up_files_blocks_and_accounts(history: History) -> None:
    history.batch({0: Part({3: "a"}, dropped=2, redirected=3, skipped=4, dlq=[4], next=14), 1: Part({0: "c"})})
    history.batch({0: Part(dropped=1, next=15), 1: Part(redirected=2, next=3)})  # no block: it waits with the offset
    report = history.verify()
    assert (report.findings, report.notes) == ([], [])
    sizes = [json.loads(record.value or b"")["size"] for record in history.metadata]
    assert (report.files, report.blocks, report.messages, report.events) == (2, 4, 5, 5)
    assert (report.size, report.groups, report.partitions, report.accounts) == (sum(sizes), [GROUP], 2, 5)
    assert (report.recorded, report.dropped, report.redirected) == (5, 3, 5)
    assert (report.dlq, report.skipped) == (1, 4)
    assert report.to_dict()["damages"] == []
    history.metadata.append(Record("metadata", 2, 7, NOW_MS, [], b"{}"))
    report = history.verify()
    assert report.to_dict()["damages"] == [{"kind": "metadata_unreadable", "text": report.findings[0].text}]


def test_a_dictionary_that_is_missing_is_found_once_for_each_file_that_needs_it(history: History) -> None:
    history.dictionary = make_dictionary()
    history.batch({0: Part({3: "a", 4: "b"})})
    stored = store_dictionary(history.folder, history.dictionary)
    assert kinds(history) == []
    stored.unlink()
    [finding] = history.verify().findings
    assert (finding.kind, finding.file) == (FindingKind.DICTIONARY_MISSING, history.files[1].as_uri())
    assert finding.text == (
        f"{history.files[1]}: its blocks need dictionary {history.dictionary.id}:"
        f" it is not there ({stored}: No such file or directory); 2 blocks in it"
    )
    stored.write_bytes(make_dictionary(1).content)
    assert kinds(history) == [FindingKind.DICTIONARY_MISSING]


def test_what_else_is_wrong_is_found_without_the_dictionary(history: History) -> None:
    history.dictionary = make_dictionary()
    history.batch({0: Part({3: "a"})})
    changed(history, 2, team_id=77)
    assert kinds(history) == [FindingKind.DICTIONARY_MISSING, FindingKind.INDEX_DIFFERS]


@pytest.mark.parametrize("number", [-1, 2**63, 10**400, "NaN", [], 1.5])
@pytest.mark.parametrize(
    "field",
    ["team_id", "partition", "first_offset", "last_offset", "event_count", "message_count", "size"],
)
def test_a_number_that_can_not_be_is_named_and_the_rest_is_verified(history: History, field: str, number: Any) -> None:
    changed(history, 1, **{field: number})
    found = kinds(history)
    assert FindingKind.METADATA_UNREADABLE in found
    assert history.verify().blocks == 1


def test_a_dlq_record_from_where_no_message_can_be_is_no_message(history: History) -> None:
    for number in (2**63, -(2**80), 10**400):
        record = dlq_record(history.topic, 0, 7, 0)
        headers = [(name, str(number).encode() if name == "dlq-offset" else text) for name, text in record.headers]
        history.dlq.append(record._replace(headers=headers))
    assert kinds(history) == []


@pytest.mark.parametrize("field", COMPARED)
def test_metadata_that_differs_from_the_index_is_found(history: History, field: str) -> None:
    before = json.loads(history.metadata[1].value or b"")[field]
    changed(history, 1, **{field: not before if isinstance(before, bool) else before + type(before)(1)})
    after = json.loads(history.metadata[1].value or b"")[field]
    [text] = index_differences(history)
    assert text == f"{field} is {before} in the file's index and {after} in the metadata"


def index_differences(history: History) -> list[str]:
    return [finding.text for finding in history.verify().findings if finding.kind is FindingKind.INDEX_DIFFERS]


def test_an_index_that_contradicts_itself_is_found_and_its_blocks_are_read_by_their_metadata(history: History) -> None:
    path = history.files[0]
    content = path.read_bytes()
    length = index_frame_length(path.name, content, len(content))
    assert length is not None
    blocks_end = len(content) - length
    index = parse_index_frame(path.name, content[blocks_end:], blocks_end)
    index.blocks[0].messages = [(0, 2), (2, 1)]
    path.write_bytes(content[:blocks_end] + frame_of(index))
    [finding] = history.verify().findings
    assert finding.kind is FindingKind.FILE_UNREADABLE
    assert "don't add up to its events; 2 blocks in it" in finding.text


def test_a_block_that_the_index_does_not_list_is_found(history: History) -> None:
    value = json.loads(history.metadata[1].value or b"")
    place = parse_block_url(value["block_url"])
    changed(history, 1, block_url=f"{place.file}?range=bytes={place.start}-{place.start + place.length}")
    assert index_differences(history) == ["the file's index has no block of this range"]
    assert FindingKind.METADATA_MISSING in kinds(history), "and no metadata leads to the block that it lists"


def test_blocks_are_read_by_their_metadata_if_the_index_is_damaged(history: History) -> None:
    path = history.files[0]
    path.write_bytes(path.read_bytes()[:-1])
    [finding] = history.verify().findings
    assert finding.kind is FindingKind.FILE_UNREADABLE
    assert finding.text.endswith("; 2 blocks in it")
    path.write_bytes(b"")
    assert kinds(history) == [FindingKind.FILE_UNREADABLE, FindingKind.BLOCK_CUT, FindingKind.BLOCK_CUT]
    path.unlink()
    path.mkdir()
    assert kinds(history) == [FindingKind.FILE_UNREADABLE], "one finding: nothing in it can be read"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("event_count", 7, "it holds 1 lines; its metadata says 7 events"),
        ("size", 7, "bytes, and should hold 7"),
        ("last_timestamp", "2026-01-01 00:00:00.000", "to 2026-01-01 00:00:00.000"),
    ],
)
def test_a_block_that_differs_from_its_metadata_is_found(
    history: History, field: str, value: object, text: str
) -> None:
    changed(history, 1, **{field: value})
    findings = history.verify().findings
    assert [finding.kind for finding in findings] == [FindingKind.INDEX_DIFFERS, FindingKind.BLOCK_DAMAGED]
    assert text in findings[1].text
    where = findings[1].session_id, findings[1].partition, findings[1].first_offset, findings[1].last_offset
    assert where == ("b", 0, 1, 1)


def test_a_file_whose_retention_period_is_over_may_be_gone(history: History) -> None:
    history.files[0].unlink()
    assert kinds(history, now_ms=NOW_MS + 29 * DAY_MS) == [FindingKind.FILE_MISSING] * 2
    report = history.verify(now_ms=NOW_MS + 31 * DAY_MS)
    assert report.findings == []
    assert report.notes == ["1 files are gone, as their retention period is over"]


def test_metadata_older_than_its_topic_is_not_missed(history: History) -> None:
    del history.metadata[1]
    assert kinds(history) == [FindingKind.METADATA_MISSING]
    assert kinds(history, metadata_ms=NOW_MS + 1) == []


def test_metadata_without_an_account_is_checked_without_it(history: History) -> None:
    history.metadata[0] = history.metadata[0]._replace(headers=[])
    report = history.verify()
    assert report.findings == []
    assert report.notes == ["1 batches have no account: it was lost, or an earlier version wrote them"]


def test_a_metadata_topic_without_what_was_committed_is_noted(history: History) -> None:
    history.metadata.clear()
    [note] = history.verify().notes
    assert note.endswith("but no account: is their metadata elsewhere?")
    assert history.verify(metadata_ms=NOW_MS + 1).notes == [], "it may have been removed"
    history.committed[0] = history.committed[0]._replace(offset=1)
    assert len(history.verify().notes) == 1
    history.committed[0] = history.committed[0]._replace(offset=0)
    assert history.verify().notes == [], "nothing was read yet"


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[1]", b'{"uuid": 1}', b"\xff"])
def test_a_foreign_metadata_record_is_found(history: History, value: bytes | None) -> None:
    history.metadata.append(Record("metadata", 2, 7, NOW_MS, [], value))
    [finding] = history.verify().findings
    assert str(finding).startswith("metadata_unreadable: the record metadata/2 at 7 can't be read: ")


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"topic": "t", "group": "g", "partitions": {"0": {"start": 1}}}']
)
def test_a_foreign_account_is_found(history: History, text: bytes) -> None:
    history.metadata[0] = history.metadata[0]._replace(headers=[(ACCOUNT_HEADER, text)])
    assert FindingKind.METADATA_UNREADABLE in kinds(history)


def test_offsets_in_two_accounts_are_found(history: History) -> None:
    history.carried.clear()
    history.batch({0: Part({1: "a", 2: "b"}, next=2)})
    history.batch({0: Part({2: "a", 3: "b"})})
    found = [finding for finding in history.verify().findings if finding.kind is FindingKind.ACCOUNTS_OVERLAP]
    assert [(finding.first_offset, finding.last_offset) for finding in found] == [(0, 1), (2, 2)]


def test_a_gap_between_two_accounts_is_found(history: History) -> None:
    history.batch({0: Part({3: "a", 4: "b"})})
    del history.metadata[2:]
    history.batch({0: Part({5: "a"})})
    [finding] = history.verify().findings
    assert (finding.kind, finding.first_offset, finding.last_offset) == (FindingKind.MESSAGES_MISSING, 3, 4)
    assert finding.text == "no account says what became of 2 offsets"
    assert kinds(history, metadata_ms=NOW_MS) == [FindingKind.MESSAGES_MISSING]
    assert kinds(history, metadata_ms=NOW_MS + 1) == [], "the account may have been removed"


def test_a_committed_offset_past_all_accounts_and_one_before_them(history: History) -> None:
    reached = history.committed[0]
    history.committed[0] = reached._replace(offset=5)
    [finding] = history.verify().findings
    assert (finding.kind, finding.first_offset, finding.last_offset) == (FindingKind.MESSAGES_MISSING, 3, 4)
    assert finding.text == "no account says what became of 2 committed offsets"
    assert kinds(history, metadata_ms=NOW_MS) == [FindingKind.MESSAGES_MISSING]
    assert kinds(history, metadata_ms=NOW_MS + 1) == [], "the account may have been removed"
    history.committed[0] = reached._replace(offset=1)
    assert kinds(history) == [FindingKind.OFFSETS_BEHIND]


def test_a_batch_committed_while_it_is_read_is_not_judged(history: History) -> None:
    reached = dict(history.committed)
    history.batch({0: Part({3: "a", 4: "b"})})
    history.committed = reached
    del history.metadata[-1]
    longest = 900_000  # a transaction that lasts longer is aborted, so what is missing then is missing
    assert kinds(history, now_ms=NOW_MS + longest) == [FindingKind.OFFSETS_BEHIND]
    assert FindingKind.METADATA_MISSING in kinds(history, now_ms=NOW_MS + longest + 1)


def test_a_message_may_be_on_the_dlq_once_for_each_group(history: History, tmp_path: Path) -> None:
    history.batch({0: Part({4: "a"}, dlq=[3])})
    other = History(tmp_path, group="others")
    other.batch({0: Part({0: "a", 1: "b", 2: "a", 4: "a"}, dlq=[3])})
    history.metadata += other.metadata
    history.dlq += other.dlq
    doubled = [finding for finding in history.verify().findings if finding.kind is FindingKind.DLQ_DOUBLED]
    assert doubled == []
    history.dlq += other.dlq
    [finding] = [finding for finding in history.verify().findings if finding.kind is FindingKind.DLQ_DOUBLED]
    assert (finding.text, finding.first_offset) == ("the message is on the DLQ 3 times", 3)


def test_a_message_of_a_topic_without_accounts_is_on_the_dlq_once(history: History) -> None:
    history.dlq.append(dlq_record("another", 0, 5, 0))
    assert kinds(history) == []
    history.dlq.append(dlq_record("another", 0, 5, 1))
    assert kinds(history) == [FindingKind.DLQ_DOUBLED]


def test_snappy_blocks_are_checked_without_an_index(history: History) -> None:
    text = line(NOW_MS, n=3) + b"\n"
    path = history.folder / "snappy"
    path.write_bytes(bytes(cramjam.snappy.compress_raw(text)))
    record = history.metadata[1]
    history.metadata.append(record._replace(offset=9))
    fields = {"uuid": "other", "codec": "snappy", "size": len(text), "batch_id": "b2", "session_id": "s"}
    changed(history, 2, **fields, block_url=f"{path.as_uri()}?range=bytes=0-{path.stat().st_size - 1}")
    assert kinds(history) == []
    path.write_bytes(path.read_bytes()[:-1])
    assert kinds(history) == [FindingKind.BLOCK_CUT]
    path.write_bytes(b"\xff" * 100)
    assert kinds(history) == [FindingKind.BLOCK_DAMAGED]


@pytest.mark.parametrize(
    ("text", "is_event"),
    [
        (b'["w",{"timestamp":%d,"data":"\\ud83d"}]', True),
        (b'["w",{"timestamp":%d,"data":1' + b"0" * 5000 + b"}]", True),
        (b'["w",{"timestamp":%d,"data":' + b"[" * 4000 + b"]" * 4000 + b"}]", True),
        (b'["w",{"timestamp":%d', False),
        (b'["w",[%d]]', False),
    ],
    ids=["lone surrogate", "long number", "deep", "cut", "no event"],
)
def test_lines_are_events_however_odd(history: History, text: bytes, is_event: bool) -> None:
    lines = text % NOW_MS + b"\n"
    path = history.folder / "odd"
    path.write_bytes(bytes(cramjam.snappy.compress_raw(lines)))
    history.metadata.append(history.metadata[1]._replace(offset=9))
    fields = {"uuid": "other", "codec": "snappy", "size": len(lines), "batch_id": "b2"}
    changed(history, 2, **fields, block_url=f"{path.as_uri()}?range=bytes=0-{path.stat().st_size - 1}")
    assert kinds(history) == ([] if is_event else [FindingKind.BLOCK_DAMAGED])


def test_a_copy_can_be_checked_instead_of_the_files(history: History, tmp_path: Path) -> None:
    copy = tmp_path / "a copy"
    history.folder.joinpath("blocks").rename(copy)
    assert FindingKind.FILE_MISSING in kinds(history)
    assert kinds(history, moved={f"{tmp_path.as_uri()}/blocks": str(copy)}) == []
    assert parse_moved((f"file:///somewhere={copy}",)) == {"file:///somewhere": str(copy)}


@pytest.mark.parametrize("text", ["file:///x", "/a=/tmp", "file:///x=/nowhere/at/all"])
def test_a_wrong_place_for_a_copy_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="must be URL_PREFIX=PLACE"):
        parse_moved((text,))


def test_urls() -> None:
    assert parse_block_url("file:///a%20b?range=bytes=5-9") == ("file:///a%20b", 5, 5)
    assert Locator(Settings(storage_dir="/")).open("file:///a%20b").name == "/a b"
    for url in ("file:///a", "file:///a?range=bytes=9-5", "?range=bytes=0-1"):
        with pytest.raises(ValueError, match="not a block URL"):
            parse_block_url(url)


def test_a_block_is_from_its_first_event_to_its_last(history: History) -> None:
    lines = b"".join(line(NOW_MS + at) + b"\n" for at in (1_000, 0, 3_000, 2_000))
    path = history.folder / "several"
    path.write_bytes(bytes(cramjam.snappy.compress_raw(lines)))
    history.metadata.append(history.metadata[1]._replace(offset=9))
    fields = {"uuid": "other", "codec": "snappy", "size": len(lines), "batch_id": "b2", "event_count": 4}
    url = f"{path.as_uri()}?range=bytes=0-{path.stat().st_size - 1}"
    for last, expected in ((3_000, []), (2_000, [FindingKind.BLOCK_DAMAGED])):
        changed(history, 2, **fields, block_url=url, last_timestamp=utc_text(NOW_MS + last))
        assert kinds(history) == expected


def test_a_topic_created_again_is_another_topic(tmp_path: Path) -> None:
    """The same offsets stand for other messages in it."""
    history = History(tmp_path)
    history.topic_id = "first"
    history.batch({0: Part({0: "a", 1: "b"}, dlq=[2])})
    history.create_topic_again("second")
    history.batch({0: Part({0: "a", 1: "b"}, dlq=[2])})
    history.batch({0: Part(dropped=1, next=4)})
    report = history.verify()
    assert (report.findings, report.notes) == ([], [])
    assert (report.partitions, report.recorded, report.dlq) == (2, 4, 2)


def test_a_gap_of_a_topic_created_again_is_named_with_its_id(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.topic_id = "first"
    history.batch({0: Part({0: "a", 1: "b"})})
    history.create_topic_again("second")
    history.carried[0] = Account(1, 1)
    history.batch({0: Part({1: "a"})})
    history.batch({0: Part({3: "a"}, next=4)})
    history.metadata[-1] = history.metadata[-1]._replace(
        headers=[account_header(history.topic, GROUP, {0: Account(3, 4, recorded=1)}, topic_id="second")]
    )
    [finding] = history.verify().findings
    assert (finding.kind, finding.topic, finding.first_offset) == (FindingKind.MESSAGES_MISSING, "recordings@second", 2)


def test_what_earlier_versions_sent_to_the_dlq_counts_for_accounts_with_an_id(tmp_path: Path) -> None:
    """An account that waited with an offset is included in one of a later version."""
    history = History(tmp_path)
    history.batch({0: Part(dlq=[0])})
    history.topic_id = "id"
    history.batch({0: Part({1: "a"}, dlq=[2])})
    assert kinds(history) == []
