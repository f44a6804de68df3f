# Declarations of the C++ that bindings.pyx binds.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cpp_bool
from libcpp.memory cimport shared_ptr
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector


cdef extern from "text/cursor.hpp" namespace "recording" nogil:
    cdef struct Span:
        const uint8_t* begin
        const uint8_t* end
        size_t size()

    cpp_bool equal(Span a, Span b)


cdef extern from "reason.hpp" namespace "recording" nogil:
    cdef enum class Reason(uint8_t):
        pass

    cdef enum class Disposition(uint8_t):
        ok

    cdef struct NamedReason:
        const char* name
        uint8_t code

    const NamedReason named_reasons[]
    const int reason_count
    Disposition disposition_of(Reason reason)


cdef extern from "decompress.hpp" namespace "recording" nogil:
    cdef enum class Encoding(uint8_t):
        unknown

    const char* const encoding_names[]
    const int encoding_count
    Encoding cpp_encoding_of "recording::encoding_of"(Span value, Span content_encoding)

    cdef cppclass Decompressor:
        Decompressor(size_t max_bytes) except +
        Reason decompress(Span value, Encoding encoding, Span& text) except +


cdef extern from "lines.hpp" namespace "recording" nogil:
    cdef struct Line:
        cpp_bool has_time
        double time

    cpp_bool read_line(Span text, Line& line) except +


cdef extern from "unpack.hpp" namespace "recording" nogil:
    cpp_bool cpp_unpack_line "recording::unpack_line"(Span text, size_t most, string& out) except +


cdef extern from "columns.hpp" namespace "recording" nogil:
    cdef cppclass ChunkPool:
        pass

    cdef struct TextSlice:
        pass

    cdef enum class LogLevel(uint8_t):
        info
        warn
        error

    cdef enum class SnapshotMode(uint8_t):
        unknown
        screenshot
        wireframe

    cdef struct Log:
        double time
        TextSlice message
        LogLevel level

    cdef struct FullSnapshot:
        double time
        size_t event

    cdef struct Counters:
        uint64_t clicks
        uint64_t keypresses
        uint64_t mouse_activities
        FullSnapshot full_snapshot

    cdef struct Range:
        size_t begin
        size_t end

    cdef struct Row:
        cpp_bool ok
        Span lines
        double first_time
        double last_time
        TextSlice session_id
        TextSlice distinct_id
        Range events
        Range logs

    cdef struct FarRow:
        size_t row
        double first_time
        double last_time

    cdef cppclass Columns:
        vector[Row] rows
        vector[Log] logs
        vector[FarRow] far_rows
        vector[double] clock_shifts
        uint64_t encodings[4]
        uint64_t uncompressed_bytes
        uint64_t invalid_items
        uint64_t far_items
        uint64_t invalid_utf8
        uint64_t unpacked_events
        uint64_t unpack_failures
        cpp_bool stopped_at_large
        Span text(TextSlice slice)
        size_t bytes()


cdef extern from "decoder.hpp" namespace "recording" nogil:
    cdef struct Limits:
        size_t max_decompressed_bytes
        int64_t max_timestamp_diff_ms
        cpp_bool far_item_drops_message
        size_t max_decoded_bytes
        size_t large_bytes
        size_t max_session_id_characters
        size_t max_distinct_id_characters
        cpp_bool small_uuids
        cpp_bool correct_clock_skew
        cpp_bool unpack_client_compression
        size_t kept_chunk_bytes

    cdef struct Message:
        Span value
        Span content_encoding
        Span session_id
        Span distinct_id
        int64_t timestamp_ms
        int64_t now_ms
        cpp_bool skip
        Reason reason

    cdef cppclass CppDecoder "recording::Decoder":
        CppDecoder(const Limits& limits) except +
        void decode(vector[Message]& messages, Columns& columns, cpp_bool large) except +
        size_t held_bytes()
        void give_back_kept()
        const shared_ptr[ChunkPool]& pool()


cdef extern from "session_block.hpp" namespace "recording" nogil:
    cdef struct Timeline:
        int64_t active_milliseconds
        size_t out_of_order
        size_t gaps

    cdef cppclass CppSessionBlock "recording::SessionBlock":
        CppSessionBlock() except +
        void record(const Columns& columns, const Row& row, int64_t offset) except +
        Timeline timeline() except +
        const vector[Span]& slices()
        size_t size
        size_t event_count
        int64_t first_offset
        int64_t last_offset
        double first_time
        double last_time
        Counters counters
        string distinct_id
        string source
        string library
        SnapshotMode mode
        vector[string] urls
        vector[pair[int64_t, size_t]] messages


cdef extern from "<simdjson.h>" namespace "simdjson" nogil:
    cdef cppclass implementation:
        string name()
    # A pointer wrapper: Cython sees it as the pointer.
    const implementation* active_implementation "simdjson::get_active_implementation().operator->"()
