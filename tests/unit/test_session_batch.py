from collections import Counter

from recording_worker._native import Decoder
from recording_worker.formats.accounts import Account
from recording_worker.formats.batch_file import MAX_INDEX_BYTES
from recording_worker.lookups.teams.service import Team
from recording_worker.messages import Message, OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.pipeline.steps.record_session_event import RecordSessionEvent
from recording_worker.pipeline.steps.resolve_team import ResolveTeam
from recording_worker.recording.session_batch import (
    NO_COUNTS,
    FlushReason,
    SessionBatchManager,
    SessionBatchRecorder,
    SessionLimits,
    Since,
)
from tests.builders import NOW_MS, TOPIC, FakeClock, batch, event, session_message
from tests.session_files import HeldSession, take_sessions

TEAM = Team(1, console_logs=True, retention="30d")
CONSOLE = {"plugin": "rrweb/console@1", "payload": {"level": "warn", "payload": ["careful"]}}


def decoded(*messages: Message, team: Team = TEAM) -> MessageBatch:
    rows = batch(*messages)
    for step in (
        ParseHeaders(),
        ParseSessionRecordingMessage(Decoder(), FakeClock(), 7.0, Metrics()),
        ResolveTeam({"token-1": team}),
    ):
        step.run(rows)
    assert not any(rows.dispositions)
    return rows


def recorder(limit: int | None = None) -> SessionBatchRecorder:
    return SessionBatchRecorder(TOPIC, SessionLimits(limit), started=0.0)


def record_all(session_batch: SessionBatchRecorder, rows: MessageBatch) -> list[bool]:
    """Record the rows, and return for each whether it was."""
    rows.session_batch = session_batch
    RecordSessionEvent(Metrics()).run(rows)
    session_batch.take(rows.records, rows.advances())
    return [not disposition for disposition in rows.dispositions]


def test_messages_gather_per_session_and_offsets_move_past_them() -> None:
    session_batch = recorder()
    rows = decoded(session_message(4, "a"), session_message(5, "b"), session_message(6, "a"))
    assert record_all(session_batch, rows) == [True] * 3
    assert session_batch.offsets == {0: 7}
    raw_bytes = session_batch.raw_bytes
    sessions = take_sessions(session_batch.sessions)
    assert [(session.key, session.messages) for session in sessions] == [
        ((0, 1, "a"), [(4, 1), (6, 1)]),
        ((0, 1, "b"), [(5, 1)]),
    ]
    assert raw_bytes > sum(len(session.lines) for session in sessions)
    assert (session_batch.session_count, session_batch.raw_bytes) == (0, 0)


def test_one_session_id_of_two_teams_is_two_sessions() -> None:
    session_batch = recorder()
    record_all(session_batch, decoded(session_message(0, "a")))
    record_all(session_batch, decoded(session_message(1, "a"), team=Team(2, console_logs=False, retention="1y")))
    assert [(session.key, session.retention) for session in take_sessions(session_batch.sessions)] == [
        ((0, 1, "a"), "30d"),
        ((0, 2, "a"), "1y"),
    ]


def test_a_session_keeps_the_retention_it_began_with() -> None:
    session_batch = recorder()
    record_all(session_batch, decoded(session_message(0, "a")))
    record_all(session_batch, decoded(session_message(1, "a"), team=Team(1, console_logs=True, retention="5y")))
    assert [session.retention for session in take_sessions(session_batch.sessions)] == ["30d"]


def console_counts(session: HeldSession) -> tuple[int, int, int]:
    metadata = session.metadata
    return metadata["console_log_count"], metadata["console_warn_count"], metadata["console_error_count"]


def test_console_logs_are_counted_each_and_stored_once_a_message_where_capture_is_on() -> None:
    logs = [event(NOW_MS + n, 6, **CONSOLE) for n in range(3)]
    on, off = recorder(), recorder()
    record_all(on, decoded(session_message(0, "a", logs), session_message(1, "a", logs)))
    record_all(off, decoded(session_message(0, "a", logs), team=Team(1, console_logs=False, retention="30d")))
    raw_bytes = on.raw_bytes
    (session,) = take_sessions(on.sessions)
    assert console_counts(session) == (0, 6, 0)
    assert [(stored["level"], stored["message"]) for stored in session.console_logs] == [("warn", "careful")] * 2
    assert raw_bytes > off.raw_bytes + 2 * len("careful")
    (session,) = take_sessions(off.sessions)
    assert (console_counts(session), session.console_logs) == ((0, 0, 0), [])


def test_a_session_over_its_event_limit_is_taken_out_and_stays_out() -> None:
    session_batch = recorder(limit=3)
    two = [event(), event()]
    rows = decoded(
        session_message(0, "a", two),
        session_message(1, "b", two),
        session_message(2, "a", two),
        session_message(3, "a", [event()]),
    )
    assert record_all(session_batch, rows) == [True, True, False, False]
    assert [rows.reasons[row] for row in (2, 3)] == [Reason.SESSION_EVENT_LIMIT] * 2
    held = session_batch.sessions.total()
    assert (held.sessions, held.discarded_messages, held.discarded_events) == (1, 1, 2)
    assert session_batch.offsets == {0: 4}
    (session,) = take_sessions(session_batch.sessions)
    assert session.key == (0, 1, "b")
    assert held.bytes > len(session.lines)


def test_messages_of_too_many_times_count_as_the_latest_of_their_poll() -> None:
    partition = recorder().partition(0)
    partition.came(Counter({(Since.RECEIVED, second): 1 for second in range(4000)}))
    poll = {(Since.CAPTURED, second): 2 for second in range(60)} | {(Since.RECEIVED, 5000 + n): 1 for n in range(60)}
    partition.came(Counter(poll))
    assert partition.seconds.total() == 4000 + 120 + 60
    assert len(partition.seconds) == 4002
    assert (partition.seconds[Since.CAPTURED, 59], partition.seconds[Since.RECEIVED, 5059]) == (120, 60)


def manager(max_bytes: int = 1_000_000, max_age: float = 10.0) -> tuple[SessionBatchManager, FakeClock]:
    clock = FakeClock()
    return SessionBatchManager(TOPIC, clock, max_bytes, max_age, SessionLimits()), clock


def test_due_by_size() -> None:
    sessions, _ = manager(max_bytes=3000)
    assert sessions.due() is None
    record_all(sessions.current, decoded(session_message(0, "a")))
    assert sessions.due() is None
    record_all(sessions.current, decoded(session_message(1, "a", [event()] * 10)))
    assert sessions.due() is FlushReason.SIZE
    assert sessions.is_full


def test_due_before_the_index_of_a_file_grows_too_long() -> None:
    """The longest ids, and small messages: the batch itself is far from its limit."""
    sessions, _ = manager(max_bytes=1 << 40)
    offset = 0
    while sessions.due() is None:
        ids = [f"{offset + number:0>256}".replace("0", "\x01") for number in range(500)]
        record_all(sessions.current, decoded(*(session_message(offset, session_id) for session_id in ids)))
        offset += len(ids)
    assert (sessions.due(), sessions.is_full) == (FlushReason.SIZE, True)
    most = sessions.current.index_bytes
    [file] = sessions.swap().sessions.take()
    file.store([2**40] * len(file))
    written = len(file.index_entries({0: "recordings/0"}))
    assert MAX_INDEX_BYTES // 8 < written <= most <= MAX_INDEX_BYTES // 2


def test_due_by_age_of_what_it_holds() -> None:
    sessions, clock = manager(max_age=10)
    clock.ms += 60_000
    assert sessions.due() is None
    record_all(sessions.current, decoded(session_message(0, "a")))
    clock.ms += 9_999
    assert sessions.due() is None
    clock.ms += 1
    assert sessions.due() is FlushReason.AGE


def test_records_alone_make_a_batch_due() -> None:
    sessions, _ = manager(max_bytes=100)
    rows = batch()
    rows.records.append((3, OutputRecord("dlq", None, b"x" * 100, [], 0, as_it_came=True)))
    sessions.current.take(rows.records, rows.advances())
    assert sessions.due() is FlushReason.SIZE


def test_swap_begins_anew() -> None:
    sessions, _ = manager()
    record_all(sessions.current, decoded(session_message(0, "a")))
    full = sessions.swap()
    assert full.session_count == 1
    assert sessions.is_empty
    assert sessions.current.batch_id != full.batch_id


def test_discarding_a_partition_drops_just_its_sessions_records_and_offsets() -> None:
    sessions, _ = manager()
    rows = decoded(session_message(0, "a", partition=0), session_message(8, "b", partition=1))
    rows.records.append((0, OutputRecord("dlq", None, b"x", [], 0, as_it_came=True)))
    record_all(sessions.current, rows)
    only = recorder()
    record_all(only, decoded(session_message(8, "b", partition=1)))
    assert sessions.discard_partitions([0, 5]) == 1
    assert sessions.current.offsets == {1: 9}
    raw_bytes = sessions.raw_bytes
    (session,) = take_sessions(sessions.current.sessions)
    assert session.key == (1, 1, "b")
    assert raw_bytes == only.raw_bytes


def test_a_partition_accounts_for_every_offset_it_read_or_skipped() -> None:
    session_batch = recorder()
    rows = decoded(*(session_message(offset, "a") for offset in (4, 5, 6, 7)))
    for row, disposition in ((0, Disposition.DLQ), (1, Disposition.REDIRECT), (2, Disposition.DROP)):
        rows.end(row, disposition, Reason.NONE, "a_step")
    session_batch.take(rows.records, rows.advances())
    partition = session_batch.partition(0)
    assert partition.account(NO_COUNTS.held) == Account(4, 8, recorded=1, dropped=1, redirected=1, dlq=1)
    partition.skip(8, 11)
    assert partition.account(NO_COUNTS.held) == Account(4, 11, recorded=1, dropped=1, redirected=1, dlq=1, skipped=3)
    assert session_batch.offsets == {0: 11}


def test_messages_taken_out_again_count_as_dropped() -> None:
    session_batch = recorder(limit=3)
    two = [event(), event()]
    record_all(session_batch, decoded(session_message(0, "a", two), session_message(1, "b")))
    over = decoded(session_message(2, "a", two))
    assert record_all(session_batch, over) == [False]
    assert session_batch.accounts() == {0: Account(0, 3, recorded=1, dropped=2)}
    counts = session_batch.counts()[0]
    assert counts.ended == Counter({(Disposition.OK, 0): 1, (Disposition.DROP, Reason.SESSION_EVENT_LIMIT): 2})
    assert (counts.held.messages, counts.held.events, counts.held.discarded_events) == (1, 1, 2)


def test_skipped_offsets_alone_make_an_account() -> None:
    partition = recorder().partition(3)
    assert partition.account(NO_COUNTS.held) == Account(0, 0)
    partition.skip(5, 8)
    assert partition.account(NO_COUNTS.held) == Account(5, 8, skipped=3)


def test_a_manager_without_messages_holds_nothing_and_discards_nothing() -> None:
    sessions, _ = manager()
    assert (sessions.session_count, sessions.raw_bytes, sessions.discard_partitions([0])) == (0, 0, 0)
