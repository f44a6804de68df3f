"""The native decode core. Its sources are in `_native/`."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Self, final, overload

from typing_extensions import Buffer

REASONS: dict[str, int]
"""The reason codes that the core can give, name → code. A test compares them with `outcome.Reason`."""

SIMDJSON_IMPLEMENTATION: str
"""The instruction set that simdjson chose on this machine, such as "icelake" or "haswell"."""

def encoding_of(value: bytes, content_encoding: str | None) -> str | None:
    """Return how a message value is encoded: "plain", "gzip", "lz4" or "zstd"; None for an unknown content-encoding.

    `content_encoding` is the message's header. If it is None, the first bytes of the value decide.
    """

def decompress(value: bytes, content_encoding: str | None, max_bytes: int) -> bytes:
    """Return the text of a message value, by the rules of docs/data/messages.md, with the GIL released.

    `content_encoding` is as in `encoding_of`. Raises ValueError with the label of the reason for which the message
    goes to the DLQ: "invalid_compressed_data", or "payload_too_large" for a text of more than `max_bytes`.
    Raises OverflowError if `max_bytes` is below zero or above 1 GiB, MemoryError if there is no memory.
    """

def train_dictionary(samples: Iterable[bytes], size: int, level: int = 3) -> bytes:
    """Return a zstd dictionary of at most `size` bytes of what the samples have in common, with the GIL released.

    It has an id, and entropy tables for frames of `level`. The same samples give the same dictionary. Takes memory for
    up to 128 MiB of tables, in proportion to the samples. Raises ValueError if the samples have too little in common,
    or `size` is below 512 bytes, and MemoryError.
    """

def event_timestamp(line: bytes) -> float:
    """Return the timestamp of the event on a block line, ms since 1970, with the GIL released.

    `line` is `["<window_id>",<event>]`, with or without its line break. It must be JSON. It may nest to any depth, and
    may hold numbers of any length, lone surrogates and invalid UTF-8. If several members of the event are called
    `timestamp`, the last one counts. Raises ValueError if `line` is something else, or the timestamp is not a number.
    """

def unpack_line(line: bytes, max_bytes: int) -> bytes:
    """Return a block line with its event unpacked, with the GIL released; the same line if it is not packed.

    A packed event has `"cv": "2024-10"`, and a gzip of JSON in place of its data, or of fields of its data. `line` is
    as in `event_timestamp`. Raises ValueError if it is something else, or if its event can't be unpacked: a field is
    not a gzip of JSON, or the fields hold more than `max_bytes` together.
    """

@final
class TextColumn:
    """A text or None per row, kept as UTF-8. Unpaired surrogates become U+FFFD."""

    def __new__(cls, texts: Sequence[str | None] = ()) -> Self: ...
    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> str | None: ...
    def __iter__(self) -> Iterator[str | None]: ...
    @property
    def codes(self) -> array[int]:
        """Row → the place of its text in `distinct`. Of type i. Found out at the first use."""
    @property
    def distinct(self) -> list[str | None]:
        """Each text of the column once, and None if a row has none, in the order of their first rows."""
    def times(self) -> array[int]:
        """Return the times that the texts stand for, ms since 1970, of type q; -1 for None and texts that are no times.

        A time is in the form of RFC 3339: `2026-11-27T01:02:03.456Z`. What is below a millisecond is cut off.
        """
    def truncate(self, rows: int) -> None:
        """Keep the first `rows` rows."""

@final
class ByteColumn:
    """Bytes or None per row. Some columns refer to bytes that Kafka's client holds, and keep them alive."""

    def __new__(cls, values: Sequence[bytes | None] = ()) -> Self: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, row: int, /) -> bytes | None: ...
    @overload
    def __getitem__(self, rows: slice, /) -> ByteColumn: ...
    def __add__(self, other: ByteColumn, /) -> ByteColumn: ...
    def size(self, row: int) -> int:
        """Return the number of bytes of a row; 0 for None."""
    @property
    def total(self) -> int:
        """The number of bytes of all rows."""
    @property
    def filled(self) -> int:
        """How many rows are not None."""
    def count_sizes(self, bounds: Buffer) -> list[int]:
        """Return how many rows that are not None are within each bound, and not within the one before.

        The last number counts what is above all bounds. `bounds`: int64, bytes, in order.
        """

@final
class HeaderColumn:
    """The headers of each row: (name, value) in order. A value may be null."""

    def __new__(cls, rows: Sequence[Sequence[tuple[str, bytes | None]]] = ()) -> Self: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, row: int, /) -> list[tuple[str, bytes | None]]: ...
    @overload
    def __getitem__(self, rows: slice, /) -> HeaderColumn: ...
    def __add__(self, other: HeaderColumn, /) -> HeaderColumn: ...
    def texts(self, names: tuple[str, ...]) -> list[TextColumn]:
        """Return a column for each of these headers.

        Names and values are read as UTF-8. Invalid bytes become U+FFFD, and NUL characters are removed. A header
        whose value is null is skipped. If a header comes twice, the last one counts.
        """

@final
class KafkaConsumer:
    """Reads given partitions of a topic, with the C functions of librdkafka. One thread at a time may use it."""

    def __new__(cls, library: str, properties: Mapping[str, str], topic: str) -> Self:
        """Make a consumer. `library` is the file of librdkafka, which must be loaded.

        Raises ValueError if it can't be used, or refuses a property.
        """
    def assign(self, offsets: dict[int, int]) -> None:
        """Read these partitions as well, from these offsets. Raises OSError."""
    def unassign(self, partitions: Iterable[int]) -> None:
        """Stop reading these partitions. Raises OSError."""
    def positions(self, partitions: Iterable[int]) -> list[int]:
        """Return the next offset to read of each partition; below zero if nothing was read yet."""
    def watermarks(self, partition: int, timeout: float = 0.0) -> tuple[int, int]:
        """Return the first offset of the log, and its end.

        As of the last fetch, or with a time-out in seconds as the broker says. Raises OSError if they are not known.
        """
    def poll(
        self, most: int, enough_bytes: int, timeout: float
    ) -> tuple[
        tuple[array[int], array[int], array[int], ByteColumn, ByteColumn, HeaderColumn], list[tuple[int, int, str]]
    ]:
        """Return up to `most` messages, after `timeout` seconds at most, and the errors that came in their place.

        Takes no more messages once their values hold `enough_bytes`.

        The messages: partitions, offsets, timestamps in ms (-1 for none), keys, values and headers. The errors: code,
        partition (below zero for none) and text.
        """
    def take_events(self) -> list[tuple[int, int, str]]:
        """Return what the client has said since the last call: level, code and text.

        The level is one of syslog's, 0 to 7, or -1 for an error of the whole client, which then has a code.
        """
    def close(self) -> None:
        """Leave the brokers. The bytes of messages stay valid as long as their columns live."""

def end_rows(
    dispositions: bytearray,
    reasons: bytearray,
    causes: array[int],
    codes: array[int],
    endings: Mapping[int, tuple[int, int, int]],
) -> None:
    """Set (disposition, reason, cause) of the rows whose disposition is 0 and whose code has an ending.

    All columns have one entry per row; `causes` is of type I, `codes` of type i. A code below zero has no ending.
    Raises ValueError if lengths differ, or if `endings` names a code that is no row's.
    """

def set_rows(column: bytearray, codes: array[int], values: Mapping[int, int]) -> None:
    """Set the entries whose code has a value. `codes` is of type i; a code below zero has no value.

    Raises ValueError if lengths differ, or if `values` names a code that is no row's.
    """

def group_rows(dispositions: bytearray, one: array[int], other: array[int]) -> tuple[array[int], list[int]]:
    """Group the rows whose disposition is 0 and that agree in two columns of codes.

    Return the group of each row (of type i; -1 for the other rows), and the first row of each group. Raises ValueError
    if lengths differ.
    """

def count_outcomes(
    partitions: array[int], dispositions: bytearray, reasons: bytearray
) -> dict[tuple[int, int, int], int]:
    """Return (partition, disposition, reason) → number of rows. `partitions` is of type q.

    Raises ValueError if lengths differ.
    """

def offset_ranges(partitions: array[int], offsets: array[int]) -> dict[int, tuple[int, int, int]]:
    """Return partition → (its first offset, the offset after its last one, its rows). Both columns are of type q.

    The rows of a partition are in order of their offsets. Raises ValueError if lengths differ.
    """

def count_seconds(partitions: array[int], times_ms: array[int]) -> dict[tuple[int, int], int]:
    """Return (partition, second since 1970) → number of rows with such a time. Both columns are of type q.

    Leaves out rows whose time is below zero, which stands for none. Raises ValueError if lengths differ.
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
    """Decodes batches of message values. Keeps its buffers between batches. One thread at a time may use it."""

    def __new__(
        cls,
        *,
        max_decompressed_bytes: int = 67_108_864,
        max_timestamp_diff_ms: int = 604_800_000,
        far_item_drops_message: bool = False,
        max_decoded_bytes: int = 134_217_728,
        large_bytes: int = 8_388_608,
        max_session_id_characters: int = 256,
        max_distinct_id_characters: int = 1024,
        normalize_session_ids: bool = False,
        correct_clock_skew: bool = False,
        unpack_client_compression: bool = False,
        kept_chunk_bytes: int = 134_217_728,
    ) -> Self:
        """Make a decoder with these limits.

        A message may have `max_decompressed_bytes` after decompression (at most 1 GiB). Items whose timestamp is
        `max_timestamp_diff_ms` or more away from now are left out. With `far_item_drops_message`, one such item ends
        the message. `decode` stops when the lines and columns of a batch take more than `max_decoded_bytes`. A message
        is large if its text, its unpacked events, or half of its lines take more than `large_bytes`. Session and window
        ids may have `max_session_id_characters`, distinct ids `max_distinct_id_characters`. With
        `normalize_session_ids`, session ids that are UUIDs get small letters, in headers too. With
        `correct_clock_skew`, times of a message are shifted by how late the device's clock was when it sent it
        (`now` minus `sent_at`, rounded to 5 minutes), in lines and everywhere, before they are compared with now. With
        `unpack_client_compression`, lines hold events of `"cv": "2024-10"` unpacked, if that is possible. Raises
        ValueError or OverflowError for limits out of range. Memory of lines that nothing needs any more is kept for
        the next ones, up to `kept_chunk_bytes`.
        """
    def decode(
        self,
        values: ByteColumn,
        content_encodings: TextColumn,
        session_id_headers: TextColumn,
        distinct_id_headers: TextColumn,
        timestamps_ms: array[int],
        now_ms: int | None,
        dispositions: bytearray,
        reasons: bytearray,
        large: bool = True,
    ) -> DecodedBatch:
        """Decode the rows whose disposition is 0, with the GIL released, and set their disposition and reason.

        All columns have one entry a row. Timestamps, of type q, are ms since 1970; below zero means none. `now_ms` is
        the clock; if it is None, each message's own timestamp counts as now. Decoding stops after the row with which
        the lines and columns of the batch take more than `max_decoded_bytes`, and before a large message unless `large`
        is set: `DecodedBatch.rows` says how many rows were decided.
        Raises ValueError if lengths differ, RuntimeError if another thread is decoding, MemoryError if there is no
        memory.
        """

    held_bytes: int
    """The bytes of memory that hold lines of decoded messages, wherever these are."""

    def give_back_kept(self) -> None:
        """Give back to the system what is kept for the next messages and blocks.

        Raises RuntimeError if the decoder is at work in another thread.
        """

@final
class DecodedBatch:
    """What one decode call found. Rows have the same numbers as in the call. Blocks keep the bytes they use alive."""

    rows: int
    """How many rows were decided; fewer than given if `max_decoded_bytes` or a large message was reached."""
    stopped_at_large: bool
    """Whether the first row that was not decided is a large message."""
    encodings: dict[str, int]
    """How many values of each encoding were decompressed: "plain", "gzip", "lz4", "zstd"."""
    uncompressed_bytes: int
    """Bytes of all values after decompression."""
    invalid_items: int
    """Items left out because they are not events: they are not objects, or have no valid timestamp."""
    clock_shifts: list[float]
    """Of the ok rows whose times were shifted: how far, milliseconds; negative if the device's clock was fast."""
    far_items: int
    """Items whose timestamp is too far from now: left out, unless their message was dropped as a whole."""
    far_rows: list[tuple[int, float, float]]
    """The rows that have such items, dropped or not, with the first and last timestamp of all their items, in ms."""
    invalid_utf8: int
    """Messages whose invalid UTF-8 was replaced by U+FFFD."""
    unpacked_events: int
    """Packed events (`"cv": "2024-10"`) whose lines hold them unpacked."""
    unpack_failures: int
    """Packed events that can't be unpacked: their lines hold them unchanged."""
    ended_rows: list[int]
    """The rows that decoding has ended, in order."""
    total_bytes: int
    """What all lines and columns take; more than `max_decoded_bytes` only if that has stopped decoding."""
    session_ids: TextColumn
    """The session ids of the rows that have lines; None for the others. Made new each time."""
    def session_id(self, row: int) -> str: ...
    def distinct_id(self, row: int) -> str: ...
    def event_count(self, row: int) -> int: ...
    def line_bytes(self, row: int) -> int:
        """Return the size of the row's lines in bytes, as they go into a block."""
    def lines(self, row: int) -> bytes:
        """Return a copy of the row's block lines, each `["<window_id>",<event>]\\n`. For tests and debugging."""
    def timestamps(self, row: int) -> tuple[float, float]:
        """Return the smallest and largest event timestamp, ms since 1970; also if the row was dropped for them."""
    def console_logs(self, row: int) -> list[ConsoleLog]:
        """Return the row's console events, in order. Most rows have none."""

class BlockSummary(NamedTuple):
    """The figures that a reader of a block gets: counters over its events, by the rules of docs/data/messages.md."""

    distinct_id: str
    """The first message's."""
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
    """The number of the earliest full snapshot among the events, from 0. If several are equally early, the first."""
    first_full_snapshot_timestamp: float | None
    """Its timestamp, ms since 1970: the block can be played from there on."""
    snapshot_source: str
    """From the first message that says; "web" if no message says. At most 1,000 characters."""
    snapshot_library: str | None
    snapshot_mode: Literal["screenshot", "wireframe"] | None
    """How a mobile app's recording shows its screens; None if no event with the source `mobile` shows one."""
    active_milliseconds: int
    """How long the user was active."""
    out_of_order_count: int
    """Events that are earlier than the event before them."""
    gap_count: int
    """Pauses of more than 10 s between events in order of their time."""

@final
class SessionBlock:
    """One session's lines in a session batch, and counters over them."""

    def __init__(self) -> None: ...
    def record(self, decoded: DecodedBatch, row: int, offset: int) -> int:
        """Add the row's lines; `offset` is their message's source offset. Return their size. Copies no bytes.

        Raises ValueError if the row did not end as ok, IndexError if there is no such row.
        """
    size: int
    """The size of all lines in bytes, uncompressed."""
    event_count: int
    message_count: int
    def summary(self) -> BlockSummary:
        """Return the block's figures. Reads all events: call it once, when the block is complete."""
    def lines(self) -> bytes:
        """Return a copy of all lines. For tests and debugging."""
    def messages(self) -> list[tuple[int, int]]:
        """Return (source offset, line count) of each message, in the order recorded."""

class Recorded(NamedTuple):
    """What one call of `SessionBatch.record` recorded."""

    events: int
    ended: list[int]
    """The rows that the call ended: their sessions are over the event limit."""

class PartitionFigures(NamedTuple):
    """What a session batch holds of a partition, or of all."""

    sessions: int
    bytes: int
    """Bytes of lines, and of what the index, metadata and console-log records will say. About, and rather too many."""
    index_bytes: int
    """What the index will take at most."""
    messages: int
    events: int
    line_bytes: int
    """Bytes of lines."""
    console_logs_stored: int
    console_logs_left_out: int
    """Console events whose sessions had stored as many as they may."""
    discarded_messages: int
    """Messages that were recorded and taken out again, because their session passed the event limit. The other figures
    are without them."""
    discarded_events: int

@final
class PackedRecords:
    """Keys and values of Kafka records, in one piece of memory."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> tuple[bytes, bytes]:
        """Return a copy of the key and the value of a record."""

UUID_RANDOM_BYTES: int
"""Random bytes that the metadata of a block needs for its UUID."""

@final
class FileBlocks:
    """The blocks of one batch file, and what is said of them: its index, metadata and console-log records.

    `SessionBatch.take` makes it. The blocks come partition by partition, and in the order in which their sessions were
    first seen.
    """

    retention: int
    """The code that the sessions began with."""
    messages: int
    events: int
    raw_bytes: int
    """Bytes of the lines, uncompressed."""
    stored: int
    """Blocks whose place in the file is known."""
    def __len__(self) -> int:
        """Return the number of blocks."""
    def offsets(self) -> dict[int, tuple[int, int]]:
        """Return partition → its first and last source offset."""
    def sessions(self, partition: int) -> list[tuple[int, str]]:
        """Return (team id, session id) of each block of a partition."""
    def session_blocks(self) -> list[SessionBlock]:
        """Return the blocks, to compress them."""
    def store(self, lengths: Sequence[int]) -> None:
        """Say where the next blocks are in the file: one after the other, of these lengths in bytes. Frees their lines.

        Raises ValueError if there are fewer blocks left.
        """
    def store_encrypted(self, before: int, length: int) -> None:
        """Say that the next block is encrypted and has this size, in bytes. Frees its lines.

        In front of it are `before` bytes that belong to no block. Its index entry says so, and leaves out its distinct
        id. Raises ValueError if there is no block left.
        """
    def index_entries(self, sources: dict[int, str]) -> bytes:
        """Return the entries of the file's index, a JSON array: `formats.batch_file.BlockEntry` reads them.

        `sources`: partition → the name of its source. Raises ValueError if a partition has none.
        """
    def metadata(
        self, *, batch_id: str, codec: str, url: str, retention_days: int, now_ms: int, random: bytes
    ) -> dict[int, PackedRecords]:
        """Return partition → the record that leads to each of its blocks: key session id, value JSON.

        See docs/data/metadata.md. `url` is the file's URL. Each record has a UUID of version 7, made of `now_ms`
        (since 1970) and UUID_RANDOM_BYTES bytes of `random`. Raises ValueError if `random` has another length, or not
        all blocks are stored.
        """
    def console_logs(self, partition: int, batch_id: str) -> Iterator[PackedRecords]:
        """Give the stored console events of a partition, for PostHog's `log_entries`: key session id, value JSON.

        They are made when they are asked for, about 256 KiB at a time. See docs/data/metadata.md.
        """

@final
class SessionBatch:
    """What gathers by partition and session until a flush. One thread at a time may use it.

    A session is what has the same partition, team and session id. A session over `max_events_per_session` is taken out
    of the batch and stays out. Of a session's console events `max_console_logs_per_session` are stored; all count.
    None sets no limit.
    """

    def __new__(
        cls, max_events_per_session: int | None = None, max_console_logs_per_session: int | None = None
    ) -> Self: ...
    def record(
        self,
        decoded: DecodedBatch,
        partitions: Buffer,
        offsets: Buffer,
        dispositions: bytearray,
        reasons: bytearray,
        team_codes: Buffer,
        team_ids: Buffer,
        captures_console: Buffer,
        retentions: Buffer,
    ) -> Recorded:
        """Add the rows whose disposition is 0 to their sessions, with the GIL released. Copies no lines.

        One entry a row have: `partitions` and `offsets` (int64), `dispositions` and `reasons` (the rows of sessions
        over the event limit are ended in them), `team_codes` (int32, numbers of teams), `retentions` (one byte, any
        code; a session keeps the one of its first message). One entry a team have: `team_ids` (int64), and
        `captures_console` (one byte: whether its console events are recorded).
        Raises ValueError if lengths differ, or a row has a disposition of 0, but no lines or no team: then nothing is
        recorded. Raises MemoryError if there is no memory.
        """
    def partition(self, number: int) -> PartitionFigures:
        """Return what is known of a partition."""
    def total(self) -> PartitionFigures:
        """Return the sum over all partitions."""
    def discard(self, number: int) -> int:
        """Drop a partition. Return how many sessions it had."""
    def take(self) -> list[FileBlocks]:
        """Empty the batch, and return a file for each retention period, in the order in which sessions have them."""

@final
class Compressor:
    """Compresses blocks, each by itself. Keeps its memory between calls. One thread at a time may use it."""

    def __new__(
        cls, codec: str, level: int = 1, dictionary: bytes | None = None, decoder: Decoder | None = None
    ) -> Self:
        """Make a compressor of codec "zstd" or "snappy".

        zstd: each block becomes one frame with its content size and a checksum. `level` is zstd's. `dictionary` is a
        zstd dictionary; then each frame carries its id. snappy: each block becomes raw snappy, without framing; `level`
        does not matter. Blocks take memory that the lines of `decoder` had before, and leave theirs to it. Raises
        ValueError for another codec, or if `dictionary` is not one that the codec can use.
        """
    def compress(self, blocks: Iterable[SessionBlock], gap: int = 0) -> CompressedBlocks:
        """Compress the first block and as many after it as fit, with the GIL released.

        `gap`: how many bytes are left before each block. They have any content, and all bytes can be written to then.

        One call compresses at most about 4 MiB of lines, unless the first block is larger; `CompressedBlocks.lengths`
        says how many blocks these are. They must not change meanwhile. Raises ValueError if there is no block or one is
        empty, RuntimeError if another thread is compressing, MemoryError if there is no memory.
        """

    def compress_lines(self, lines: bytes) -> CompressedBlocks:
        """Compress the lines of one block, as `compress` does. Raises what `compress` raises."""

    def finish(self) -> None:
        """Note that no block follows for now, so that the memory is free once those before are not needed.

        Raises RuntimeError if another thread is compressing.
        """

@final
class CompressedBlocks:
    """Compressed blocks, one directly after the other, or with a gap before each. Has the buffer protocol.

    The compressor uses the memory again once this object and all views of it are gone.
    """

    lengths: list[int]
    """Bytes of each block, without the gap."""
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
