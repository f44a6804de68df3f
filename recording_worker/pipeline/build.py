"""The pipeline: the steps that a batch of messages goes through, in order, and nothing else."""

from collections.abc import Collection, Sequence

from recording_worker._native import Decoder
from recording_worker.clock import Clock
from recording_worker.dependencies import KEY_STORE, DependencyWatch
from recording_worker.formats.session_keys import SessionKeys
from recording_worker.keys.store import KeyStore
from recording_worker.lookups.redis_commands import Redis
from recording_worker.lookups.restrictions.service import RestrictionService
from recording_worker.lookups.teams.service import TeamService
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step
from recording_worker.pipeline.step_times import StepTimes
from recording_worker.pipeline.steps.apply_restrictions import ApplyRestrictions
from recording_worker.pipeline.steps.collect_batch_metrics import CollectBatchMetrics
from recording_worker.pipeline.steps.flush_batch import FlushBatch, FlushThread
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
from recording_worker.pipeline.steps.set_poison_messages_aside import PoisonMessages, SetPoisonMessagesAside
from recording_worker.pipeline.steps.shed_lag import ShedLag
from recording_worker.pipeline.steps.track_lib_version import TrackLibVersion
from recording_worker.recording.session_batch import SessionBatchManager
from recording_worker.settings.model import Settings

_DAY_MS = 86_400_000
_KEYS_PATIENCE = 1.0
"""Seconds that a batch waits for the key store before the worker looks for other work."""


class Pipeline:
    """Runs the steps over batches, and times each step."""

    def __init__(self, steps: Sequence[Step], poison: SetPoisonMessagesAside, metrics: Metrics) -> None:
        """`poison` is the one of the steps that `set_aside` informs. The last step is flush_batch."""
        self._poison = poison
        self._steps = steps
        self._times = StepTimes([step.name for step in steps], metrics)

    def run(self, batch: MessageBatch) -> float:
        """Run all steps. For an empty batch run only the last one, which lets the session batch be flushed by its age.

        Messages that were cut off are left in `batch.rest`; they must come first in the next batch. If a step says that
        the batch waits (`batch.waits`), the steps after it are not run. Run the batch again later: it goes on with that
        step. Return the seconds of the steps over messages: all but flush_batch.
        """
        over_messages = 0.0
        batch.waits = ""
        self._times.begin()
        first = batch.next_step if len(batch) else len(self._steps) - 1
        for number in range(first, len(self._steps)):
            step = self._steps[number]
            step.run(batch)
            spent = self._times.ended(number)
            if step.name != FlushBatch.name:
                over_messages += spent
            if batch.waits:
                batch.next_step = number
                break
        self._times.note()
        return over_messages

    def set_aside(self, poison: PoisonMessages) -> None:
        """Send these messages to the DLQ when they come, without decoding them."""
        self._poison.add(poison)

    def forget(self, partitions: Collection[int]) -> None:
        """Drop what the steps know about these partitions: they are read no longer, or from another offset."""
        for step in self._steps:
            step.forget(partitions)


def make_decoder(settings: Settings) -> Decoder:
    """Make the decoder of a worker."""
    return Decoder(
        max_decompressed_bytes=settings.max_decompressed_bytes,
        max_timestamp_diff_ms=round(settings.max_timestamp_diff_days * _DAY_MS),
        far_item_drops_message=settings.far_event_drops_message,
        max_decoded_bytes=settings.budget.poll_bytes,
        max_session_id_characters=settings.max_session_id_characters,
        max_distinct_id_characters=settings.max_distinct_id_characters,
        normalize_session_ids=settings.normalize_session_ids,
        correct_clock_skew=settings.correct_clock_skew,
        large_bytes=settings.budget.large_bytes,
        unpack_client_compression=settings.unpacks_client_compression,
        kept_chunk_bytes=settings.budget.kept_bytes,
    )


def build_pipeline(
    settings: Settings,
    *,
    decoder: Decoder,
    teams: TeamService,
    restrictions: RestrictionService,
    manager: SessionBatchManager,
    flusher: FlushThread,
    clock: Clock,
    metrics: Metrics,
    redis: Redis | None = None,
    keys: KeyStore | None = None,
    keys_watch: DependencyWatch | None = None,
    offline: bool = False,
) -> Pipeline:
    """Build the pipeline of a worker.

    `redis` keeps what is known about sessions. Without it, new sessions are not limited and periods are not pinned.
    `keys` keeps the keys of sessions, and `keys_watch` is told how that goes. Without it, nothing is encrypted.
    `offline`: the Kafka timestamp of each message counts as now, instead of the clock, no partition halts, and messages
    for the DLQ are not logged: who ingests files gets their number at the end.
    """
    now = None if offline else clock
    poison = SetPoisonMessagesAside()
    return Pipeline(
        [
            CollectBatchMetrics(metrics),
            ParseHeaders(require_ids=settings.require_ids_in_headers),
            ApplyRestrictions(restrictions, consumes_overflow=settings.consumes_overflow),
            *_relief_steps(settings, now),
            poison,
            ParseSessionRecordingMessage(
                decoder,
                now,
                settings.max_timestamp_diff_days,
                metrics,
                may_be_large=lambda: manager.is_empty and not flusher.busy,
            ),
            *_limit_steps(settings, manager, metrics, offline=offline),
            ResolveTeam(teams),
            *(_session_steps(settings, redis, clock, metrics) if redis is not None else []),
            *(
                _key_steps(settings, keys, keys_watch, redis, clock, metrics, offline=offline)
                if keys is not None
                else []
            ),
            ObtainBatch(manager),
            TrackLibVersion(),
            RecordSessionEvent(metrics, settings.debug_partition),
            HandleResults(
                settings.dlq_topic,
                settings.overflow_topic,
                settings.backfill_topic,
                clock,
                metrics,
                settings.dlq_headers,
                names_dlq_messages=not offline,
            ),
            HandleIngestionWarnings(settings.warnings_topic, teams, settings.warning_debounce_seconds, now),
            FlushBatch(manager, flusher, metrics),
        ],
        poison,
        metrics,
    )


def _relief_steps(settings: Settings, now: Clock | None) -> list[Step]:
    """The steps that send messages to other topics, to keep this one fast.

    There are none offline, and none that would send a message to the topic that it came from.
    """
    steps: list[Step] = []
    if now is None or settings.consumes_overflow:
        return steps
    if settings.lag_shed_after is not None and not settings.consumes_backfill:
        steps.append(ShedLag(settings.lag_shed_after, settings.lag_shed_share, now))
    if settings.hot_session_bytes_per_minute is not None:
        steps.append(RedirectHotSessions(settings.hot_session_bytes_per_minute))
    return steps


def _limit_steps(settings: Settings, manager: SessionBatchManager, metrics: Metrics, *, offline: bool) -> list[Step]:
    """The step that halts a partition whose messages this worker can't read. Offline, no partition can halt."""
    limits = DlqLimits(
        consecutive=settings.dlq_halt_consecutive, ratio=settings.dlq_halt_ratio, window=settings.dlq_halt_window
    )
    return [HaltOnDlq(limits, manager, metrics)] if limits.are_set and not offline else []


def _session_steps(settings: Settings, redis: Redis, clock: Clock, metrics: Metrics) -> list[Step]:
    """The steps that need to know which sessions have begun on other workers."""
    keys = SessionKeys(settings.sessions_redis_prefix, posthog_retention=settings.posthog_retention_keys)
    buckets = TeamBuckets(settings.new_sessions_burst, settings.new_sessions_per_second, clock)
    return [
        LimitNewSessions(redis, keys, buckets, clock, metrics, block=settings.block_new_sessions),
        PinRetention(redis, keys, metrics),
    ]


def _key_steps(
    settings: Settings,
    store: KeyStore,
    watch: DependencyWatch | None,
    redis: Redis | None,
    clock: Clock,
    metrics: Metrics,
    *,
    offline: bool,
) -> list[Step]:
    """The step that finds the key of each session. It asks Redis which sessions have begun in the clear."""
    return [
        ResolveSessionKey(
            store,
            clock,
            metrics,
            watch or DependencyWatch(KEY_STORE, clock),
            check_interval=settings.key_check_interval,
            redis=redis,
            names=SessionKeys(settings.sessions_redis_prefix),
            patience=None if offline else _KEYS_PATIENCE,
        )
    ]
