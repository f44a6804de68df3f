# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False, auto_pickle=False, autotestdict=False
"""The native decode core: what Python sees of it. It only binds; all decisions are in the C++ files of this folder."""

from array import array
from collections import namedtuple

from cython cimport final
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.bytearray cimport PyByteArray_AsString
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport SIZE_MAX, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libcpp.map cimport map as cpp_map
from libcpp.memory cimport make_shared, shared_ptr, unique_ptr
from libcpp.string cimport string
from libcpp.utility cimport move
from libcpp.vector cimport vector

from compress cimport (
    BlockCompressor,
    BlockLines,
    Codec,
    CppCompressedBlocks,
    lines_per_call,
    make_snappy_codec,
    make_zstd_codec,
)
from dictionary cimport cpp_train_dictionary

from decode cimport (
    Columns,
    CppDecoder,
    CppSessionBlock,
    Decompressor,
    Disposition,
    Encoding,
    FarRow,
    Limits,
    Line,
    Log,
    LogLevel,
    Message,
    Range,
    Reason,
    Row,
    SnapshotMode,
    Span,
    Timeline as CppTimeline,
    active_implementation,
    cpp_encoding_of,
    cpp_unpack_line,
    disposition_of,
    equal,
    encoding_count,
    encoding_names,
    named_reasons,
    read_line,
    reason_count,
)
from file_blocks cimport (
    ConsolePosition,
    CppFileBlocks,
    CppPackedRecords,
    FileFacts,
    PackedRecord,
    SourceOffsets,
    files_of,
    uuid_random_bytes,
)
from rows cimport (
    CppTextColumn,
    Decisions,
    Ending,
    Groups,
    OffsetRange,
    Outcome,
    SecondCount,
    cpp_count_outcomes,
    cpp_count_seconds,
    cpp_end_rows,
    cpp_group_rows,
    cpp_offset_ranges,
    cpp_set_rows,
    is_plain_text,
    parse_time,
)
from session_batch cimport (
    CppPartitionFigures,
    CppRecorded,
    CppSessionBatch,
    Session,
    SessionLimits,
    SourceRows,
    block_of,
)

REASONS = {named_reasons[i].name.decode(): named_reasons[i].code for i in range(reason_count)}
cdef tuple ENCODINGS = tuple([encoding_names[i].decode() for i in range(encoding_count)])
cdef dict REASON_LABELS = {code: name.lower() for name, code in REASONS.items()}
SIMDJSON_IMPLEMENTATION = active_implementation().name().decode()

# Offsets into a text have 32 bits, and repairing its UTF-8 can make it three times as long.
cdef size_t MOST_DECOMPRESSED_BYTES = 1 << 30


cdef inline Span bytes_span(bytes value) noexcept:
    cdef Span span
    span.begin = <const uint8_t*> PyBytes_AsString(value)
    span.end = span.begin + len(value)
    return span


cdef inline str span_str(Span span):
    return PyUnicode_DecodeUTF8(<const char*> span.begin, span.end - span.begin, NULL)


cdef inline str cpp_str(const string& text):
    return PyUnicode_DecodeUTF8(text.data(), <Py_ssize_t> text.size(), NULL)


cdef Span str_span(str text, list keep) except *:
    """Return the UTF-8 of a string, or a null span for None.

    If the string has unpaired surrogates, they become U+FFFD in a copy, which is appended to `keep`.
    """
    cdef Span span
    cdef Py_ssize_t size = 0
    cdef const char* utf8
    if text is None:
        span.begin = span.end = NULL
        return span
    try:
        utf8 = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        copy = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
        keep.append(copy)
        return bytes_span(copy)
    span.begin = <const uint8_t*> utf8
    span.end = span.begin + size
    return span


include "rows.pxi"
include "source_columns.pxi"
include "kafka_consumer.pxi"
include "decoded_batch.pxi"


@final
cdef class Decoder:
    """Decodes batches of message values. Keeps its buffers between batches. One thread at a time may use it."""

    cdef unique_ptr[CppDecoder] decoder
    cdef vector[Message] messages
    cdef bint busy

    def __cinit__(
        self,
        *,
        size_t max_decompressed_bytes=67_108_864,
        int64_t max_timestamp_diff_ms=604_800_000,
        bint far_item_drops_message=False,
        size_t max_decoded_bytes=134_217_728,
        size_t large_bytes=8_388_608,
        size_t max_session_id_characters=256,
        size_t max_distinct_id_characters=1024,
        bint normalize_session_ids=False,
        bint correct_clock_skew=False,
        bint unpack_client_compression=False,
        size_t kept_chunk_bytes=134_217_728,
    ):
        cdef Limits limits
        if max_decompressed_bytes > MOST_DECOMPRESSED_BYTES:
            raise ValueError(f"max_decompressed_bytes is above {MOST_DECOMPRESSED_BYTES}: {max_decompressed_bytes}")
        limits.max_decompressed_bytes = max_decompressed_bytes
        limits.max_timestamp_diff_ms = max_timestamp_diff_ms
        limits.far_item_drops_message = far_item_drops_message
        limits.max_decoded_bytes = max_decoded_bytes
        limits.large_bytes = large_bytes
        limits.max_session_id_characters = max_session_id_characters
        limits.max_distinct_id_characters = max_distinct_id_characters
        limits.small_uuids = normalize_session_ids
        limits.correct_clock_skew = correct_clock_skew
        limits.unpack_client_compression = unpack_client_compression
        limits.kept_chunk_bytes = kept_chunk_bytes
        self.decoder.reset(new CppDecoder(limits))

    def decode(
        self,
        ByteColumn values not None,
        TextColumn content_encodings not None,
        TextColumn session_id_headers not None,
        TextColumn distinct_id_headers not None,
        const int64_t[::1] timestamps_ms,
        now_ms,
        bytearray dispositions not None,
        bytearray reasons not None,
        bint large=True,
    ):
        """Decode the rows whose disposition is 0, with the GIL released, and set their disposition and reason."""
        cdef DecodedBatch batch = DecodedBatch.__new__(DecodedBatch)
        columns = (content_encodings, session_id_headers, distinct_id_headers, timestamps_ms, dispositions, reasons)
        check_rows(len(values), columns)
        if self.busy:
            raise RuntimeError("this decoder is at work in another thread")
        self.busy = True
        try:
            self.collect(values, dispositions, timestamps_ms, now_ms)
            self.add_headers(content_encodings, session_id_headers, distinct_id_headers)
            with nogil:
                self.decoder.get().decode(self.messages, batch.columns, large)
            self.report(batch, dispositions, reasons)
        finally:
            self.busy = False
        return batch

    @property
    def held_bytes(self):
        return self.decoder.get().held_bytes()

    def give_back_kept(self):
        if self.busy:
            raise RuntimeError("this decoder is at work in another thread")
        self.busy = True
        with nogil:
            self.decoder.get().give_back_kept()
        self.busy = False

    cdef int collect(
        self, ByteColumn values, bytearray dispositions, const int64_t[::1] timestamps_ms, now_ms
    ) except -1:
        """Set self.messages to the rows, as C++ sees them, without their headers."""
        cdef Py_ssize_t rows = len(values), row
        cdef bint clock = now_ms is not None
        cdef int64_t now = now_ms if clock else 0
        cdef Message* message
        self.messages.clear()
        self.messages.resize(rows)
        for row in range(rows):
            message = &self.messages[row]
            message.skip = dispositions[row] != 0
            if message.skip:
                continue
            message.value = values.spans[row]
            message.timestamp_ms = timestamps_ms[row]
            message.now_ms = now if clock else message.timestamp_ms
        return 0

    cdef void add_headers(self, TextColumn content_encodings, TextColumn session_ids, TextColumn distinct_ids) noexcept:
        cdef size_t row
        for row in range(self.messages.size()):
            self.messages[row].content_encoding = content_encodings.column.texts[row]
            self.messages[row].session_id = session_ids.column.texts[row]
            self.messages[row].distinct_id = distinct_ids.column.texts[row]

    cdef int report(self, DecodedBatch batch, bytearray dispositions, bytearray reasons) except -1:
        """Set the disposition and reason of each decided row."""
        cdef size_t rows = batch.columns.rows.size(), row
        cdef Reason reason
        if <size_t> len(dispositions) < rows or <size_t> len(reasons) < rows:
            raise ValueError("dispositions or reasons became shorter while their rows were decoded")
        batch.ended_rows = []
        for row in range(rows):
            if not self.messages[row].skip:
                reason = self.messages[row].reason
                dispositions[row] = <uint8_t> disposition_of(reason)
                reasons[row] = <uint8_t> reason
                if disposition_of(reason) != Disposition.ok:
                    batch.ended_rows.append(row)
        return 0


include "session_block.pxi"
include "compress.pxi"
include "file_blocks.pxi"
include "session_batch.pxi"


include "dictionary.pxi"


def encoding_of(bytes value not None, str content_encoding):
    cdef list keep = []
    cdef Encoding encoding = cpp_encoding_of(bytes_span(value), str_span(content_encoding, keep))
    return None if encoding == Encoding.unknown else ENCODINGS[<uint8_t> encoding]


def decompress(bytes value not None, str content_encoding, size_t max_bytes):
    cdef list keep = []
    cdef Span span = bytes_span(value), name = str_span(content_encoding, keep), text
    cdef unique_ptr[Decompressor] decompressor
    cdef Reason reason
    if max_bytes > MOST_DECOMPRESSED_BYTES:
        raise OverflowError(f"max_bytes is above {MOST_DECOMPRESSED_BYTES}: {max_bytes}")
    with nogil:
        decompressor.reset(new Decompressor(max_bytes))
        reason = decompressor.get().decompress(span, cpp_encoding_of(span, name), text)
    if disposition_of(reason) != Disposition.ok:
        raise ValueError(REASON_LABELS[<uint8_t> reason])
    return PyBytes_FromStringAndSize(<const char*> text.begin, text.size())


def event_timestamp(bytes line not None):
    cdef Span text = bytes_span(line)
    cdef Line found
    cdef bint valid
    with nogil:
        valid = read_line(text, found)
    if not valid:
        raise ValueError("not an event")
    if not found.has_time:
        raise ValueError("no timestamp")
    return found.time


def unpack_line(bytes line not None, size_t max_bytes):
    cdef Span text = bytes_span(line)
    cdef string out
    cdef bint valid
    with nogil:
        valid = cpp_unpack_line(text, max_bytes, out)
    if not valid:
        raise ValueError("the event can't be unpacked")
    return PyBytes_FromStringAndSize(out.data(), <Py_ssize_t> out.size())
