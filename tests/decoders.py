"""The native decoder and the reference behind one interface, and what it means that they agree."""

import dataclasses
import math
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from recording_worker import _native
from recording_worker.outcome import Disposition, Reason
from tests.inputs import Input
from tests.reference import jsontext
from tests.reference.counters import BlockCounters, ConsoleLog, block_counters, console_logs
from tests.reference.decoder import MAX_DECOMPRESSED_BYTES, MAX_TIMESTAMP_DIFF_MS, Decoded, decode_message
from tests.reference.unpack import Budget, is_packed, unpack_event


class Line(NamedTuple):
    """One line of a block."""

    window_id: str
    """With U+FFFD for lone surrogates."""
    event: str
    """The text of the event."""
    compacted: bool = False
    """Whether the reference took out white space: the event held a line break, or was unpacked."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row. All but the first two and the last only where it is ok."""

    disposition: Disposition
    reason: Reason
    session_id: str | None = None
    distinct_id: str | None = None
    lines: tuple[Line, ...] = ()
    timestamps: tuple[float, float] | None = None
    console_logs: tuple[ConsoleLog, ...] = ()
    far_timestamps: tuple[float, float] | None = None
    """If items are too far from now: the first and the last timestamp, theirs included. Also if the row was dropped."""

    @property
    def end(self) -> tuple[Disposition, Reason]:
        return self.disposition, self.reason

    @property
    def events(self) -> list[str]:
        return [line.event for line in self.lines]


@dataclasses.dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of a batch."""

    rows: tuple[Outcome, ...]
    blocks: dict[str, BlockCounters]
    """Per session the counters over all its ok rows; a row's number is its offset."""
    encodings: dict[str, int]
    uncompressed_bytes: int
    invalid_items: int
    far_items: int
    invalid_utf8: int
    unpacked_events: int
    unpack_failures: int


class Decode(Protocol):
    """A decoder under test. `now_ms` None takes each message's own timestamp as now."""

    def __call__(
        self,
        inputs: Sequence[Input],
        now_ms: int | None = None,
        *,
        max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
        max_timestamp_diff_ms: int = MAX_TIMESTAMP_DIFF_MS,
        far_item_drops_message: bool = False,
        normalize_session_ids: bool = False,
        correct_clock_skew: bool = False,
        unpack: bool = False,
    ) -> BatchOutcome: ...


def decode_reference(
    inputs: Sequence[Input],
    now_ms: int | None = None,
    *,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
    max_timestamp_diff_ms: int = MAX_TIMESTAMP_DIFF_MS,
    far_item_drops_message: bool = False,
    normalize_session_ids: bool = False,
    correct_clock_skew: bool = False,
    unpack: bool = False,
) -> BatchOutcome:
    """Decode with the reference, row by row."""
    rows = [
        decode_message(
            *row[:-1],
            row.timestamp_ms,
            now_ms,
            max_decompressed_bytes=max_decompressed_bytes,
            max_timestamp_diff_ms=max_timestamp_diff_ms,
            far_item_drops_message=far_item_drops_message,
            normalize_session_ids=normalize_session_ids,
            correct_clock_skew=correct_clock_skew,
        )
        for row in inputs
    ]
    sessions: dict[str, list[tuple[int, Decoded]]] = {}
    for offset, row in enumerate(rows):
        if not row.disposition:
            assert row.session_id is not None
            sessions.setdefault(row.session_id, []).append((offset, row))
    outcomes = [_reference_outcome(row) for row in rows]
    unpacked: Counter[bool] = Counter()
    if unpack:
        for number, row in enumerate(rows):
            if not row.disposition:
                lines = _unpacked_lines(row, max_decompressed_bytes, unpacked)
                outcomes[number] = dataclasses.replace(outcomes[number], lines=lines)
    return BatchOutcome(
        rows=tuple(outcomes),
        blocks={session_id: block_counters(messages) for session_id, messages in sessions.items()},
        encodings=dict(Counter(row.encoding for row in rows if row.encoding is not None)),
        uncompressed_bytes=sum(row.uncompressed_bytes for row in rows),
        invalid_items=sum(row.invalid_items for row in rows),
        far_items=sum(row.far_items for row in rows),
        invalid_utf8=sum(row.invalid_utf8 for row in rows),
        unpacked_events=unpacked[True],
        unpack_failures=unpacked[False],
    )


def _reference_outcome(row: Decoded) -> Outcome:
    outcome = Outcome(row.disposition, row.reason, far_timestamps=row.far_timestamps)
    if row.disposition:
        return outcome
    assert row.first_timestamp is not None
    assert row.last_timestamp is not None
    return dataclasses.replace(
        outcome,
        timestamps=(row.first_timestamp, row.last_timestamp),
        session_id=row.session_id,
        distinct_id=row.distinct_id,
        lines=tuple(_reference_line(row.window_id or "", event.text) for event in row.events),
        console_logs=tuple(console_logs(row)),
    )


def _reference_line(window_id: str, event: str) -> Line:
    if "\n" in event or "\r" in event:
        return Line(window_id, jsontext.compact(event), compacted=True)
    return Line(window_id, event)


def _unpacked_lines(row: Decoded, cap: int, unpacked: Counter[bool]) -> tuple[Line, ...]:
    """The lines of a row with its packed events unpacked; counts those that can be and those that can't."""
    lines = []
    budget = Budget(cap - row.uncompressed_bytes)
    for event in row.events:
        line = _reference_line(row.window_id or "", event.text)
        if is_packed(event.value):
            text = unpack_event(event.text, budget)
            unpacked[text is not None] += 1
            if text is not None:
                line = Line(line.window_id, jsontext.compact(text), compacted=True)
        lines.append(line)
    return tuple(lines)


def decode_native(
    inputs: Sequence[Input],
    now_ms: int | None = None,
    *,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
    max_timestamp_diff_ms: int = MAX_TIMESTAMP_DIFF_MS,
    far_item_drops_message: bool = False,
    normalize_session_ids: bool = False,
    correct_clock_skew: bool = False,
    unpack: bool = False,
) -> BatchOutcome:
    """Decode with a native decoder of its own, in one call."""
    decoder = _native.Decoder(
        max_decompressed_bytes=max_decompressed_bytes,
        max_timestamp_diff_ms=max_timestamp_diff_ms,
        far_item_drops_message=far_item_drops_message,
        normalize_session_ids=normalize_session_ids,
        correct_clock_skew=correct_clock_skew,
        unpack_client_compression=unpack,
    )
    return native_outcome(*call_native(decoder, inputs, now_ms))


class NativeCall(NamedTuple):
    decoded: _native.DecodedBatch
    dispositions: bytearray
    reasons: bytearray


def call_native(
    decoder: _native.Decoder, inputs: Sequence[Input], now_ms: int | None = None, *, large: bool = True
) -> NativeCall:
    """One decode call over rows that are all undecided."""
    dispositions, reasons = bytearray(len(inputs)), bytearray(len(inputs))
    decoded = decoder.decode(
        _native.ByteColumn([row.value for row in inputs]),
        _native.TextColumn([row.content_encoding for row in inputs]),
        _native.TextColumn([row.session_id_header for row in inputs]),
        _native.TextColumn([row.distinct_id_header for row in inputs]),
        array("q", [row.timestamp_ms for row in inputs]),
        now_ms,
        dispositions,
        reasons,
        large,
    )
    return NativeCall(decoded, dispositions, reasons)


def native_outcome(decoded: _native.DecodedBatch, dispositions: bytearray, reasons: bytearray) -> BatchOutcome:
    """Read out all a decode call gives; holds the parts that tell the same against each other."""
    rows = []
    sessions: dict[str, list[int]] = {}
    for row in range(decoded.rows):
        rows.append(_native_outcome(decoded, row, Disposition(dispositions[row]), Reason(reasons[row])))
        if not dispositions[row]:
            sessions.setdefault(decoded.session_id(row), []).append(row)
    return BatchOutcome(
        rows=tuple(rows),
        blocks={session_id: _native_block(decoded, numbers) for session_id, numbers in sessions.items()},
        encodings={name: count for name, count in decoded.encodings.items() if count},
        uncompressed_bytes=decoded.uncompressed_bytes,
        invalid_items=decoded.invalid_items,
        far_items=decoded.far_items,
        invalid_utf8=decoded.invalid_utf8,
        unpacked_events=decoded.unpacked_events,
        unpack_failures=decoded.unpack_failures,
    )


def _native_outcome(decoded: _native.DecodedBatch, row: int, disposition: Disposition, reason: Reason) -> Outcome:
    far = {number: timestamps for number, *timestamps in decoded.far_rows}.get(row)
    outcome = Outcome(disposition, reason, far_timestamps=None if far is None else (far[0], far[1]))
    if disposition:
        return outcome
    raw = decoded.lines(row)
    assert len(raw) == decoded.line_bytes(row)
    lines = parse_lines(raw)
    assert len(lines) == decoded.event_count(row)
    return dataclasses.replace(
        outcome,
        session_id=decoded.session_id(row),
        distinct_id=decoded.distinct_id(row),
        lines=lines,
        timestamps=decoded.timestamps(row),
        console_logs=tuple(ConsoleLog(log.level, log.message, log.timestamp) for log in decoded.console_logs(row)),
    )


def parse_lines(raw: bytes) -> tuple[Line, ...]:
    """The lines of a block: each is UTF-8 and JSON, and exactly `["<window id>",<event>]`."""
    assert raw.endswith(b"\n")
    lines = []
    for line in raw[:-1].split(b"\n"):
        text = line.decode()
        jsontext.parse(text)
        (window_start, window_end), (event_start, event_end) = jsontext.elements(text, 0)
        window_id, event = text[window_start:window_end], text[event_start:event_end]
        assert text == f"[{window_id},{event}]"
        parsed = jsontext.parse(window_id)
        assert isinstance(parsed, str)
        lines.append(Line(jsontext.replace_surrogates(parsed), event))
    return tuple(lines)


def _native_block(decoded: _native.DecodedBatch, rows: list[int]) -> BlockCounters:
    block = _native.SessionBlock()
    for row in rows:
        assert block.record(decoded, row, row) == decoded.line_bytes(row)
    raw = b"".join(decoded.lines(row) for row in rows)
    assert block.size == len(raw)
    assert block.lines() == raw
    summary = block.summary()._asdict()
    assert summary.pop("size") == block.size
    assert (summary["event_count"], summary["message_count"]) == (block.event_count, block.message_count)
    return BlockCounters(**summary, messages=block.messages())


def assert_same(native: BatchOutcome, reference: BatchOutcome) -> None:
    """Hold what the native decoder gave against what the reference gave."""
    assert len(native.rows) == len(reference.rows)
    for one, other in zip(native.rows, reference.rows, strict=True):
        assert one.end == other.end
        assert dataclasses.replace(one, lines=()) == dataclasses.replace(other, lines=())
        assert len(one.lines) == len(other.lines)
        for line, expected in zip(one.lines, other.lines, strict=True):
            assert_same_line(line, expected)
    assert native.blocks.keys() == reference.blocks.keys()
    for session_id, block in native.blocks.items():
        assert_same_block(block, reference.blocks[session_id])
    assert native.encodings == reference.encodings
    assert native.uncompressed_bytes == reference.uncompressed_bytes
    assert native.invalid_items == reference.invalid_items
    assert native.far_items == reference.far_items
    assert native.invalid_utf8 == reference.invalid_utf8
    assert native.unpacked_events == reference.unpacked_events
    assert native.unpack_failures == reference.unpack_failures


def assert_same_line(line: Line, expected: Line) -> None:
    """The same bytes; of an event that had to be compacted or unpacked, the same tokens on one line."""
    assert line.window_id == expected.window_id
    if expected.compacted:
        assert "\n" not in line.event
        assert jsontext.compact(line.event) == expected.event
    else:
        assert line.event == expected.event


def assert_same_block(block: BlockCounters, expected: BlockCounters) -> None:
    """The same counters; a fraction of a millisecond may be rounded either way."""
    milliseconds = block.active_milliseconds
    assert milliseconds in (math.floor(expected.active_milliseconds), math.ceil(expected.active_milliseconds))
    assert dataclasses.replace(block, active_milliseconds=expected.active_milliseconds) == expected
