"""What holds for every step of the pipeline."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from recording_worker._native import Decoder
from recording_worker.dependencies import KEY_STORE, DependencyWatch
from recording_worker.lookups.redis_commands import Command
from recording_worker.lookups.restrictions.service import Restriction, Rule
from recording_worker.lookups.teams.service import Team
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import Pipeline, build_pipeline
from recording_worker.pipeline.step import Step
from recording_worker.pipeline.steps.apply_restrictions import ApplyRestrictions
from recording_worker.pipeline.steps.collect_batch_metrics import CollectBatchMetrics
from recording_worker.pipeline.steps.flush_batch import FlushBatch
from recording_worker.pipeline.steps.halt_on_dlq import DlqLimits, HaltOnDlq
from recording_worker.pipeline.steps.handle_ingestion_warnings import HandleIngestionWarnings
from recording_worker.pipeline.steps.handle_results import HandleResults
from recording_worker.pipeline.steps.limit_new_sessions import LimitNewSessions, TeamBuckets
from recording_worker.pipeline.steps.obtain_batch import ObtainBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.pipeline.steps.pin_retention import PinRetention
from recording_worker.pipeline.steps.record_session_event import RecordSessionEvent
from recording_worker.pipeline.steps.redirect_hot_sessions import RedirectHotSessions
from recording_worker.pipeline.steps.resolve_session_key import ResolveSessionKey
from recording_worker.pipeline.steps.resolve_team import ResolveTeam
from recording_worker.pipeline.steps.set_poison_messages_aside import SetPoisonMessagesAside
from recording_worker.pipeline.steps.shed_lag import ShedLag
from recording_worker.pipeline.steps.track_lib_version import TrackLibVersion
from recording_worker.recording.session_batch import (
    FlushReason,
    SessionBatchManager,
    SessionBatchRecorder,
    SessionLimits,
)
from recording_worker.settings.model import Settings
from tests.builders import (
    KEYS,
    NOW_MS,
    FakeClock,
    FixedRestrictions,
    batch,
    counted,
    event,
    headers,
    message,
    session_message,
    value,
)
from tests.memory_keys import MemoryKeys


class KeepingFlusher:
    """A flush thread that keeps what it is given."""

    def __init__(self) -> None:
        self.busy = False
        self.submitted: list[tuple[SessionBatchRecorder, FlushReason]] = []

    def raise_if_failed(self) -> None:
        """Nothing fails here."""

    def submit(self, session_batch: SessionBatchRecorder, reason: FlushReason) -> None:
        self.submitted.append((session_batch, reason))


CLOCK = FakeClock()
METRICS = Metrics()
TEAMS = {"token-1": Team(1, True, "30d"), "no-retention": Team(2, True, None)}
RESTRICTIONS = FixedRestrictions(
    Rule(Restriction.DROP_EVENT, "dropped"),
    Rule(Restriction.REDIRECT_TO_DLQ, "to-dlq"),
    Rule(Restriction.FORCE_OVERFLOW, "overflow"),
)


class SessionsRedis:
    """A Redis in which session-14 is pinned to what is no period, and session-15 is blocked."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {"@posthog/replay/session-retention:1:session-14": b"7d"}

    def ask(self, commands: Sequence[Command]) -> list[object]:
        return [self._reply(str(command[0]), *map(str, command[1:])) for command in commands]

    def _reply(self, name: str, key: str, value: str = "", *_options: str) -> object:
        if name == "SET":
            return self._keys.setdefault(key, value.encode()) == value.encode() or None
        return self._keys.get(key) if name == "GET" else int("session-15" in key)


REDIS = SessionsRedis()
POISON = {(0, 13): "SIGSEGV"}


def poison_step() -> SetPoisonMessagesAside:
    step = SetPoisonMessagesAside()
    step.add(POISON)
    return step


def new_manager() -> SessionBatchManager:
    return SessionBatchManager("recordings", CLOCK, 1 << 30, 10.0, SessionLimits(5))


STEPS: dict[str, tuple[Callable[[SessionBatchManager], Step], set[Disposition]]] = {
    "collect_batch_metrics": (lambda _: CollectBatchMetrics(METRICS), set()),
    "parse_headers": (lambda _: ParseHeaders(), {Disposition.DLQ}),
    "apply_restrictions": (
        lambda _: ApplyRestrictions(RESTRICTIONS, consumes_overflow=False),
        {Disposition.DROP, Disposition.REDIRECT, Disposition.DLQ},
    ),
    "shed_lag": (lambda _: ShedLag(3600.0, 1.0, CLOCK), {Disposition.REDIRECT}),
    "redirect_hot_sessions": (lambda _: RedirectHotSessions(10_000), {Disposition.REDIRECT}),
    "set_poison_messages_aside": (lambda _: poison_step(), {Disposition.DLQ}),
    "parse_session_recording_message": (
        lambda _: ParseSessionRecordingMessage(Decoder(), CLOCK, 7.0, METRICS),
        {Disposition.DLQ, Disposition.DROP},
    ),
    "halt_on_dlq": (
        lambda manager: HaltOnDlq(DlqLimits(consecutive=99, ratio=0.9, window=10), manager, METRICS),
        set(),
    ),
    "resolve_team": (lambda _: ResolveTeam(TEAMS), {Disposition.DROP}),
    "limit_new_sessions": (
        lambda _: LimitNewSessions(REDIS, KEYS, TeamBuckets(9, 1, CLOCK), CLOCK, METRICS, block=True),
        {Disposition.DROP},
    ),
    "pin_retention": (lambda _: PinRetention(REDIS, KEYS, METRICS), {Disposition.DROP}),
    "resolve_session_key": (
        lambda _: ResolveSessionKey(
            MemoryKeys({(1, "session-18")}),
            CLOCK,
            METRICS,
            DependencyWatch(KEY_STORE, CLOCK),
            check_interval=60.0,
            redis=None,
            names=KEYS,
            patience=None,
        ),
        {Disposition.DROP},
    ),
    "obtain_batch": (ObtainBatch, set()),
    "track_lib_version": (lambda _: TrackLibVersion(), set()),
    "record_session_event": (lambda _: RecordSessionEvent(METRICS), {Disposition.DROP}),
    "handle_results": (lambda _: HandleResults("dlq", "overflow", "backfill", CLOCK, METRICS), set()),
    "handle_ingestion_warnings": (lambda _: HandleIngestionWarnings("warnings", TEAMS, 3600, CLOCK), set()),
    "flush_batch": (lambda manager: FlushBatch(manager, KeepingFlusher(), METRICS), set()),
}
ORDER = list(STEPS)


def mixed_batch() -> MessageBatch:
    """Rows that end in every disposition, by every step that may end one, and rows that stay ok."""
    return batch(
        message(0),
        message(1, headers=headers(token=None)),
        message(2, headers=headers(token="dropped")),
        message(3, headers=headers(token="to-dlq")),
        message(4, headers=headers(token="overflow")),
        message(5, value=b"not json"),
        message(6, value=value([])),
        message(7, headers=headers(token="unknown")),
        message(8, headers=headers(token="no-retention")),
        message(9, value=value([event(NOW_MS - 10**10)])),
        message(10, headers=headers(lib_version="1.2.3")),
        message(11, value=value([event()] * 9, session_id="many"), headers=headers(session_id="many")),
        message(12, value=None),
        message(13),
        session_message(14, "session-14"),
        session_message(15, "session-15"),
        message(16, timestamp_ms=NOW_MS - 7_200_000),
        message(17, value=b"x" * 20_000, headers=headers(session_id="hot")),
        session_message(18, "session-18"),
    )


def run_before(name: str, rows: MessageBatch, manager: SessionBatchManager) -> Step:
    """Run the steps before `name`; returns that step."""
    for earlier in ORDER[: ORDER.index(name)]:
        STEPS[earlier][0](manager).run(rows)
    return STEPS[name][0](manager)


@pytest.mark.parametrize("name", ORDER)
def test_the_step_is_named_after_what_it_does(name: str) -> None:
    assert STEPS[name][0](new_manager()).name == name


@pytest.mark.parametrize("name", ORDER)
def test_an_empty_batch_stays_empty(name: str) -> None:
    rows, manager = batch(), new_manager()
    run_before(name, rows, manager).run(rows)
    assert len(rows) == 0
    assert manager.is_empty


@pytest.mark.parametrize("name", ORDER)
def test_rows_stay_unchanged_and_an_ended_row_stays_ended(name: str) -> None:
    rows, manager = mixed_batch(), new_manager()
    came = [rows.message(row) for row in range(len(rows))]
    step = run_before(name, rows, manager)
    before = [(rows.dispositions[row], rows.reasons[row], rows.why(row)) for row in range(len(rows))]
    step.run(rows)
    assert [rows.message(row) for row in range(len(rows))] == came
    for row, (disposition, reason, error) in enumerate(before):
        if disposition:
            assert (rows.dispositions[row], rows.reasons[row], rows.why(row)) == (disposition, reason, error)


@pytest.mark.parametrize("name", ORDER)
def test_the_step_ends_rows_only_as_it_may_and_says_why(name: str) -> None:
    rows, manager = mixed_batch(), new_manager()
    step = run_before(name, rows, manager)
    before = bytes(rows.dispositions)
    step.run(rows)
    ended = [row for row in range(len(rows)) if rows.dispositions[row] and not before[row]]
    assert {Disposition(rows.dispositions[row]) for row in ended} == STEPS[name][1]
    for row in ended:
        assert rows.reasons[row] != Reason.NONE
        step_name, text = rows.why(row)
        assert step_name == name
        assert text


def test_every_row_ends_in_exactly_one_disposition_and_offsets_pass_all_of_them() -> None:
    rows, flusher = mixed_batch(), KeepingFlusher()
    manager = new_manager()
    pipeline = pipeline_of(manager, flusher)
    pipeline.run(rows)
    assert len(rows.rest) == 0
    assert {row for row in range(19) if not rows.dispositions[row]} == {0, 10}
    assert {row for row in range(19) if rows.dispositions[row]} == {row for row in range(19) if all(rows.why(row))}
    assert manager.current.offsets == {0: 19}
    by_topic = [record.topic for _, record in rows.records]
    assert by_topic.count("session_recording_snapshot_item_dlq") == 5
    assert by_topic.count("session_recording_snapshot_item_overflow") == 2
    assert by_topic.count("session_recording_snapshot_item_backfill") == 1
    assert by_topic.count("clickhouse_ingestion_warnings") == 3


def test_metrics_say_how_messages_ended_and_how_long_each_step_took() -> None:
    manager, metrics = new_manager(), Metrics()
    pipeline_of(manager, KeepingFlusher(), metrics=metrics).run(mixed_batch())
    assert counted(metrics, "messages_received_total", partition="0") == 19
    processed = [counted(metrics, "messages_processed_total", disposition=how) for how in ("ok", "redirect", "dlq")]
    assert processed == [2, 3, 5]
    assert counted(metrics, "messages_total", disposition="ok", reason="") == 0, "not delivered"
    counts = manager.current.counts()[0]
    assert counts.ended.total() == 19
    assert counts.ended[Disposition.DLQ, Reason.INVALID_JSON] == 1
    assert counts.warned["replay_lib_version_too_old"] == 1
    assert counted(metrics, "sessions_handled") == manager.session_count == 1
    assert counted(metrics, "session_batch_bytes") == manager.raw_bytes > 0
    # without the step that is not set up here
    assert [name for name in ORDER if not counted(metrics, "step_seconds_total", step=name)] == ["halt_on_dlq"]


@pytest.mark.parametrize("topic", ["overflow_topic", "backfill_topic"])
def test_a_worker_does_not_send_messages_back_to_where_they_come_from(topic: str) -> None:
    rows, manager, reads = mixed_batch(), new_manager(), getattr(Settings(), topic)
    pipeline_of(manager, KeepingFlusher(), topic=reads).run(rows)
    assert reads not in [record.topic for _, record in rows.records]
    # a hot session that was shed may go on to overflow; from there nothing goes anywhere else
    redirected = {"backfill_topic": [4, 17], "overflow_topic": []}[topic]
    assert [row for row in range(len(rows)) if rows.dispositions[row] == Disposition.REDIRECT] == redirected


def test_an_empty_poll_costs_an_idle_worker_one_step() -> None:
    metrics = Metrics()
    pipeline_of(new_manager(), KeepingFlusher(), metrics=metrics).run(batch())
    assert [name for name in ORDER if counted(metrics, "step_seconds_total", step=name)] == ["flush_batch"]


def test_a_due_batch_waits_for_the_flush_in_flight_and_an_empty_poll_flushes_it() -> None:
    flusher, manager = KeepingFlusher(), new_manager()
    pipeline = pipeline_of(manager, flusher)
    pipeline.run(batch(message(0)))
    CLOCK.ms += 20_000
    try:
        flusher.busy = True
        pipeline.run(batch())
        assert flusher.submitted == []
        flusher.busy = False
        pipeline.run(batch())
        ((session_batch, reason),) = flusher.submitted
        assert (session_batch.offsets, reason) == ({0: 1}, FlushReason.AGE)
        pipeline.run(batch())
        assert len(flusher.submitted) == 1
    finally:
        CLOCK.ms = NOW_MS


def test_the_decoded_size_of_a_poll_is_limited_and_its_rest_comes_first_next_time() -> None:
    settings = Settings(any_token=True)
    manager, flusher = new_manager(), KeepingFlusher()
    pipeline = build_pipeline(
        settings,
        decoder=Decoder(max_decoded_bytes=1_000),
        teams=TEAMS,
        restrictions=RESTRICTIONS,
        manager=manager,
        flusher=flusher,
        clock=CLOCK,
        metrics=Metrics(),
    )
    waiting = [message(n, value=value([event()] * 2)) for n in range(30)]
    seen: list[int] = []
    while waiting:
        rows = batch(*waiting)
        pipeline.run(rows)
        waiting = list(rows.rest)
        assert len(rows) >= 1
        seen += rows.offsets
    assert seen == list(range(30))
    assert manager.current.offsets == {0: 30}


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"dlq_halt_consecutive": 3}, {"halt_on_dlq"}),
        ({"dlq_halt_ratio": 0.5}, {"halt_on_dlq"}),
        ({"lag_shed_after": 3600.0}, {"shed_lag"}),
        ({"hot_session_bytes_per_minute": 1000}, {"redirect_hot_sessions"}),
        ({"dlq_halt_consecutive": 3, "lag_shed_after": 3600.0, "offline": True}, set()),
        ({"redis": REDIS}, {"limit_new_sessions", "pin_retention"}),
        ({"keys": MemoryKeys()}, {"resolve_session_key"}),
        ({}, set()),
    ],
)
def test_some_steps_run_only_if_they_are_asked_for(settings: dict[str, Any], steps: set[str]) -> None:
    options = {name: settings.pop(name) for name in ("offline", "redis", "keys") if name in settings}
    metrics = Metrics()
    build_pipeline(
        Settings(**settings),
        decoder=Decoder(),
        teams=TEAMS,
        restrictions=RESTRICTIONS,
        manager=new_manager(),
        flusher=KeepingFlusher(),
        clock=CLOCK,
        metrics=metrics,
        **options,
    ).run(batch())
    optional = {"halt_on_dlq", "shed_lag", "redirect_hot_sessions", "limit_new_sessions", "pin_retention"}
    optional.add("resolve_session_key")
    ran = {name for name in ORDER if counted(metrics, "step_seconds_total", step=name) is not None}
    assert ran == set(ORDER) - optional | steps


def pipeline_of(
    manager: SessionBatchManager,
    flusher: KeepingFlusher,
    topic: str = "recordings",
    metrics: Metrics | None = None,
) -> Pipeline:
    pipeline = build_pipeline(
        Settings(
            topic=topic,
            any_token=True,
            sessions_redis=SecretStr("redis://"),
            block_new_sessions=True,
            lag_shed_after=3600.0,
            hot_session_bytes_per_minute=10_000,
        ),
        decoder=Decoder(),
        teams=TEAMS,
        restrictions=RESTRICTIONS,
        manager=manager,
        flusher=flusher,
        clock=CLOCK,
        metrics=metrics or Metrics(),
        redis=REDIS,
        keys=MemoryKeys({(1, "session-18")}),
    )
    pipeline.set_aside(POISON)
    return pipeline
