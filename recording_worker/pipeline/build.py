"""The pipeline: the steps a batch of messages goes through, in order; nothing else."""

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from recording_worker._native import Decoder
from recording_worker.clock import Clock
from recording_worker.lookups.redis import Redis
from recording_worker.lookups.restrictions.service import RestrictionService
from recording_worker.lookups.teams.service import TeamService
from recording_worker.messages import Message
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
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
from recording_worker.pipeline.steps.resolve_team import ResolveTeam
from recording_worker.pipeline.steps.set_culprits_aside import SetCulpritsAside
from recording_worker.pipeline.steps.shed_lag import ShedLag
from recording_worker.pipeline.steps.track_lib_version import TrackLibVersion
from recording_worker.recording.session_batch import SessionBatchManager
from recording_worker.settings.model import Settings

_DAY_MS = 86_400_000
_NONE: Mapping[tuple[int, int], str] = MappingProxyType({})


class Step(Protocol):
    """One step of the pipeline. A step runs over the whole batch and calls no other step."""

    name: str

    def run(self, batch: MessageBatch) -> None:
        """Do the step for all rows that are still ok. A bad message is a disposition; an exception is a fault."""


class Pipeline:
    """Runs the steps over batches, and times each step."""

    def __init__(self, steps: Sequence[Step], metrics: Metrics) -> None:
        self._steps = [(step, metrics.step_seconds.labels(step.name)) for step in steps]

    def run(self, batch: MessageBatch) -> list[Message]:
        """Run all steps; returns the messages the batch was cut by, which are to be the start of the next batch.

        An empty batch is run as well: it lets the session batch be flushed by its age.
        """
        rest: list[Message] = []
        for step, seconds in self._steps:
            started = time.perf_counter()
            step.run(batch)
            if batch.decoded is not None and batch.decoded.rows < len(batch):
                rest = batch.cut(batch.decoded.rows)
            seconds.inc(time.perf_counter() - started)
        return rest


def build_pipeline(
    settings: Settings,
    *,
    teams: TeamService,
    restrictions: RestrictionService,
    manager: SessionBatchManager,
    flusher: FlushThread,
    clock: Clock,
    metrics: Metrics,
    redis: Redis | None = None,
    culprits: Mapping[tuple[int, int], str] = _NONE,
    dlq_limits: DlqLimits | None = None,
    offline: bool = False,
) -> Pipeline:
    """The worker's pipeline. `offline`: each message's Kafka timestamp counts as now, instead of the clock.

    `redis` keeps what is known of sessions; without it new ones are not limited, nor periods pinned.
    `culprits`: (partition, offset) of messages not to be decoded → how a worker ended at them.
    `dlq_limits`: when a partition halts; never where that is None.
    """
    now = None if offline else clock
    decoder = Decoder(
        max_decompressed_bytes=settings.max_decompressed_bytes,
        max_timestamp_diff_ms=round(settings.max_timestamp_diff_days * _DAY_MS),
        max_decoded_bytes=settings.max_decoded_bytes,
        unpack_client_compression=settings.unpacks_client_compression,
    )
    return Pipeline(
        [
            CollectBatchMetrics(metrics),
            ParseHeaders(),
            ApplyRestrictions(restrictions, consumes_overflow=settings.consumes_overflow),
            *_relief_steps(settings, now),
            SetCulpritsAside(culprits),
            ParseSessionRecordingMessage(decoder, now, settings.max_timestamp_diff_days, metrics),
            *([HaltOnDlq(dlq_limits, manager, metrics)] if dlq_limits is not None else []),
            ResolveTeam(teams),
            *(_session_steps(settings, redis, clock, metrics) if redis is not None else []),
            ObtainBatch(manager),
            TrackLibVersion(),
            RecordSessionEvent(metrics),
            HandleResults(settings.dlq_topic, settings.overflow_topic, settings.backfill_topic, metrics),
            HandleIngestionWarnings(settings.warnings_topic, teams, settings.warning_debounce_seconds, now, metrics),
            FlushBatch(manager, flusher, metrics),
        ],
        metrics,
    )


def _relief_steps(settings: Settings, now: Clock | None) -> list[Step]:
    """What leads messages elsewhere to keep this topic quick: not offline, and never from where they were led to."""
    steps: list[Step] = []
    if now is None or settings.consumes_overflow:
        return steps
    if settings.lag_shed_after is not None and not settings.consumes_backfill:
        steps.append(ShedLag(settings.lag_shed_after, settings.lag_shed_share, now))
    if settings.hot_session_bytes_per_minute is not None:
        steps.append(RedirectHotSessions(settings.hot_session_bytes_per_minute))
    return steps


def _session_steps(settings: Settings, redis: Redis, clock: Clock, metrics: Metrics) -> list[Step]:
    """What needs to know the sessions that other workers have seen."""
    buckets = TeamBuckets(settings.new_sessions_burst, settings.new_sessions_per_second, clock)
    return [
        LimitNewSessions(redis, buckets, clock, metrics, block=settings.block_new_sessions),
        PinRetention(redis, metrics),
    ]
