"""Flusher: writes a session batch to storage, then delivers its records and offsets, while the worker consumes."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import Protocol

import structlog
from structlog.contextvars import bound_contextvars

from recording_worker._native import Compressor, Decoder, FileBlocks, PackedRecords
from recording_worker.clock import Clock
from recording_worker.errors import StepError, WorkerError
from recording_worker.formats.accounts import Account
from recording_worker.formats.dictionary import dictionary_key
from recording_worker.formats.session_keys import Session
from recording_worker.messages import OutputRecord, RecordChain
from recording_worker.metrics import Metrics
from recording_worker.recording.batch_writer import BatchWriter
from recording_worker.recording.dictionary import configured_dictionary
from recording_worker.recording.session_batch import (
    NO_COUNTS,
    FlushReason,
    PartitionCounts,
    Seconds,
    SessionBatchRecorder,
    Since,
)
from recording_worker.recording.stages import Stages
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Storage
from recording_worker.tracing.base import Attributes, NoTracing, Tracing

log = structlog.get_logger()

_SLOW_SECONDS = 5.0
"""A flush that takes longer is logged: the batch after it may be ready, and waits."""


@dataclass(frozen=True, slots=True)
class FlushedPartition:
    """A partition's part of a flushed batch. It is delivered as a whole or not at all."""

    account: Account
    """What became of the messages that were read into this batch."""
    records: list[OutputRecord]
    """Warnings, DLQ and overflow records."""
    metadata: list[OutputRecord] = field(default_factory=list)
    """The metadata records of its blocks."""
    console_logs: "list[ConsoleLogs]" = field(default_factory=list)
    """The console logs of its sessions, by file."""
    seconds: Seconds = field(default_factory=Counter)
    """The messages that were read into this batch, by when they came."""
    counts: PartitionCounts = NO_COUNTS

    @property
    def until(self) -> int | None:
        """The second since 1970 in which Kafka got the latest of these messages; None if none says it."""
        return max((second for since, second in self.seconds if since is Since.RECEIVED), default=None)


@dataclass(frozen=True, slots=True)
class ConsoleLogs:
    """The console-log records of a partition's sessions in a file. Each iteration makes them again.

    A session may have many. So they are in memory while they are sent, a few at a time.
    """

    topic: str
    partition: int
    batch_id: str
    file: FileBlocks

    def __iter__(self) -> Iterator[OutputRecord]:
        for packed in self.file.console_logs(self.partition, self.batch_id):
            yield from _records(self.topic, packed)


@dataclass(frozen=True, slots=True)
class FlushedBatch:
    """A session batch whose files are stored. Its records and offsets are not delivered yet."""

    batch_id: str
    topic: str
    reason: FlushReason
    partitions: dict[int, FlushedPartition]
    sessions: int
    """Sessions in the files. Each has one block."""
    messages: int
    """Messages whose events are in the files."""
    events: int
    raw_bytes: int
    """Bytes of the lines in the files, uncompressed."""
    bytes_written: int
    """Bytes of the files."""
    seconds: float = 0.0
    """How long the flush took, compression to delivery; 0 until it is delivered."""

    @property
    def records(self) -> RecordChain:
        """Everything that goes to Kafka with this batch."""
        return records_of(self.partitions.values())


def records_of(parts: Iterable[FlushedPartition]) -> RecordChain:
    """Return everything that goes to Kafka with these partitions, block metadata last."""
    parts = list(parts)
    sources: list[Iterable[OutputRecord]] = []
    for part in parts:
        sources += [part.records, *part.console_logs]
    return RecordChain([*sources, *(part.metadata for part in parts)])


class Delivery(Protocol):
    """Makes a flushed batch count: its records reach Kafka, and its offsets move."""

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        """Produce the records and have the offsets committed. Blocks until Kafka has acknowledged them.

        Runs on the flush thread. Leaves out partitions that this worker no longer has; returns the others.
        Raises FlushError.
        """


class Flusher:
    """Flushes session batches on a thread of its own, one at a time.

    If a flush fails, the flusher stops for good: no later batch may move the offsets past the lost one. The thread does
    not keep the process from exiting.
    """

    def __init__(
        self,
        storage: Storage,
        delivery: Delivery,
        *,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        on_started: Callable[[Mapping[int, int]], None] | None = None,
        on_flushed: Callable[[FlushedBatch], None] | None = None,
        name_sources: Callable[[Collection[int]], Mapping[int, str]] | None = None,
        mark_seen: Callable[[Iterable[Session]], None] | None = None,
        tracing: Tracing | None = None,
        decoder: Decoder | None = None,
        encrypts: bool = False,
    ) -> None:
        """`on_started` is called on the flush thread before anything else is done with a batch, with its offsets:
        partition → the next one to read. `on_flushed` is called there once the batch is delivered.

        `name_sources` gives the names that the partitions have in the index. Equal (source, offset) must mean the same
        message for ever. It is called before anything of a batch is stored. Partitions that it leaves out are not this
        worker's any more, and are dropped from the batch. It raises FlushError if the batch may hold messages of
        another source. Without it the source is `{topic}/{partition}`, which is right for a Kafka topic that is never
        created again. `mark_seen` takes the sessions whose blocks are delivered.
        Blocks are compressed into memory that lines of `decoder` had before, if it is given.
        `encrypts`: encrypt each session as the batch's keys say. A session that they leave out makes the flush fail.
        """
        self._storage = storage
        self._delivery = delivery
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._on_started = on_started
        self._on_flushed = on_flushed
        self._name_sources = name_sources
        self._mark_seen = mark_seen
        self._tracing = tracing or NoTracing()
        self._encrypts = encrypts
        self._dictionary = configured_dictionary(settings)
        self._dictionary_is_stored = False
        content = None if self._dictionary is None else self._dictionary.content
        self._compressor = Compressor(settings.codec.value, settings.zstd_level, content, decoder)
        self._inbox: SimpleQueue[tuple[SessionBatchRecorder, FlushReason] | None] = SimpleQueue()
        self.raw_bytes = 0
        """What the batch in flight holds, see SessionBatchRecorder; 0 if there is none."""
        self._idle = threading.Event()
        self._idle.set()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="flush", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a flush is in flight."""
        return not self._idle.is_set()

    def submit(self, session_batch: SessionBatchRecorder, reason: FlushReason) -> None:
        """Hand a batch to the flush thread, which empties it. Raises RuntimeError if a flush is in flight.

        Raises the fault of an earlier flush.
        """
        if self.busy:
            raise RuntimeError("a flush is in flight")
        self.raise_if_failed()
        self.raw_bytes = session_batch.raw_bytes
        self._idle.clear()
        self._tracing.hand_over(session_batch.batch_id)
        self._inbox.put((session_batch, reason))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no flush is in flight, at most `timeout` seconds. Return whether none is."""
        return self._idle.wait(timeout)

    def raise_if_failed(self) -> None:
        """If a flush failed, raise its fault: FlushError, or StepError if it may be a message's."""
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        """Wait for the flush in flight, then end the thread. Raises nothing: see `raise_if_failed`."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._inbox.get()) is not None:
            try:
                session_batch, reason = job
                batch_id = session_batch.batch_id
                with bound_contextvars(batch=batch_id), self._tracing.flush(batch_id, reason.value) as attributes:
                    self._flush(session_batch, reason, attributes)
            except Exception as fault:  # noqa: BLE001 - raised again on the thread that asked for the flush
                self._metrics.flush_failures.inc()
                self._fault = _as_worker_error(fault)
            finally:
                del job, session_batch
                self.raw_bytes = 0
                self._idle.set()

    def _flush(self, session_batch: SessionBatchRecorder, reason: FlushReason, attributes: Attributes) -> None:
        """Flush a batch, and say in `attributes` what it was."""
        if self._on_started is not None:
            self._on_started(session_batch.offsets)
        started, created_ms = self._clock.monotonic(), self._clock.now_ms()
        stages = Stages(self._clock)
        with stages.of("gather"):
            sources = self._sources(session_batch)
            flushed, writers = self._take(session_batch, reason, created_ms, sources)
        with stages.of("store"):
            if writers:
                self._store_dictionary()
            for writer in writers:
                self._store(writer, flushed, stages)
        flushed = replace(flushed, bytes_written=sum(writer.size for writer in writers))
        with stages.of("deliver"):
            delivered = self._delivery.deliver(flushed)
        stages.observe(self._metrics)
        if self._mark_seen is not None:
            for writer in writers:
                self._mark_seen(session for number in delivered for session in writer.file.sessions(number))
        flushed = replace(flushed, seconds=self._clock.monotonic() - started)
        attributes |= {
            "recording.sessions": flushed.sessions,
            "recording.messages": flushed.messages,
            "recording.bytes_written": flushed.bytes_written,
            **{f"recording.flush.{stage}_seconds": seconds for stage, seconds in stages.seconds.items()},
        }
        log.debug(
            "session batch flushed",
            reason=reason.value,
            sessions=flushed.sessions,
            recorded=flushed.messages,
            bytes=flushed.bytes_written,
            seconds=round(flushed.seconds, 3),
            offsets={number: part.account.next for number, part in flushed.partitions.items()},
        )
        self._metrics.flushes.labels(reason).inc()
        self._metrics.flush_seconds.observe(flushed.seconds)
        if flushed.seconds > _SLOW_SECONDS:
            each = {stage: round(seconds, 1) for stage, seconds in stages.seconds.items()}
            log.warning("flush took long", seconds=round(flushed.seconds, 1), **each)
        self._metrics.flushed_sessions.inc(flushed.sessions)
        self._metrics.flushed_events.inc(flushed.events)
        self._metrics.flushed_bytes.inc(flushed.bytes_written)
        if self._on_flushed is not None:
            self._on_flushed(flushed)

    def _sources(self, batch: SessionBatchRecorder) -> Mapping[int, str]:
        """Name the sources of the batch, and drop partitions that have none any more. Raises FlushError."""
        if self._name_sources is None:
            return {number: f"{batch.topic}/{number}" for number in batch.partitions}
        sources = self._name_sources(batch.partitions.keys())
        lost = sorted(batch.partitions.keys() - sources.keys())
        if lost:
            log.warning("partitions are not held any more: what was read of them is discarded", partitions=lost)
        for number in lost:
            batch.discard(number)
        return sources

    def _take(
        self, batch: SessionBatchRecorder, reason: FlushReason, created_ms: int, sources: Mapping[int, str]
    ) -> tuple[FlushedBatch, list[BatchWriter]]:
        """Take everything out of the batch, so that only the writers hold its blocks."""
        accounts, counts = batch.accounts(), batch.counts()
        files = batch.sessions.take()
        partitions = {
            number: FlushedPartition(
                accounts[number], partition.records, seconds=partition.seconds, counts=counts[number]
            )
            for number, partition in batch.partitions.items()
        }
        for file in files:
            for number in file.offsets():
                logs = ConsoleLogs(self._settings.console_logs_topic, number, batch.batch_id, file)
                partitions[number].console_logs.append(logs)
        writers = [
            BatchWriter(
                file,
                batch_id=batch.batch_id,
                created_ms=created_ms,
                codec=self._settings.codec,
                names=self._settings.file_names,
                dictionary_id=None if self._dictionary is None else self._dictionary.id,
                sources=sources,
                keys=batch.keys if self._encrypts else None,
            )
            for file in files
        ]
        flushed = FlushedBatch(
            batch_id=batch.batch_id,
            topic=batch.topic,
            reason=reason,
            partitions=partitions,
            sessions=sum(map(len, files)),
            messages=sum(file.messages for file in files),
            events=sum(file.events for file in files),
            raw_bytes=sum(file.raw_bytes for file in files),
            bytes_written=0,
        )
        batch.partitions.clear()
        return flushed, writers

    def _store_dictionary(self) -> None:
        """Store the dictionary before the first file that needs it. Another worker may have stored the same one."""
        if self._dictionary is not None and not self._dictionary_is_stored:
            key = dictionary_key(self._settings.storage_prefix, self._dictionary.id)
            self._storage.write(key, [self._dictionary.content], {})
            self._dictionary_is_stored = True

    def _store(self, writer: BatchWriter, flushed: FlushedBatch, stages: Stages) -> None:
        """Write one file, and add its metadata to the batch's records."""
        key, metadata = writer.key(self._settings.storage_prefix), writer.file_metadata(flushed.topic)
        parts = writer.parts(self._compressor, partial(stages.of, "encrypt"))
        url = self._storage.write(key, stages.timed("compress", parts), metadata)
        self._metrics.session_bytes.observe_all(writer.session_sizes)
        self._metrics.block_bytes.observe_all(writer.block_sizes)
        self._metrics.file_bytes.observe(writer.size)
        for number, packed in writer.block_metadata(url).items():
            flushed.partitions[number].metadata.extend(_records(self._settings.metadata_topic, packed))


def _as_worker_error(fault: Exception) -> Exception:
    """Return a fault that no storage and no broker explains as a StepError. One message may have caused it."""
    if isinstance(fault, (WorkerError, OSError)):
        return fault
    error = StepError(f"a flush raised {fault!r}")
    error.__cause__ = fault
    return error


def _records(topic: str, packed: PackedRecords) -> Iterator[OutputRecord]:
    for number in range(len(packed)):
        key, value = packed[number]
        yield OutputRecord(topic, key, value, [], 0)
