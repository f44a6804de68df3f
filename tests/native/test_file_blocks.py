"""FileBlocks: what it writes of blocks, compared with plain Python, and what it refuses."""

import json
from array import array
from collections import Counter
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker import _native
from recording_worker.formats.batch_file import parse_block_url
from recording_worker.formats.timestamps import LAST_MS, utc_text
from tests.decoders import call_native
from tests.inputs import EVENT, Input, plain_value
from tests.reference.block_records import block_metadata, console_log, index_entry
from tests.session_files import metadata_facts, records_of

TEAM = -(2**63)
MAX_DIFF_MS = 2**62
texts = st.text(max_size=30) | st.sampled_from(['\x00\x1f\x7f"\\/\b\f\n\r\t', "\u2028é𝄞", "\ufffd" * 20])
times = st.integers(1, 2 * LAST_MS) | st.floats(0.001, 8.64e15) | st.sampled_from([1e-300, 5e-324, 1e15, 86_399_999.9])
levels = st.sampled_from(["log", "warn", "error"])


def full_snapshot(time: float, url: str, shown: str) -> dict[str, Any]:
    return {"type": 2, "timestamp": time, "data": {"href": url, "wireframes": [{"id": 1, "type": shown}]}}


def console(time: float, level: str, message: str) -> dict[str, Any]:
    data = {"plugin": "rrweb/console@1", "payload": {"level": level, "payload": [message]}}
    return {"type": 6, "timestamp": time, "data": data}


events = st.builds(full_snapshot, times, texts, st.sampled_from(["screenshot", "text"])) | st.builds(
    console, times, levels, texts
)


def file_of(values: list[bytes], offsets: list[int], partition: int) -> tuple[_native.FileBlocks, _native.DecodedBatch]:
    rows = len(values)
    decoder = _native.Decoder(max_timestamp_diff_ms=MAX_DIFF_MS)
    call = call_native(decoder, [Input(value) for value in values])
    assert not any(call.dispositions)
    batch = _native.SessionBatch()
    batch.record(
        call.decoded,
        array("q", [partition]) * rows,
        array("q", offsets),
        call.dispositions,
        call.reasons,
        array("i", bytes(4 * rows)),
        array("q", [TEAM]),
        b"\1",
        bytes(rows),
    )
    (file,) = batch.take()
    return file, call.decoded


@given(st.data())
def test_what_is_written_of_a_block_is_what_plain_python_writes(data: st.DataObject) -> None:
    names = st.fixed_dictionaries({"session_id": texts.filter(bool), "distinct_id": texts, "library": texts})
    given_names = data.draw(names)
    messages = data.draw(st.lists(st.lists(events, min_size=1, max_size=4), min_size=1, max_size=3))
    offsets = data.draw(st.lists(st.integers(0, 2**63 - 1), min_size=len(messages), max_size=len(messages)))
    partition, source, batch_id = data.draw(st.tuples(st.integers(0, 2**31), texts, texts))
    properties = {
        "$session_id": json.dumps(given_names["session_id"]),
        "$lib": json.dumps(given_names["library"]),
        "$snapshot_source": json.dumps(data.draw(st.sampled_from(["web", "mobile"]))),
    }
    envelope = {"distinct_id": json.dumps(given_names["distinct_id"])}
    values = [plain_value([json.dumps(e) for e in each], properties, None, envelope) for each in messages]
    file, decoded = file_of(values, offsets, partition)

    (block,) = file.session_blocks()
    summary, found_messages = block.summary(), block.messages()
    assert found_messages == list(zip(offsets, map(decoded.event_count, range(decoded.rows)), strict=True))
    assert (len(file), file.messages, file.events, file.raw_bytes) == (
        1, summary.message_count, summary.event_count, summary.size,
    )  # fmt: skip
    assert file.offsets() == {partition: (min(offsets), max(offsets))}
    assert file.sessions(partition) == [(TEAM, decoded.session_id(0))]
    assert file.sessions(partition + 1) == []
    logs = [log for row in range(decoded.rows) for log in decoded.console_logs(row)]
    length = data.draw(st.integers(1, 2**60))
    file.store([length])
    session: dict[str, Any] = {"team_id": TEAM, "session_id": decoded.session_id(0)}

    expected = index_entry(
        summary, **session, partition=partition, source=source, messages=found_messages, start=0, length=length
    )
    assert_same_json(file.index_entries({partition: source}), [expected])

    random, now_ms = data.draw(st.binary(min_size=10, max_size=10)), data.draw(st.integers(0, 2**48 - 1))
    facts = metadata_facts(file, "1y", batch_id=batch_id, url="file:///é", random=random, now_ms=now_ms)
    ((key, value),) = records_of(file.metadata(**facts)[partition])
    record = orjson.loads(value)
    uuid = UUID(record.pop("uuid"))
    assert (uuid.version, uuid.int >> 80) == (7, now_ms)
    assert parse_block_url(record["block_url"]) == ("file:///é", 0, length)
    counts = Counter({"info": 0, "warn": 0, "error": 0}) + Counter(log.level for log in logs)
    expected = block_metadata(
        summary,
        **session,
        partition=partition,
        retention_days=365,
        batch_id=batch_id,
        codec="zstd",
        block_url=f"file:///é?range=bytes=0-{length - 1}",
        console=counts,
    )
    assert_same_json(orjson.dumps(record), expected)
    assert key == decoded.session_id(0).encode()

    found = [record for packed in file.console_logs(partition, batch_id) for record in records_of(packed)]
    assert [key for key, _ in found] == [decoded.session_id(0).encode()] * len(found)
    wanted = []
    for row in range(decoded.rows):
        first_of_each: dict[tuple[str, str], float] = {}
        for log in decoded.console_logs(row):
            first_of_each.setdefault((log.level, log.message), log.timestamp)
        wanted += [
            console_log(**session, batch_id=batch_id, level=level, message=message, timestamp=time)
            for (level, message), time in first_of_each.items()
        ]
    assert [orjson.loads(value) for _, value in found] == wanted


def assert_same_json(text: bytes, expected: object) -> None:
    """The same values, members in the same order, and integers where they are integers."""
    assert orjson.dumps(orjson.loads(text)) == orjson.dumps(expected)


@given(times | st.integers(0, LAST_MS + 10))
def test_times_are_written_as_the_reader_of_times_writes_them(time: float) -> None:
    if time <= 0:
        return
    event = json.dumps({"type": 3, "timestamp": time, "data": {}})
    file, _ = file_of([plain_value([event])], [0], 0)
    file.store([1])
    ((_, value),) = records_of(file.metadata(**metadata_facts(file, "30d"))[0])
    assert orjson.loads(value)["first_timestamp"] == utc_text(float(time))


def several(sessions: int) -> _native.FileBlocks:
    values = [plain_value([EVENT], {"$session_id": f'"{number}"'}) for number in range(sessions)]
    return file_of(values, list(range(sessions)), 0)[0]


def test_blocks_are_stored_one_after_the_other() -> None:
    file = several(4)
    file.store([5, 7])
    assert file.stored == 2
    file.store([1, 9])
    entries = json.loads(file.index_entries({0: "s"}))
    assert [(entry["start"], entry["length"]) for entry in entries] == [(0, 5), (5, 7), (12, 1), (13, 9)]


def test_the_lines_of_stored_blocks_are_freed() -> None:
    file = several(2)
    first, second = file.session_blocks()
    file.store([5])
    assert (first.lines(), second.lines() != b"") == (b"", True)
    assert first.summary().event_count == 1


def test_more_lengths_than_blocks_are_refused() -> None:
    file = several(2)
    file.store([1])
    with pytest.raises(ValueError, match="2 blocks, but only 1 are not stored yet"):
        file.store([1, 1])
    assert file.stored == 1


def test_metadata_of_blocks_that_are_not_stored_is_refused() -> None:
    file = several(2)
    file.store([1])
    with pytest.raises(ValueError, match="1 of 2 blocks are stored"):
        file.metadata(**metadata_facts(file, "30d"))


def test_every_block_takes_its_random_bytes() -> None:
    file = several(2)
    file.store([1, 1])
    with pytest.raises(ValueError, match="2 blocks take 20 random bytes, not 19"):
        file.metadata(**metadata_facts(file, "30d", random=bytes(19)))


def test_a_partition_without_a_source_is_refused() -> None:
    with pytest.raises(ValueError, match=r"partitions without a source: \[0\]"):
        several(1).index_entries({1: "s"})


def test_records_end_where_they_end() -> None:
    file = several(2)
    file.store([1, 1])
    packed = file.metadata(**metadata_facts(file, "30d"))[0]
    assert len(packed) == 2
    for number in (2, -1):
        with pytest.raises(IndexError, match="of 2"):
            packed[number]
