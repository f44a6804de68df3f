"""The native decode core; sources in `_native/`."""

from collections.abc import Sequence
from typing import NamedTuple, Self, final

REASONS: dict[str, int]
"""The reason codes the core can give, name → code, for the test that holds them against `reasons.Reason`."""

SIMDJSON_IMPLEMENTATION: str
"""The instruction set simdjson chose on this machine, such as "icelake" or "haswell"."""

def encoding_of(value: bytes, content_encoding: str | None) -> str | None:
    """Return how a message value is encoded: "plain", "gzip", "lz4" or "zstd"; None for an unknown content-encoding.

    `content_encoding` is the message's header, None if it has none; then the first bytes of the value decide.
    """

def decompress(value: bytes, content_encoding: str | None, max_bytes: int) -> bytes:
    """Return the text of a message value, by the rules of docs/data/messages.md, with the GIL released.

    `content_encoding` is as in `encoding_of`. Raises ValueError with the label of the reason the message would go
    to the DLQ for: "invalid_compressed_data", or "payload_too_large" for a text of more than `max_bytes`.
    Raises OverflowError if `max_bytes` is below zero or above 1 GiB, MemoryError if there is no memory.
    """

def event_timestamp(line: bytes) -> float:
    """Return the timestamp of the event on a block line, ms since 1970, with the GIL released.

    `line` is `["<window_id>",<event>]`, with or without its line break. It must be JSON, but may nest to any depth,
    hold numbers of any length, lone surrogates, and invalid UTF-8. If several members are called `timestamp`, the
    last counts. Raises ValueError if the line is not such a line, or the event has no number for its timestamp.
    """

def unpack_line(line: bytes, max_bytes: int) -> bytes:
    """Return a block line with its event unpacked, with the GIL released; the same line if it is not packed.

    A packed event has `"cv": "2024-10"`, and gzips in place of its data or of fields of its data. `line` is as in
    `event_timestamp`. Raises ValueError if it is not such a line, or if its event can't be unpacked: a field is not
    a gzip of JSON, or the fields hold more than `max_bytes` together.
    """

@final
class ConsoleLog:
    """One console event of a message."""

    level: str
    """"info", "warn" or "error"."""
    message: str
    timestamp: float
    """Milliseconds since 1970."""

@final
class Decoder:
    """Decodes batches of message values; keeps its buffers from one batch to the next. Not for two threads at once."""

    def __new__(
        cls,
        *,
        max_decompressed_bytes: int = 67_108_864,
        max_timestamp_diff_ms: int = 604_800_000,
        max_decoded_bytes: int = 134_217_728,
        unpack_client_compression: bool = False,
    ) -> Self:
        """With `unpack_client_compression`, events of `"cv": "2024-10"` are written unpacked, where that works."""
    def decode(
        self,
        values: Sequence[bytes | None],
        content_encodings: Sequence[str | None],
        session_id_headers: Sequence[str | None],
        distinct_id_headers: Sequence[str | None],
        timestamps_ms: Sequence[int],
        now_ms: int | None,
        dispositions: bytearray,
        reasons: bytearray,
    ) -> DecodedBatch:
        """Decode the rows whose disposition is 0, with the GIL released, and set their disposition and reason.

        All sequences have one entry a row. `now_ms` is the clock, or None where each message's own
        timestamp counts as now. Decoding stops once the lines of the batch pass `max_decoded_bytes`
        (after at least one row): `DecodedBatch.rows` says how many rows were decided.
        Raises ValueError if lengths differ, MemoryError if there is no memory.
        """

@final
class DecodedBatch:
    """What one decode call found. Row numbers are those of the call. Its bytes live while any block uses them."""

    rows: int
    """How many rows were decided; fewer than given where `max_decoded_bytes` was reached."""
    encodings: dict[str, int]
    """Messages by how the value was encoded: "plain", "gzip", "lz4", "zstd" (rows that got as far)."""
    uncompressed_bytes: int
    """Bytes of all values after decompression."""
    invalid_items: int
    """Items left out as no event: not an object, or no valid timestamp."""
    invalid_utf8: int
    """Messages in which invalid UTF-8 was replaced by U+FFFD."""
    unpacked_events: int
    """Events the client had packed (`"cv": "2024-10"`) that are written unpacked."""
    unpack_failures: int
    """Such events that can't be unpacked: they are written as they came."""
    def session_id(self, row: int) -> str: ...
    def distinct_id(self, row: int) -> str: ...
    def event_count(self, row: int) -> int: ...
    def line_bytes(self, row: int) -> int:
        """Bytes of the row's lines, as they go into a block."""
    def lines(self, row: int) -> bytes:
        """The row's block lines (a copy): `["<window_id>",<event>]\\n` each. For tests and debugging."""
    def timestamps(self, row: int) -> tuple[float, float]:
        """The smallest and largest event timestamp, ms since 1970. Also for rows dropped for these timestamps."""
    def console_logs(self, row: int) -> list[ConsoleLog]:
        """The row's console events, in order; an empty list for most rows."""

class BlockSummary(NamedTuple):
    """What a reader of a block is told about it: counters over its events; the rules are in docs/data/messages.md."""

    distinct_id: str
    """Of the first message."""
    size: int
    """Bytes of all lines, uncompressed."""
    event_count: int
    message_count: int
    first_offset: int
    last_offset: int
    first_timestamp: float
    """The smallest event timestamp, ms since 1970."""
    last_timestamp: float
    first_url: str | None
    urls: list[str]
    click_count: int
    keypress_count: int
    mouse_activity_count: int
    has_full_snapshot: bool
    first_full_snapshot_position: int | None
    """Which of the events the earliest full snapshot is, from 0; of those equally early the first to come."""
    first_full_snapshot_timestamp: float | None
    """Its time, ms since 1970: the block can be played from there on."""
    snapshot_source: str
    """Of the first message that says; "web" if no message says; at most 1,000 characters."""
    snapshot_library: str | None
    active_milliseconds: int
    """Time in which the user was active."""
    out_of_order_count: int
    """Events that are earlier than the one that came before them."""
    gap_count: int
    """Silences of more than 10 s between events in order of their time."""

@final
class SessionBlock:
    """The lines of one session in one session batch, and the counters over them."""

    def __init__(self) -> None: ...
    def record(self, decoded: DecodedBatch, row: int, offset: int) -> int:
        """Add the row's lines, which came from source offset `offset`. Return their bytes. No bytes are copied."""
    size: int
    """Bytes of all lines, uncompressed."""
    event_count: int
    message_count: int
    def summary(self) -> BlockSummary:
        """Return everything a reader of the block is told about it. Goes through all events: call it once."""
    def messages(self) -> list[tuple[int, int]]:
        """(source offset, line count) of each recorded message, in the order recorded."""

@final
class LineBuffer:
    """The lines of several blocks one after the other; readable through the buffer protocol."""

    segments: bytes
    """Per block (offset, length), two native uint64: what `zstandard.BufferWithSegments` takes."""
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def gather(blocks: Sequence[SessionBlock]) -> LineBuffer:
    """Copy the lines of the blocks into one buffer, with the GIL released."""
