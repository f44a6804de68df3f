"""`verify --posthog`: what PostHog's reader can't find or play is found."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recording_worker.messages import Record
from recording_worker.operations.verify.finding import Finding, FindingKind
from tests.builders import NOW_MS
from tests.history import METADATA, History, Part

PREFIX = "session_recordings"
KEY = f"{PREFIX}/30d/1764634738680-3cca0f5d3c7cc7ee"
URL = f"s3://bucket/{KEY}?range=bytes=0-99"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def add(history: History, **fields: Any) -> None:
    """Add a metadata record as PostHog's consumer writes it."""
    value = {
        "session_id": "a",
        "team_id": 1,
        "first_timestamp": "2026-11-24 10:00:00.000",
        "last_timestamp": "2026-11-24 10:00:05.000",
        "block_url": URL,
        "is_deleted": 0,
        **fields,
    }
    history.metadata.append(Record(METADATA, 0, len(history.metadata), NOW_MS, [], json.dumps(value).encode()))


def found(history: History, **given: Any) -> list[Finding]:
    return history.verify(posthog_prefix=PREFIX, **given).findings


def kinds(history: History, **given: Any) -> list[FindingKind]:
    return [finding.kind for finding in found(history, **given)]


def test_what_posthog_wrote_is_as_posthog_wants_it(history: History) -> None:
    add(history)
    add(history, first_timestamp="2026-11-24 10:01:00.000", block_url=f"s3://bucket/{KEY}?range=bytes=100-100")
    add(history, session_id="b", block_url=f"s3://bucket/{PREFIX}/5y/0-ffffffffffffffff?range=bytes=101-200")
    report = history.verify(posthog_prefix=PREFIX)
    assert (report.findings, report.notes, report.written_by_others) == ([], [], 3)
    assert {finding.kind for finding in history.verify().findings} == {FindingKind.METADATA_UNREADABLE}


@pytest.mark.parametrize(
    "key",
    [
        "other/30d/1764634738680-3cca0f5d3c7cc7ee",
        f"recordings/{KEY}",
        f"{PREFIX}/7d/1764634738680-3cca0f5d3c7cc7ee",
        f"{PREFIX}/1764634738680-3cca0f5d3c7cc7ee",
        f"{PREFIX}/30d/-3cca0f5d3c7cc7ee",
        f"{PREFIX}/30d/1764634738680-3cca0f5d3c7cc7e",
        f"{PREFIX}/30d/1764634738680-3CCA0F5D3C7CC7EE",
        f"{PREFIX}/30d/1764634738680-3cca0f5d3c7cc7ee0",
        f"{PREFIX}/30d/0a1b-1764634738680-019c0000-0000-7000-8000-000000000000",
        f"{PREFIX}%2F30d/1764634738680-3cca0f5d3c7cc7ee",
    ],
)
def test_a_key_that_posthog_refuses_is_found(history: History, key: str) -> None:
    add(history, block_url=f"s3://bucket/{key}?range=bytes=0-9")
    [finding] = found(history)
    assert (finding.kind, finding.session_id, finding.team_id) == (FindingKind.POSTHOG_KEY, "a", 1)
    assert finding.file == f"s3://bucket/{key}?range=bytes=0-9"
    assert finding.text == f"the key {key} is not {PREFIX}/(30d|90d|1y|5y)/[0-9]+-[0-9a-f]{{16}}"


@pytest.mark.parametrize(
    "url",
    [
        f"file:///{KEY}?range=bytes=0-9",
        f"https://bucket/{KEY}?range=bytes=0-9",
        f"s3://bucket//{KEY}?range=bytes=0-9",
        f"s3:///{KEY}?range=bytes=0-9",
        f"s3://bucket/{KEY}",
        f"s3://bucket/{KEY}?range=bytes=9-0",
        f"s3://bucket/{KEY}?range=bytes=-9",
        f"s3://bucket/{KEY}?bytes=0-9",
        f"s3://bucket/{KEY}?range=bytes=0-9&x=1",
        f"s3://bucket/{KEY}?range=bytes=0-9\n",
        f"s3://bucket/{KEY}#?range=bytes=0-9",
        "not-a-url",
    ],
)
def test_a_url_that_posthog_can_not_take_apart_is_found(history: History, url: str) -> None:
    add(history, block_url=url)
    [finding] = found(history)
    assert (finding.kind, finding.file, finding.session_id) == (FindingKind.POSTHOG_URL, url, "a")


def test_the_prefix_is_no_pattern(history: History) -> None:
    add(history, block_url=f"s3://bucket/a.b/30d/{KEY.rpartition('/')[2]}?range=bytes=0-9")
    assert history.verify(posthog_prefix="a.b/").findings == []
    assert [finding.kind for finding in history.verify(posthog_prefix="a?b").findings] == [FindingKind.POSTHOG_KEY]


def test_an_empty_url_hides_its_session(history: History) -> None:
    add(history)
    add(history, session_id="b")
    add(history, session_id="b", block_url="")
    [finding] = found(history)
    assert (finding.kind, finding.session_id, finding.file) == (FindingKind.POSTHOG_LIST, "b", URL)
    assert "metadata/0 at 2 has an empty block_url" in finding.text


def test_a_session_with_empty_urls_only_is_found(history: History) -> None:
    add(history, block_url="")
    [finding] = found(history)
    assert (finding.kind, finding.session_id, finding.file) == (FindingKind.POSTHOG_LIST, "a", None)


def test_a_record_without_a_url_is_in_no_array(history: History) -> None:
    add(history)
    add(history, block_url=None, first_timestamp="2026-11-24 10:00:00", last_timestamp="2026-11-24 10:00:00")
    add(history, session_id="tags", block_url=None)
    assert found(history) == []


def test_a_session_that_begins_before_its_first_block_is_found(history: History) -> None:
    add(history)
    add(history, block_url=None, first_timestamp="2026-11-24 09:59:59.999000")
    add(history, team_id=2)
    [finding] = found(history)
    assert (finding.kind, finding.session_id, finding.team_id) == (FindingKind.POSTHOG_LIST, "a", 1)
    assert finding.file == URL
    assert finding.text.startswith(
        "the session begins at 2026-11-24 09:59:59.999000, and its first block at 2026-11-24 10:00:00.000000"
    )


def test_earlier_blocks_that_were_not_read_are_not_missed(history: History) -> None:
    add(history, first_timestamp="2026-11-24 10:00:01.000")
    add(history, block_url=None)
    noon = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1000)  # the records since then are all there
    assert kinds(history) == [FindingKind.POSTHOG_LIST]
    assert kinds(history, metadata_ms=noon) == []
    add(history, block_url="")
    assert kinds(history, metadata_ms=noon) == [FindingKind.POSTHOG_LIST], "an empty URL is wrong in any case"


def test_a_deleted_session_is_hidden_on_purpose(history: History) -> None:
    add(history, first_timestamp="2026-11-24 10:00:01.000")
    add(history, block_url="", is_deleted=1)
    assert found(history) == []


def test_what_this_worker_wrote_is_checked_by_all_rules(history: History) -> None:
    history.batch({0: Part({0: "a", 1: "b"})})
    report = history.verify(posthog_prefix=PREFIX)
    assert report.written_by_others == 0
    both = [FindingKind.POSTHOG_URL, FindingKind.POSTHOG_CODEC]
    assert [(finding.kind, finding.session_id) for finding in report.findings] == [
        (kind, session) for session in ("a", "b") for kind in both
    ]
    history.files[0].unlink()
    assert kinds(history) == [FindingKind.FILE_MISSING] * 2 + both * 2


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"session_id": "a", "team_id": 1}'])
def test_a_record_that_is_of_no_session_can_not_be_read(history: History, value: bytes | None) -> None:
    history.metadata.append(Record(METADATA, 0, 0, NOW_MS, [], value))
    assert kinds(history) == [FindingKind.METADATA_UNREADABLE]
