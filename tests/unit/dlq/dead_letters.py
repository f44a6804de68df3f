"""Dead letters for the tests, as a worker sends them."""

from recording_worker.messages import Headers, Record
from recording_worker.metrics import Metrics
from recording_worker.operations.dlq.dead_letter import DeadLetter, read_dead_letter
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps.handle_results import HandleResults
from tests.builders import NOW_MS, FakeClock, batch, message

LATER_MS = NOW_MS + 5_000
"""When letters are sent to the DLQ."""


def record(
    offset: int = 0,
    partition: int = 0,
    *,
    at: int = 0,
    headers: Headers | None = None,
    reason: Reason = Reason.INVALID_JSON,
    value: bytes | None = b"x",
    timestamp_ms: int = LATER_MS,
) -> Record:
    """The DLQ record, at offset `at` of partition 0, of the message at this offset and partition of the source."""
    rows = batch(message(offset, partition, headers=headers, value=value))
    rows.end(0, Disposition.DLQ, reason, "a_step", "an error")
    HandleResults("dlq", "overflow", "backfill", FakeClock(), Metrics()).run(rows)
    ((_, sent),) = rows.records
    return Record(sent.topic, 0, at, timestamp_ms, sent.headers, sent.value, sent.key)


def letter(*place: int, at: int = 0, timestamp_ms: int = LATER_MS) -> DeadLetter:
    """The letter of the message at this (offset, partition)."""
    return read_dead_letter(record(*place, at=at, timestamp_ms=timestamp_ms))
