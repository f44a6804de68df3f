"""A flusher with a delivery that keeps what it is given, and what it stored."""

import json
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from recording_worker.messages import OutputRecord
from recording_worker.reading.batch_files import Block, read_blocks
from recording_worker.recording.flush import FlushedBatch, Flusher
from recording_worker.recording.session_batch import FlushReason, SessionBatchRecorder, SessionLimits
from recording_worker.storage.local.file import find_files
from tests.builders import TOPIC, session_message
from tests.unit.test_session_batch import decoded, record_all

WAITING = OutputRecord("dlq", b"key", b"value", [("dlq-reason", b"invalid_json")], 0, as_it_came=True)


class Deliveries:
    """A delivery that keeps what it is given, once it is let."""

    def __init__(self) -> None:
        self.delivered: list[FlushedBatch] = []
        self.let = threading.Event()
        self.let.set()
        self.fault: Exception | None = None
        self.lost: set[int] = set()
        """Partitions that this worker no longer has."""
        self.on_delivery: Callable[[], None] = lambda: None

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        assert self.let.wait(10)
        if self.fault is not None:
            raise self.fault
        self.delivered.append(flushed)
        self.on_delivery()
        return flushed.partitions.keys() - self.lost

    def values(self, topic: str) -> list[dict[str, Any]]:
        return [
            json.loads(record.value)
            for flushed in self.delivered
            for record in flushed.records
            if record.topic == topic and record.value is not None
        ]


Make = Callable[..., Flusher]


def session_batch(*sessions: str) -> SessionBatchRecorder:
    """A batch of one message a session."""
    batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    for offset, session_id in enumerate(sessions):
        record_all(batch, decoded(session_message(offset, session_id)))
    return batch


def flush(flusher: Flusher, batch: SessionBatchRecorder) -> None:
    flusher.submit(batch, FlushReason.SIZE)
    assert flusher.wait(10)
    flusher.raise_if_failed()


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def blocks(root: Path) -> list[Block]:
    found: list[Block] = []
    for in_file in read_blocks(find_files([str(root)])):
        assert isinstance(in_file, list)
        found += in_file
    return found


def offsets_of(flushed: FlushedBatch) -> dict[int, int]:
    """Partition → the offset to go on from."""
    return {number: part.account.next for number, part in flushed.partitions.items()}
