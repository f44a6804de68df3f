"""A worker process from its start to its exit."""

import ctypes
import faulthandler
import os
import signal
import sys
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import NoReturn

import structlog

from recording_worker.clock import SystemClock
from recording_worker.dependencies import KEY_STORE, SESSIONS_REDIS, STORAGE, Dependencies
from recording_worker.errors import BootError, ConfigError, StepError, WorkerError
from recording_worker.extras import missing_extras_named
from recording_worker.formats.session_keys import SessionKeys
from recording_worker.kafka.consumer import PartitionConsumer
from recording_worker.kafka.other_clusters import OtherClusters
from recording_worker.kafka.output_topics import outputs
from recording_worker.kafka.producer import RecordProducer
from recording_worker.kafka.topic_id import TopicGuard
from recording_worker.kafka.transactions import TransactionalProducer
from recording_worker.keys.open import open_keys
from recording_worker.logs.raw_output import divert_stderr
from recording_worker.logs.setup import configure_logs
from recording_worker.lookups.refreshed import Stores
from recording_worker.lookups.restrictions.open import open_restrictions
from recording_worker.lookups.seen_sessions import SeenSessions
from recording_worker.lookups.teams.open import open_teams
from recording_worker.metrics import Metrics
from recording_worker.pipeline.build import build_pipeline, make_decoder
from recording_worker.processes.control import BootFailed, Channel, Failed, Progress, Ready, WorkerChannel
from recording_worker.processes.worker.assignment import Assignment
from recording_worker.processes.worker.delivery import AtLeastOnceDelivery, ExactlyOnceDelivery
from recording_worker.processes.worker.flush_begin import FlushBegin
from recording_worker.processes.worker.garbage import GarbageCollector
from recording_worker.processes.worker.loop import Worker
from recording_worker.processes.worker.pauses import LoopPauses
from recording_worker.processes.worker.reporter import DependencyReporter
from recording_worker.processes.worker.session_batches import SessionBatches
from recording_worker.recording.flush import Flusher
from recording_worker.recording.session_batch import SessionBatchManager, SessionLimits
from recording_worker.redaction import hide
from recording_worker.settings.choices import Delivery as DeliveryKind
from recording_worker.settings.cores import cores_of, parse_cores
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import secrets_of
from recording_worker.storage.open import open_storage
from recording_worker.tracing.base import NoTracing, Tracing

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1
_SWITCH_SECONDS = 0.001
"""How long the flush thread may keep the interpreter while the loop wants it. Python's 5 ms would be a pause each time
that the loop comes back from native code, several times in a turn."""


def main(
    settings: Settings, host: str, number: int, connection: Connection, supervisor: int, *, metrics_folder: str
) -> None:
    """Run the process. Exits with the codes of `errors`.

    `host` is a name of the supervisor that no other one in the group has. `supervisor` is its process id.
    `metrics_folder`: the folder in which the processes share their metrics.

    Ignores the signals that a terminal or an init system sends to the whole process group: the supervisor handles them
    and tells its workers what to do.
    """
    _die_with(supervisor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hide(secrets_of(settings))
    lines = divert_stderr(metrics_folder, number) if settings.log_json else None
    configure_logs(settings.log_level, as_json=settings.log_json, stream=lines, process="worker", worker=number)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)  # the supervisor asks a stuck worker for its stacks
    sys.setswitchinterval(_SWITCH_SECONDS)
    channel: WorkerChannel = Channel(connection)
    metrics = Metrics.of_worker(metrics_folder, number)
    with ExitStack() as at_exit:
        _work(settings, host, number, channel, metrics, at_exit)


def _work(
    settings: Settings, host: str, number: int, channel: WorkerChannel, metrics: Metrics, at_exit: ExitStack
) -> None:
    """Boot a worker and run it until it is told to stop. On an error, exit the process with its code."""
    try:
        _pin(settings, number)
        with missing_extras_named():
            worker, collector = _boot(settings, host, number, channel, metrics, at_exit)
    except (ConfigError, BootError) as error:
        channel.send(BootFailed(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os._exit(1)  # the supervisor is gone
    except Exception as error:
        log.exception("worker can't start")
        channel.send(BootFailed(BootError(f"worker can't start: {error!r}")))
        sys.exit(BootError.exit_code)
    channel.send(Ready())
    try:
        worker.run(collector.turn)
    except (EOFError, BrokenPipeError):
        os._exit(1)  # the supervisor is gone: nobody would commit what we record
    except StepError as error:
        log.exception("worker failed")
        _exit(channel, str(error), error.exit_code)
    except WorkerError as error:
        log.error("worker failed", error=str(error))
        _exit(channel, str(error), error.exit_code)
    except Exception as error:
        log.exception("worker failed")
        _exit(channel, repr(error), WorkerError.exit_code)


def _exit(channel: WorkerChannel, why: str, code: int) -> NoReturn:
    """Tell the supervisor why this process ends, and end it."""
    with suppress(OSError):  # the supervisor is gone
        channel.send(Failed(why))
    sys.exit(code)


def _boot(
    settings: Settings, host: str, number: int, channel: WorkerChannel, metrics: Metrics, at_exit: ExitStack
) -> tuple[Worker, GarbageCollector]:
    """Put the worker together. Raises ConfigError and BootError."""
    clock = SystemClock()
    dependencies = Dependencies(clock)
    at_exit.callback(DependencyReporter(channel, dependencies).close)
    at_exit.callback(dependencies.close)
    metrics.expect(topic=[getattr(settings, name) for name in outputs(settings)])
    storage = open_storage(settings, metrics, dependencies.watch(STORAGE))
    dependencies.watch(STORAGE, storage.probe)
    at_exit.callback(storage.close)
    storage.check()
    assignment = Assignment()
    name = f"{settings.group_id}/{host}/{number}"
    delivery = _delivery(settings, name, assignment, channel, metrics)
    tracing = _tracing(settings, name, at_exit)
    begin = FlushBegin(settings, assignment, channel, TopicGuard(settings))

    redis, mark_seen = None, None
    if settings.sessions_redis is not None:
        from recording_worker.lookups.redis import RedisCircuitBreaker  # an extra brings its library

        redis = RedisCircuitBreaker(settings.sessions_redis, clock, metrics, watch=dependencies.watch(SESSIONS_REDIS))
        dependencies.watch(SESSIONS_REDIS, redis.probe)
        at_exit.callback(redis.close)
        if settings.mark_sessions_seen:
            mark_seen = SeenSessions(redis, SessionKeys(settings.sessions_redis_prefix), metrics).mark

    decoder = make_decoder(settings)
    keys = open_keys(settings)
    if keys is not None:
        dependencies.watch(KEY_STORE, keys.probe)
        at_exit.callback(keys.close)

    flusher = Flusher(
        storage,
        delivery,
        settings=settings,
        clock=clock,
        metrics=metrics,
        on_started=begin.report,
        name_sources=begin.name_sources,
        mark_seen=mark_seen,
        tracing=tracing,
        decoder=decoder,
        encrypts=keys is not None,
    )
    manager = SessionBatchManager(
        settings.topic,
        clock,
        settings.budget.batch_bytes,
        settings.max_batch_age,
        SessionLimits.of(settings),
    )
    stores = Stores(clock, metrics, interval=settings.refresh_interval, stale_after=settings.stale_after)
    at_exit.callback(stores.close)
    pipeline = build_pipeline(
        settings,
        decoder=decoder,
        teams=open_teams(settings, stores, dependencies),
        restrictions=open_restrictions(settings, stores, dependencies),
        manager=manager,
        flusher=flusher,
        clock=clock,
        metrics=metrics,
        redis=redis,
        keys=keys,
        keys_watch=None if keys is None else dependencies.watch(KEY_STORE),
    )
    stores.start()
    if number == 0:
        dependencies.start_probing()
    pauses = LoopPauses(metrics)
    at_exit.callback(pauses.close)
    worker = Worker(
        settings,
        channel=channel,
        consumer=PartitionConsumer(settings, metrics),
        pipeline=pipeline,
        batches=SessionBatches(manager, flusher, decoder, settings.budget, metrics),
        assignment=assignment,
        trouble=lambda: delivery.trouble or stores.stale(),
        clock=clock,
        pauses=pauses,
        tracing=tracing,
    )
    return worker, GarbageCollector(clock, decoder.give_back_kept)


def _tracing(settings: Settings, instance: str, at_exit: ExitStack) -> Tracing:
    if not settings.tracing:
        return NoTracing()
    from recording_worker.tracing import spans  # an extra brings its library

    provider = spans.open_provider(instance)
    at_exit.callback(spans.close_provider, provider)
    return spans.SpanTracing(provider)


def _delivery(
    settings: Settings, name: str, assignment: Assignment, channel: WorkerChannel, metrics: Metrics
) -> ExactlyOnceDelivery | AtLeastOnceDelivery:
    """Make the delivery that the settings name. If it uses transactions, wait until open ones are aborted."""
    others = OtherClusters(settings, metrics)
    if settings.delivery is DeliveryKind.AT_LEAST_ONCE:
        records = RecordProducer(settings, metrics)
        return AtLeastOnceDelivery(
            records, others, assignment, channel, settings.group_id, metrics, settings.progress_topic
        )
    producer = TransactionalProducer(settings, name, metrics)
    # a broker that is away is no failure to start, so report to the supervisor that this process is alive
    producer.begin(waiting=lambda: channel.send(Progress({}, flushing=False)))
    return ExactlyOnceDelivery(
        producer, others, assignment, channel, settings.group_id, metrics, settings.progress_topic
    )


def _pin(settings: Settings, number: int) -> None:
    """Keep this process, and all threads that it starts, on its part of `cpus`. Raises ConfigError.

    Linux takes the memory that a process touches first from the node of its core.
    """
    if settings.cpus is None:
        return
    cores = cores_of(number, settings.workers, parse_cores(settings.cpus))
    try:
        os.sched_setaffinity(0, cores)
    except (OSError, AttributeError) as error:  # only Linux has it
        raise ConfigError(f"cpus: worker {number} can't be pinned to cores {[*cores]}: {error}") from error


def _die_with(supervisor: int) -> None:
    """Have this process killed when the supervisor dies: nobody would commit what it writes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before the line above
        os._exit(1)
