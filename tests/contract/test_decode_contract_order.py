"""The order of the rows of the contract, and row 15, which is all else."""

import gzip
import itertools
import json

import pytest

from recording_worker.outcome import Reason
from tests.builders import NOW_MS
from tests.contract.ends import OK, accepted, decode_one, dlq, drop
from tests.decoders import Decode, Line, Outcome
from tests.inputs import (
    EVENT,
    Input,
    data_text,
    envelope_text,
    event_text,
    gzip_value,
    object_text,
    plain_value,
)

# all else


def test_row_15_all_else_is_ok(decode: Decode) -> None:
    events = [event_text(timestamp=str(NOW_MS + later), data=f'{{"source":{later}}}') for later in (5, 1, 9, 3)]
    outcome = accepted(decode, Input(plain_value(events), None, "session-1", "user-1"))
    assert outcome == Outcome(
        *OK,
        session_id="session-1",
        distinct_id="user-1",
        lines=tuple(Line("window-1", event) for event in events),
        timestamps=(NOW_MS + 1, NOW_MS + 9),
    )


# the order of the rows


def _with_faults(*faults: str) -> Input:
    """A message with several faults."""
    items = {
        "no-valid-events": ["{}"],
        "timestamp-diff": [event_text(timestamp="1")],
    }
    chosen = next((items[fault] for fault in items if fault in faults), [EVENT])
    data = data_text(chosen, body={"event": '"$pageview"'} if "non-snapshot" in faults else None)
    distinct_id = "null" if "invalid-payload" in faults else f'"{"x" * 1025}"' if "too-long" in faults else '"user-1"'
    plain = envelope_text(data, {"distinct_id": distinct_id})
    if "invalid-json" in faults:
        plain += "}"
    if "too-large" in faults:
        plain += " " * 10_000
    value = gzip_value(plain.encode())
    return Input(
        value[:-9] if "corrupt" in faults else value,
        session_id_header="other" if "session-id" in faults else "session-1",
        distinct_id_header="other" if "distinct-id" in faults else "user-1",
        timestamp_ms=-1 if "no-timestamp" in faults else NOW_MS,
    )


FAULTS = {
    "no-timestamp": dlq(Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY),
    "corrupt": dlq(Reason.INVALID_COMPRESSED_DATA),
    "too-large": dlq(Reason.PAYLOAD_TOO_LARGE),
    "invalid-json": dlq(Reason.INVALID_JSON),
    "invalid-payload": dlq(Reason.INVALID_MESSAGE_PAYLOAD),
    "non-snapshot": dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE),
    "too-long": dlq(Reason.ID_TOO_LONG),
    "session-id": dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH),
    "distinct-id": dlq(Reason.DISTINCT_ID_HEADER_BODY_MISMATCH),
    "no-valid-events": drop(Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS),
    "timestamp-diff": drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE),
}
IMPOSSIBLE = {("corrupt", "too-large"), ("no-valid-events", "timestamp-diff")}
"""Pairs that a message can't have, or whose first reason is out of sight for a decoder that stops at the cap."""


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in itertools.combinations_with_replacement(FAULTS, 2) if pair not in IMPOSSIBLE],
)
def test_the_first_row_that_applies_ends_the_message(decode: Decode, first: str, second: str) -> None:
    [outcome] = decode([_with_faults(first, second)], max_decompressed_bytes=5_000).rows
    assert outcome.end == FAULTS[first]


def test_a_syntax_error_comes_before_all_a_text_says(decode: Decode) -> None:
    """Each text must be JSON as a whole before its values are checked."""
    assert decode_one(decode, b'{"distinct_id":null,"data":1').end == dlq(Reason.INVALID_JSON)
    assert decode_one(decode, b"[] x").end == dlq(Reason.INVALID_JSON)
    row = Input(envelope_text(data_text() + "x").encode(), session_id_header="other")
    assert decode_one(decode, row).end == dlq(Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)


def test_rows_of_a_batch_end_each_for_itself(decode: Decode) -> None:
    rows = [_with_faults(fault) for fault in FAULTS] + [_with_faults()]
    batch = decode(rows, max_decompressed_bytes=5_000)
    assert [row.end for row in batch.rows] == [*FAULTS.values(), OK]
    assert batch.rows[-1].events == [EVENT]


def test_the_envelope_object_builder_is_not_the_decoder() -> None:
    """The texts that tests build are the same as json.dumps writes."""
    assert json.loads(gzip.decompress(_with_faults().value or b""))["distinct_id"] == "user-1"
    assert json.loads(object_text({"a": "1"}, {"a": None, "b": "[]"})) == {"b": []}
