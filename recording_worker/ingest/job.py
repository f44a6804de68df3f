"""One ingest worker's part: it takes its files through the pipeline into one folder."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from math import inf
from pathlib import Path

from recording_worker.clock import SystemClock
from recording_worker.dependencies import Dependencies
from recording_worker.errors import WorkerError
from recording_worker.formats.message_file import read_messages
from recording_worker.ingest.counts import IngestCounts
from recording_worker.ingest.topics import TopicFiles
from recording_worker.keys.open import open_keys
from recording_worker.lookups.refreshed import Stores
from recording_worker.lookups.restrictions.open import open_restrictions
from recording_worker.lookups.teams.open import open_teams
from recording_worker.messages import Message, MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import Pipeline, build_pipeline, make_decoder
from recording_worker.recording.flush import Flusher
from recording_worker.recording.session_batch import (
    FlushReason,
    SessionBatchManager,
    SessionBatchRecorder,
    SessionLimits,
)
from recording_worker.settings.model import Settings
from recording_worker.storage.local.backend import LocalStorage

_FINGERPRINT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class IngestJob:
    """What one worker does. It goes to a spawned process, so it can be pickled."""

    settings: Settings
    files: list[tuple[int, Path]]
    """(partition, path), in order."""
    folder: Path
    """Where batch files are written until everything is done."""
    final_folder: Path
    """Where they are afterwards. Their URLs name this folder."""
    topics_folder: Path
    """This worker's own folder for the records that would go to Kafka. The worker makes it."""


def run_job(job: IngestJob, report: Callable[[int, int], None]) -> IngestCounts:
    """Do the job. `report` gets (bytes read from files, messages done) since its last call.

    Session batches are flushed by size and at the end, never by age, so that the same files make the same blocks every
    time. Raises WorkerError.
    """
    settings, counts, clock, metrics = job.settings, IngestCounts(), SystemClock(), Metrics()
    decoder = make_decoder(settings)
    manager = _CountingManager(settings.topic, clock, settings.budget.batch_bytes, inf, SessionLimits.of(settings))
    topics = TopicFiles(job.topics_folder, settings.metadata_topic)
    storage = LocalStorage(job.folder, url_root=job.final_folder)
    sources = {partition: _source(path) for partition, path in job.files}
    keys = open_keys(settings)
    flusher = Flusher(
        storage,
        topics,
        settings=settings,
        clock=clock,
        metrics=metrics,
        on_flushed=counts.flushed,
        encrypts=keys is not None,
        name_sources=lambda partitions: {partition: sources[partition] for partition in partitions},
        decoder=decoder,
    )
    # not refreshed: the same rules apply to the whole file
    stores = Stores(clock, metrics, interval=settings.refresh_interval, stale_after=settings.stale_after)
    dependencies = Dependencies(clock)
    try:
        pipeline = build_pipeline(
            settings,
            decoder=decoder,
            teams=open_teams(settings, stores, dependencies),
            restrictions=open_restrictions(settings, stores, dependencies),
            manager=manager,
            flusher=flusher,
            clock=clock,
            metrics=metrics,
            keys=keys,
            offline=True,
        )
        for batch in _run_batches(job, pipeline, report):
            counts.read(batch)
            if manager.is_full:
                _flush(manager, flusher, FlushReason.SIZE)
            if batch.large_waits:
                if not manager.is_empty:
                    _flush(manager, flusher, FlushReason.MEMORY)
                flusher.wait()
            elif max(decoder.held_bytes, manager.raw_bytes + flusher.raw_bytes) >= settings.budget.held_bytes:
                flusher.wait()
        if not manager.is_empty:
            _flush(manager, flusher, FlushReason.STOP)
        flusher.wait()
        flusher.raise_if_failed()
    finally:
        flusher.close()
        topics.close()
        if keys is not None:
            keys.close()
    counts.sessions = topics.sessions
    counts.discarded = manager.discarded_messages
    return counts


class _CountingManager(SessionBatchManager):
    """Also counts the messages that the event limit took out of the session batches."""

    discarded_messages = 0

    def swap(self) -> SessionBatchRecorder:
        session_batch = super().swap()
        self.discarded_messages += session_batch.discarded_messages
        return session_batch


def _source(path: Path) -> str:
    """Name a file after its content, not after its path: the same lines are the same messages."""
    with path.open("rb") as file:
        start = file.read(_FINGERPRINT_BYTES)
    size = path.stat().st_size
    return f"file:{hashlib.blake2b(start, digest_size=12, salt=size.to_bytes(16)).hexdigest()}"


def _flush(manager: SessionBatchManager, flusher: Flusher, reason: FlushReason) -> None:
    """Wait for the flush in flight, then flush. So the storage's pace does not decide which batch a message is in."""
    flusher.wait()
    flusher.raise_if_failed()
    flusher.submit(manager.swap(), reason)


def _run_batches(job: IngestJob, pipeline: Pipeline, report: Callable[[int, int], None]) -> Iterator[MessageBatch]:
    """Give the files' messages as batches, after the pipeline has run each."""
    settings = job.settings
    read: list[int] = []
    messages = chain.from_iterable(read_messages(path, partition, read.append) for partition, path in job.files)
    rest: list[Message] = []
    while polled := rest + _poll(messages, settings.poll_messages - len(rest), settings.budget.fetch_bytes):
        batch = MessageBatch(settings.topic, MessageColumns.of(polled))
        pipeline.run(batch)
        if batch.waits:
            raise WorkerError(batch.waits)
        rest = list(batch.rest)
        yield batch
        report(sum(read), len(batch))
        read.clear()


def _poll(messages: Iterator[Message], max_messages: int, max_bytes: int) -> list[Message]:
    """Take the next messages: up to `max_messages`, fewer if their values reach `max_bytes`."""
    polled: list[Message] = []
    for message in islice(messages, max_messages):
        polled.append(message)
        max_bytes -= len(message.value or b"")
        if max_bytes <= 0:
            break
    return polled
