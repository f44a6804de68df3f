"""Trial: records one made-up session with the settings' own pipeline, and reads it back as a reader would."""

import json
from collections.abc import Collection
from math import inf

from recording_worker.clock import SystemClock
from recording_worker.errors import FlushError
from recording_worker.formats.batch_file import BatchFileError, parse_block_url
from recording_worker.formats.block import lines_of
from recording_worker.formats.block_metadata import BlockRecord, read_block
from recording_worker.lookups.restrictions.refreshed import RefreshedRestrictions
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.messages import Message, MessageColumns, Record
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import build_pipeline, make_decoder
from recording_worker.reading.batch_files import Block, read_index
from recording_worker.recording.flush import FlushedBatch, Flusher
from recording_worker.recording.session_batch import FlushReason, SessionBatchManager, SessionLimits
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile, Storage
from recording_worker.storage.locate import Locator

_NAME = "recording-worker-check"
_EVENTS = 2
_NEVER = inf


class _KeepsMetadata:
    """A delivery that tells Kafka nothing, and keeps the metadata."""

    def __init__(self) -> None:
        self.blocks: list[BlockRecord] = []

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        for number, part in flushed.partitions.items():
            for made in part.metadata:
                record = Record(made.topic, number, 0, made.timestamp_ms, made.headers, made.value)
                self.blocks.append(read_block(record))
        return flushed.partitions.keys()


def record_session(settings: Settings, storage: Storage) -> BlockRecord:
    """Store a session of two events, and return the metadata of its block. Raises WorkerError.

    No metadata reaches Kafka, so no reader finds the file, and `sweep` takes it for an orphan.
    """
    clock, metrics, delivery = SystemClock(), Metrics(), _KeepsMetadata()
    manager = SessionBatchManager(
        settings.topic, clock, settings.budget.batch_bytes, 3600.0, SessionLimits.of(settings)
    )
    flusher = Flusher(storage, delivery, settings=settings, clock=clock, metrics=metrics)
    try:
        pipeline = build_pipeline(
            settings,
            decoder=make_decoder(settings),
            teams=AnyTokenTeams(),
            restrictions=RefreshedRestrictions(()),
            manager=manager,
            flusher=flusher,
            clock=clock,
            metrics=metrics,
            offline=True,
        )
        pipeline.run(MessageBatch(settings.topic, MessageColumns.of([_message(clock.now_ms())])))
        flusher.submit(manager.swap(), FlushReason.STOP)
        flusher.wait()
        flusher.raise_if_failed()
    finally:
        flusher.close()
    if not delivery.blocks:
        raise FlushError("the pipeline recorded nothing of a session that it should record")
    return delivery.blocks[0]


def read_session(settings: Settings, stored: BlockRecord) -> RangedFile:
    """Read the block by its URL, as a reader does, and return its file. Raises WorkerError if anything is wrong."""
    place = parse_block_url(stored.block_url)
    file = Locator(settings).open(place.file)
    index = read_index(file)
    entry = next((entry for entry in index.blocks if entry.start == place.start), None)
    if entry is None or entry.length != place.length:
        raise BatchFileError(f"{file.name}: the index does not have the block that its metadata names")
    lines = list(lines_of(Block(file, index, entry).read()))
    if len(lines) != _EVENTS:
        raise BatchFileError(f"{file.name}: a block of {_EVENTS} events has {len(lines)} lines")
    return file


def _message(now_ms: int) -> Message:
    events = [
        {"type": 4, "timestamp": now_ms, "data": {"href": "https://recording-worker.test/", "width": 1, "height": 1}},
        {"type": 3, "timestamp": now_ms + 1, "data": {"source": 1, "positions": []}},
    ]
    properties = {"$session_id": _NAME, "$window_id": _NAME, "$snapshot_items": events, "$snapshot_source": "web"}
    data = json.dumps({"event": "$snapshot_items", "properties": properties})
    value = json.dumps({"distinct_id": _NAME, "data": data, "token": _NAME}).encode()
    names = ("token", "distinct_id", "session_id")
    return Message(0, 0, now_ms, _NAME.encode(), value, [(name, _NAME.encode()) for name in names])
