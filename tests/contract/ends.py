"""The ways a message can end, and helpers for a single message."""

from recording_worker.outcome import Disposition, Reason
from tests.decoders import Decode, Outcome
from tests.inputs import Input, plain_value

End = tuple[Disposition, Reason]

OK: End = (Disposition.OK, Reason.NONE)


def dlq(reason: Reason) -> End:
    return Disposition.DLQ, reason


def drop(reason: Reason) -> End:
    return Disposition.DROP, reason


def decode_one(decode: Decode, row: Input | bytes, now_ms: int | None = None) -> Outcome:
    """Decode one message."""
    [outcome] = decode([row if isinstance(row, Input) else Input(row)], now_ms).rows
    return outcome


def accepted(decode: Decode, row: Input | bytes) -> Outcome:
    """Decode one message, which must be ok."""
    outcome = decode_one(decode, row)
    assert outcome.end == OK
    return outcome


def untouched(decode: Decode, *events: str) -> None:
    """Check that the events come out byte for byte."""
    assert accepted(decode, plain_value(events)).events == list(events)
