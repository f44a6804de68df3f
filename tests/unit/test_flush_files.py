"""What a flush stores and delivers: files, blocks, records and offsets."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import zstandard

from recording_worker._native import Decoder
from recording_worker.errors import FlushError
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.lookups.teams.service import Team
from recording_worker.metrics import Metrics
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.pipeline.steps.resolve_team import ResolveTeam
from recording_worker.reading.batch_files import Block, read_index
from recording_worker.reading.session_events import session_lines
from recording_worker.recording.session_batch import FlushReason, SessionBatchRecorder, SessionLimits
from recording_worker.settings.choices import Codec
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Part
from recording_worker.storage.local.backend import LocalStorage
from recording_worker.storage.local.file import LocalFile
from tests.batch_files import make_dictionary, store_dictionary, undamaged
from tests.builders import NOW_MS, TOPIC, batch, event, session_message
from tests.reference import snappy
from tests.sample import sample_messages
from tests.unit.flushing import WAITING, Deliveries, Make, blocks, files, flush, offsets_of, session_batch
from tests.unit.test_session_batch import decoded, record_all


def test_the_dictionary_is_stored_once_before_the_files_that_need_it(tmp_path: Path, flusher_of: Make) -> None:
    dictionary = make_dictionary()
    (given := tmp_path / "given").write_bytes(dictionary.content)
    settings = Settings(storage_prefix="a/b", zstd_dictionary=given)
    written: list[str] = []

    class Storage(LocalStorage):
        def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:
            url = super().write(key, parts, metadata)
            written.append(key)
            return url

    for _ in range(2):  # two workers
        flusher = flusher_of(Storage(tmp_path / "root"), settings=settings)
        assert not written
        flush(flusher, SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0))
        assert not written
        flush(flusher, session_batch("a"))
        flush(flusher, session_batch("b"))
        key = f"a/b/dictionaries/{dictionary.id}"
        assert [written[0], *(name.rsplit("/", 1)[0] for name in written[1:])] == [key, "a/b/30d", "a/b/30d"]
        written.clear()
    assert (tmp_path / "root" / key).read_bytes() == dictionary.content
    found = blocks(tmp_path / "root")
    assert {block.index.dictionary for block in found} == {dictionary.id}
    assert sorted(block.entry.session_id for block in found) == ["a", "a", "b", "b"]
    assert {len(block.read()) for block in found} == {block.entry.size for block in found}


def test_no_file_is_written_if_its_dictionary_can_not_be_stored(tmp_path: Path, flusher_of: Make) -> None:
    dictionary = make_dictionary()
    (given := tmp_path / "given").write_bytes(dictionary.content)
    stored = store_dictionary(tmp_path / "root", dictionary)
    stored.write_bytes(b"something else")
    flusher = flusher_of(LocalStorage(tmp_path / "root"), settings=Settings(zstd_dictionary=given))
    with pytest.raises(FlushError, match=f"^can't write {stored}: File exists$"):
        flush(flusher, session_batch("a"))
    assert files(tmp_path / "root") == [stored]


def test_a_batch_becomes_a_file_for_each_retention_period(
    tmp_path: Path, flusher_of: Make, deliveries: Deliveries
) -> None:
    batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    expected: dict[str, bytes] = {}
    for number, (session_id, retention) in enumerate([("a", "30d"), ("b", "5y"), ("c", "30d")]):
        messages = [
            session_message(10 + number, session_id, [event(NOW_MS + number, 2, node={})], partition=number),
            session_message(20 + number, session_id, [event(), event()], partition=number),
        ]
        rows = decoded(*messages, team=Team(1, console_logs=True, retention=retention))
        assert rows.decoded is not None
        expected[session_id] = b"".join(map(rows.decoded.lines, range(2)))
        record_all(batch, rows)
    batch_id = batch.batch_id
    flush(flusher_of(), batch)

    names = [path.relative_to(tmp_path).as_posix() for path in files(tmp_path)]
    assert [name.rpartition("/")[0] for name in names] == ["blocks/30d", "blocks/5y"]
    assert all(name.endswith(f"-{NOW_MS}-{batch_id}") for name in names)
    found = {block.entry.session_id: block for block in blocks(tmp_path)}
    assert {session_id: block.read() for session_id, block in found.items()} == expected
    first = found["a"]
    assert (first.index.version, first.index.batch_id, first.index.codec) == (1, batch_id, "zstd")
    assert (first.index.retention, first.index.created_ms) == ("30d", NOW_MS)
    entry = first.entry
    assert (entry.team_id, entry.distinct_id, entry.source, entry.partition) == (1, "user-1", f"{TOPIC}/0", 0)
    assert (entry.first_offset, entry.last_offset, entry.messages) == (10, 20, [(10, 1), (20, 2)])
    assert (entry.events, entry.size, entry.has_full_snapshot) == (3, len(expected["a"]), True)
    assert (entry.first_full_snapshot_position, entry.first_full_snapshot_timestamp) == (0, NOW_MS)
    assert (entry.out_of_order_count, entry.gap_count) == (0, 0)
    assert (entry.first_timestamp, entry.last_timestamp) == (NOW_MS, NOW_MS)
    out = subprocess.run(["zstd", "-dc", *files(tmp_path)], check=True, capture_output=True).stdout
    assert out == expected["a"] + expected["c"] + expected["b"]

    (flushed,) = deliveries.delivered
    assert offsets_of(flushed) == {0: 21, 1: 22, 2: 23}
    assert (flushed.sessions, flushed.messages, flushed.events) == (3, 6, 9)
    assert flushed.raw_bytes == sum(map(len, expected.values()))
    assert flushed.bytes_written == sum(path.stat().st_size for path in files(tmp_path))


def test_the_metadata_leads_to_the_block(tmp_path: Path, flusher_of: Make, deliveries: Deliveries) -> None:
    flush(flusher_of(), session_batch("a", "b"))
    found = {block.entry.session_id: block.read() for block in blocks(tmp_path)}
    records = deliveries.delivered[0].records
    assert [(record.topic, record.key, record.headers) for record in records] == [
        ("clickhouse_session_replay_events", key, []) for key in (b"a", b"b")
    ]
    for metadata in deliveries.values("clickhouse_session_replay_events"):
        url = urlsplit(metadata["block_url"])
        first, last = map(int, url.query.removeprefix("range=bytes=").split("-"))
        frame = Path(unquote(url.path)).read_bytes()[first : last + 1]
        assert zstandard.decompress(frame) == found[metadata["session_id"]]


def test_console_logs_and_waiting_records_leave_with_the_batch(flusher_of: Make, deliveries: Deliveries) -> None:
    batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    log = event(NOW_MS, 6, plugin="rrweb/console@1", payload={"level": "warn", "payload": ["careful"]})
    rows = decoded(session_message(0, "a", [log]))
    rows.records.append((0, WAITING))
    record_all(batch, rows)
    flush(flusher_of(), batch)
    (flushed,) = deliveries.delivered
    assert WAITING in flushed.records
    (log_entry,) = deliveries.values("log_entries")
    assert (log_entry["message"], log_entry["log_source_id"]) == ("careful", "a")
    assert [record.key for record in flushed.records if record.topic == "log_entries"] == [b"a"]
    (metadata,) = deliveries.values("clickhouse_session_replay_events")
    assert metadata["console_warn_count"] == 1


def test_a_batch_without_sessions_writes_no_file_but_moves_the_offsets(
    tmp_path: Path, flusher_of: Make, deliveries: Deliveries
) -> None:
    batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    rows = decoded(session_message(4, "a"))
    rows.records.append((0, WAITING))
    batch.take(rows.records, rows.advances())
    flush(flusher_of(), batch)
    (flushed,) = deliveries.delivered
    assert [*flushed.records] == [WAITING]
    assert (offsets_of(flushed), flushed.sessions, flushed.bytes_written) == ({0: 5}, 0, 0)
    assert files(tmp_path) == []


def test_snappy_files_are_their_blocks_and_an_index(tmp_path: Path, flusher_of: Make, deliveries: Deliveries) -> None:
    batch = session_batch("a", "b")
    rows = decoded(session_message(0, "a"))
    assert rows.decoded is not None
    flush(flusher_of(codec=Codec.SNAPPY), batch)
    (path,) = files(tmp_path)
    ranges = []
    for metadata in deliveries.values("clickhouse_session_replay_events"):
        assert metadata["codec"] == "snappy"
        first, last = map(int, metadata["block_url"].partition("?range=bytes=")[2].split("-"))
        ranges.append((first, last))
        lines = snappy.decompress(path.read_bytes()[first : last + 1])
        assert lines == rows.decoded.lines(0)
    assert [first for first, _ in ranges] == [0, ranges[0][1] + 1]
    index = read_index(LocalFile(path))
    assert index.codec == "snappy"
    assert [(entry.start, entry.start + entry.length - 1) for entry in index.blocks] == ranges
    assert [found.read() for found in blocks(tmp_path)] == [rows.decoded.lines(0)] * 2


def test_sources_can_be_named_by_the_caller(tmp_path: Path, flusher_of: Make) -> None:
    flush(flusher_of(name_sources=lambda numbers: {n: f"file:{n}:1234" for n in numbers}), session_batch("a"))
    assert [block.entry.source for block in blocks(tmp_path)] == ["file:0:1234"]


def test_partitions_that_are_lost_before_the_flush_are_not_stored(
    tmp_path: Path, flusher_of: Make, deliveries: Deliveries
) -> None:
    batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    for partition, session_id in ((0, "a"), (1, "b")):
        record_all(batch, decoded(session_message(3, session_id, partition=partition)))
    flush(flusher_of(name_sources=lambda _: {1: "held/1"}), batch)
    assert [(block.entry.session_id, block.entry.source) for block in blocks(tmp_path)] == [("b", "held/1")]
    assert offsets_of(deliveries.delivered[0]) == {1: 4}


def test_nothing_is_stored_if_all_partitions_are_lost_before_the_flush(tmp_path: Path, flusher_of: Make) -> None:
    flush(flusher_of(name_sources=lambda _: {}), session_batch("a"))
    assert files(tmp_path) == []


def test_nothing_is_stored_if_the_source_may_be_another(tmp_path: Path, flusher_of: Make) -> None:
    def refuse(_: object) -> dict[int, str]:
        raise FlushError("created again")

    flusher = flusher_of(name_sources=refuse)
    flusher.submit(session_batch("a"), FlushReason.AGE)
    assert flusher.wait(10)
    with pytest.raises(FlushError, match="created again"):
        flusher.raise_if_failed()
    assert files(tmp_path) == []


def test_a_session_over_several_batches_is_exported_whole(tmp_path: Path, flusher_of: Make) -> None:
    flusher = flusher_of()
    expected = b""
    for offset in range(5):
        batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
        rows = decoded(session_message(offset, "a", [event(NOW_MS + offset)]), session_message(offset, "b"))
        assert rows.decoded is not None
        expected += rows.decoded.lines(0)
        record_all(batch, rows)
        flush(flusher, batch)
    of_a = [block for block in blocks(tmp_path) if block.entry.session_id == "a"]
    assert b"".join(text + b"\n" for text in session_lines(of_a, undamaged)) == expected


def test_real_recordings_come_back_whole(tmp_path: Path, flusher_of: Make) -> None:
    """Every line the decoder gave of the sample is in the files and in its session's export, once."""
    flusher = flusher_of()
    lines: dict[tuple[int, str], list[bytes]] = {}
    messages = sample_messages()
    for start in range(0, len(messages), 20):
        rows = batch(*messages[start : start + 20])
        for step in (
            ParseHeaders(),
            ParseSessionRecordingMessage(Decoder(), None, 7.0, Metrics()),
            ResolveTeam(AnyTokenTeams()),
        ):
            step.run(rows)
        assert not any(rows.dispositions)
        recorder = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
        record_all(recorder, rows)
        for row in range(len(rows)):
            decoded, team = rows.decoded, rows.team(row)
            assert decoded is not None
            assert team is not None
            lines.setdefault((team.id, decoded.session_id(row)), []).extend(decoded.lines(row).splitlines())
        flush(flusher, recorder)

    out = subprocess.run(["zstd", "-dc", *files(tmp_path)], check=True, capture_output=True).stdout
    assert Counter(out.splitlines()) == Counter(line for of_session in lines.values() for line in of_session)
    exported: dict[tuple[int, str], list[Block]] = {}
    for block in blocks(tmp_path):
        exported.setdefault((block.entry.team_id, block.entry.session_id), []).append(block)
    assert exported.keys() == lines.keys()
    for session, of_session in lines.items():
        assert list(session_lines(exported[session], undamaged)) == sorted(of_session, key=timestamp)


def timestamp(line: bytes) -> float:
    return float(json.loads(line)[1]["timestamp"])
