"""SessionBatch: what it records, compared with plain Python, and what it refuses."""

import gc
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker import _native
from recording_worker.formats.retention import RETENTIONS
from recording_worker.formats.timestamps import utc_text
from recording_worker.outcome import Disposition, Reason
from tests.decoders import call_native
from tests.inputs import EVENT, Input, event_text, plain_value
from tests.session_files import console_logs_of, metadata_facts, records_of, take_sessions, values_of

TEAM_IDS = (3, -1, 2**40)
CAPTURES_CONSOLE = (1, 0, 1)
LIMIT = 6
CONSOLE_LIMIT = 3
INDEX_ENTRY_BYTES, METADATA_BYTES, MESSAGE_BYTES, EVENT_BYTES, CONSOLE_RECORD_BYTES = 1024, 1024, 48, 8, 216
"""What the core counts for each of these, without their texts."""
COUNTED = {"info": "log", "warn": "warn", "error": "error"}
"""Console level → its name in the counts of the metadata."""


@dataclass(frozen=True)
class Row:
    partition: int
    session_id: str
    team: int
    retention: int
    levels: Sequence[str]
    """The console events of the message, all with the same text; it has as many events as levels and one more."""
    ended: bool = False

    def value(self) -> bytes:
        events = [EVENT, *(console(level) for level in self.levels)]
        return plain_value(events, {"$session_id": f'"{self.session_id}"'})


def console(level: str) -> str:
    return console_event(["a text"], level)


def console_event(texts: Sequence[str], level: str = "log") -> str:
    data = {"plugin": "rrweb/console@1", "payload": {"level": level, "payload": [*texts]}}
    return json.dumps({"type": 6, "timestamp": 1795000000000, "data": data})


@dataclass
class Session:
    retention: int
    messages: list[tuple[int, int]] = field(default_factory=list)
    lines: bytes = b""
    counts: dict[str, int] = field(default_factory=lambda: {"info": 0, "warn": 0, "error": 0})
    entries: list[tuple[str, str, float]] = field(default_factory=list)
    left_out: int = 0


class Plain:
    """The same in plain Python."""

    def __init__(self) -> None:
        self.sessions: dict[int, dict[tuple[int, str], Session | None]] = {}
        self.discarded: dict[int, tuple[int, int]] = {}

    def record(self, row: Row, offset: int, decoded: _native.DecodedBatch, number: int) -> bool:
        sessions = self.sessions.setdefault(row.partition, {})
        session = sessions.setdefault((TEAM_IDS[row.team], row.session_id), Session(row.retention))
        if session is None:
            return False
        events = decoded.event_count(number)
        before = sum(count for _, count in session.messages)
        if before + events > LIMIT:
            messages, all_events = self.discarded.get(row.partition, (0, 0))
            self.discarded[row.partition] = (messages + len(session.messages), all_events + before)
            sessions[TEAM_IDS[row.team], row.session_id] = None
            return False
        session.messages.append((offset, events))
        session.lines += decoded.lines(number)
        if CAPTURES_CONSOLE[row.team]:
            logs = [(log.level, log.message, log.timestamp) for log in decoded.console_logs(number)]
            stored: list[tuple[str, str, float]] = []
            for log in logs:
                session.counts[log[0]] += 1
                if log in stored:
                    continue
                if len(session.entries) + len(stored) < CONSOLE_LIMIT:
                    stored.append(log)
                else:
                    session.left_out += 1
            session.entries += stored
        return True

    def held(self) -> dict[tuple[int, int, str], Session]:
        return {
            (partition, *key): session
            for partition in sorted(self.sessions)
            for key, session in self.sessions[partition].items()
            if session is not None
        }

    def index_bytes(self, partition: int) -> int:
        """A session that is kept out counts as one without messages."""
        total = 0
        for (_, session_id), session in self.sessions.get(partition, {}).items():
            total += INDEX_ENTRY_BYTES + len(json.dumps(session_id)) + len(session_id)
            if session is not None:
                total += 2 * len('"user-1""web"') + len('"posthog-js"')
                total += MESSAGE_BYTES * len(session.messages)
        return total

    def bytes(self, partition: int) -> int:
        total = self.index_bytes(partition)
        for (_, session_id), session in self.sessions.get(partition, {}).items():
            id_bytes = len(json.dumps(session_id)) + len(session_id)
            total += METADATA_BYTES + id_bytes
            if session is not None:
                total += len(session.lines)
                total += sum(EVENT_BYTES * events for _, events in session.messages)
                total += sum(CONSOLE_RECORD_BYTES + id_bytes + len(json.dumps(log[1])) for log in session.entries)
        return total


def decode(rows: Sequence[Row]) -> _native.DecodedBatch:
    call = call_native(_native.Decoder(), [Input(row.value()) for row in rows])
    assert not any(call.dispositions)
    return call.decoded


def columns(rows: Sequence[Row], first_offset: int = 0) -> dict[str, Any]:
    return {
        "partitions": array("q", [row.partition for row in rows]),
        "offsets": array("q", range(first_offset, first_offset + len(rows))),
        "dispositions": bytearray(Disposition.DLQ if row.ended else 0 for row in rows),
        "reasons": bytearray(len(rows)),
        "team_codes": array("i", [-1 if row.ended else row.team for row in rows]),
        "team_ids": array("q", TEAM_IDS),
        "captures_console": bytes(CAPTURES_CONSOLE),
        "retentions": bytes(row.retention for row in rows),
    }


ROWS = st.builds(
    Row,
    partition=st.integers(0, 2),
    session_id=st.sampled_from(["a", "b", "c"]),
    team=st.sampled_from([0, 0, 1, 2]),
    retention=st.integers(0, 3),
    levels=st.lists(st.sampled_from(["log", "warn", "error"]), max_size=3),
    ended=st.sampled_from([False, False, False, True]),
)


@given(st.lists(st.lists(ROWS, max_size=12), min_size=1, max_size=4))
def test_calls_record_what_plain_python_records(polls: list[list[Row]]) -> None:
    batch, plain, offset = _native.SessionBatch(LIMIT, CONSOLE_LIMIT), Plain(), 0
    for rows in polls:
        decoded, given_columns = decode(rows), columns(rows, offset)
        recorded = batch.record(decoded, **given_columns)
        outcomes = [
            plain.record(row, offset + number, decoded, number) if not row.ended else None
            for number, row in enumerate(rows)
        ]
        done = [number for number, outcome in enumerate(outcomes) if outcome]
        assert recorded == (
            sum(decoded.event_count(number) for number in done),
            [number for number, outcome in enumerate(outcomes) if outcome is False],
        )
        codes = {True: Disposition.OK, False: Disposition.DROP, None: Disposition.DLQ}
        assert list(given_columns["dispositions"]) == [codes[outcome] for outcome in outcomes]
        ended = Reason.SESSION_EVENT_LIMIT
        assert list(given_columns["reasons"]) == [ended if outcome is False else 0 for outcome in outcomes]
        offset += len(rows)
    expected = plain.held()
    for partition in range(3):
        held = [session for key, session in expected.items() if key[0] == partition]
        assert batch.partition(partition) == (
            len(held),
            plain.bytes(partition),
            plain.index_bytes(partition),
            sum(len(session.messages) for session in held),
            sum(events for session in held for _, events in session.messages),
            sum(len(session.lines) for session in held),
            sum(len(session.entries) for session in held),
            sum(session.left_out for session in held),
            *plain.discarded.get(partition, (0, 0)),
        )
    total = batch.total()
    assert total == tuple(map(sum, zip(*map(batch.partition, range(3)), strict=True)))
    sessions = take_sessions(batch)
    assert len(sessions) == len(expected)
    for retention in range(4):
        wanted = [key for key, session in expected.items() if session.retention == retention]
        assert [found.key for found in sessions if found.retention == RETENTIONS[retention]] == wanted
    for found in sessions:
        session = expected[found.key]
        assert found.retention == RETENTIONS[session.retention]
        assert (found.messages, found.lines) == (session.messages, session.lines)
        counts = {level: found.metadata[f"console_{name}_count"] for level, name in COUNTED.items()}
        entries = [(log["level"], log["message"], log["timestamp"]) for log in found.console_logs]
        assert counts == session.counts
        assert entries == [(level, message, utc_text(time)) for level, message, time in session.entries]
    assert not any(batch.total())


def row(session_id: str = "a", partition: int = 0, levels: Sequence[str] = ()) -> Row:
    return Row(partition, session_id, 0, 0, levels)


def record(batch: _native.SessionBatch, *rows: Row) -> _native.Recorded:
    return batch.record(decode(rows), **columns(rows))


def test_without_a_limit_a_session_may_have_any_number_of_events() -> None:
    batch = _native.SessionBatch()
    assert record(batch, *[row()] * 100).events == 100


def test_console_messages_past_the_limit_are_counted_and_not_stored() -> None:
    batch = _native.SessionBatch(None, 2)
    record(batch, row(levels=["log", "warn", "error"]), row(levels=["warn"]), row("b", levels=["log"]))
    assert (batch.total().console_logs_stored, batch.total().console_logs_left_out) == (3, 2)
    first, second = take_sessions(batch)
    assert [log["level"] for log in first.console_logs] == ["info", "warn"]
    assert [first.metadata[f"console_{name}_count"] for name in COUNTED.values()] == [1, 2, 1]
    assert len(second.console_logs) == 1


texts = st.text(max_size=20) | st.sampled_from(['\x00\x1f"\\\n\t', "\u2028é𝄞"])


@given(
    st.lists(st.tuples(texts.filter(bool), texts, texts, st.lists(texts, max_size=4)), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_what_a_batch_counts_is_at_least_what_it_stores_and_sends(
    sessions: list[tuple[str, str, str, list[str]]], repeated: int
) -> None:
    values = []
    for session_id, distinct_id, library, contents in sessions * repeated:
        logs = [console_event([text]) for text in contents]
        urls = [json.dumps({"type": 4, "timestamp": 1795000000000, "data": {"href": text}}) for text in contents]
        properties = {"$session_id": json.dumps(session_id), "$lib": json.dumps(library)}
        values.append(plain_value([EVENT, *logs, *urls], properties, None, {"distinct_id": json.dumps(distinct_id)}))
    decoded = call_native(_native.Decoder(), [Input(value) for value in values]).decoded
    batch = _native.SessionBatch()
    batch.record(decoded, **columns([row()] * len(values)))
    counted, index_bytes = batch.total()[1:3]
    (file,) = batch.take()
    file.store([2**40] * len(file))
    sizes = [file.raw_bytes, len(file.index_entries({0: "session_recording_snapshot_item_events/123456"}))]
    facts = metadata_facts(file, "1y", batch_id=str(UUID(int=0)), url="s3://bucket/prefix" + "/name" * 20)
    records = [*values_of(file.metadata(**facts)), *console_logs_of(file)]
    sizes += [len(key) + len(value) for _, key, value in records]
    assert sizes[1] <= index_bytes
    assert sum(sizes) <= counted


def test_console_logs_come_in_pieces_that_hold_all_of_a_partition() -> None:
    texts = [[f"{number} " + "x" * 1000 for number in range(start, start + 400)] for start in (0, 400, 800)]
    batch = _native.SessionBatch()
    values = [plain_value([EVENT, *(console_event([text]) for text in each)]) for each in texts]
    decoded = call_native(_native.Decoder(), [Input(value) for value in values]).decoded
    batch.record(decoded, **{**columns([row()] * 3), "partitions": array("q", [0, 7, 7])})
    (file,) = batch.take()
    for partition, wanted in ((0, texts[0]), (7, texts[1] + texts[2]), (3, [])):
        for _ in range(2):  # a delivery may need them again
            pieces = [[*records_of(packed)] for packed in file.console_logs(partition, "batch-1")]
            assert [json.loads(value)["message"] for piece in pieces for _, value in piece] == wanted
            assert all(sum(len(value) for _, value in piece) < 300_000 for piece in pieces)
            assert (len(pieces) > 1) is bool(wanted)


def test_a_discarded_partition_is_gone_and_its_sessions_may_come_again() -> None:
    batch = _native.SessionBatch(1)
    record(batch, row("a"), row("b", partition=1), row("a"))
    assert record(batch, row("a")).ended == [0]
    assert (batch.discard(0), batch.discard(0), batch.discard(7)) == (0, 0, 0)
    assert record(batch, row("a")).events == 1
    assert batch.discard(1) == 1
    assert [found.key[2] for found in take_sessions(batch)] == ["a"]


def test_sessions_outlive_their_batch_and_what_was_decoded() -> None:
    value = plain_value([event_text(f'"{"x" * 3_000_000}"')] * 2)
    decoded = call_native(_native.Decoder(), [Input(value)]).decoded
    lines = decoded.lines(0)
    batch = _native.SessionBatch()
    batch.record(decoded, **columns([row()]))
    (file,) = batch.take()
    (block,) = file.session_blocks()
    del batch, decoded, file
    gc.collect()
    call_native(_native.Decoder(), [Input(plain_value([event_text(f'"{"y" * 3_000_000}"')]))])
    assert block.lines() == lines


def test_no_rows_record_nothing() -> None:
    empty = {**columns([]), "team_ids": array("q"), "captures_console": b""}
    assert _native.SessionBatch().record(decode([]), **empty) == (0, [])


@pytest.mark.parametrize(
    "name", ["partitions", "offsets", "dispositions", "reasons", "team_codes", "retentions", "captures_console"]
)
def test_columns_of_different_lengths_are_refused(name: str) -> None:
    given_columns = columns([row()] * 3)
    given_columns[name] = given_columns[name][:2]
    batch = _native.SessionBatch()
    with pytest.raises(ValueError, match="entr"):
        batch.record(decode([row()] * 3), **given_columns)
    assert batch.total().sessions == 0


@pytest.mark.parametrize("code", [-1, 3])
def test_a_row_without_a_team_is_refused_before_anything_is_recorded(code: int) -> None:
    given_columns = columns([row()] * 3)
    given_columns["team_codes"][2] = code
    batch = _native.SessionBatch()
    with pytest.raises(ValueError, match="row 2 is not ended, but has no lines or no team"):
        batch.record(decode([row()] * 3), **given_columns)
    assert batch.total().sessions == 0


def test_a_row_without_lines_is_refused() -> None:
    decoded = call_native(_native.Decoder(), [Input(b"no message")]).decoded
    with pytest.raises(ValueError, match="row 0 is not ended"):
        _native.SessionBatch().record(decoded, **columns([row()]))


@pytest.mark.parametrize("name", ["partitions", "team_codes", "retentions"])
def test_columns_of_other_types_are_refused(name: str) -> None:
    given_columns = columns([row()])
    given_columns[name] = array("d", [0.0])
    with pytest.raises((ValueError, TypeError)):
        _native.SessionBatch().record(decode([row()]), **given_columns)
