# Declarations of the C++ that rows.pxi binds.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t
from libcpp cimport bool as cpp_bool
from libcpp.vector cimport vector

from decode cimport Span


cdef extern from "rows.hpp" namespace "recording" nogil:
    cdef cppclass CppTextColumn "recording::TextColumn":
        vector[Span] texts
        void reset()
        const vector[int32_t]& codes() except +
        const vector[Span]& distinct() except +

    cpp_bool is_plain_text(Span text)

    cdef struct Ending:
        uint8_t disposition
        uint8_t reason
        uint32_t cause

    cdef struct Decisions:
        size_t rows
        uint8_t* dispositions
        uint8_t* reasons
        uint32_t* causes

    void cpp_end_rows "recording::end_rows"(const Decisions& decisions, const int32_t* codes, const vector[Ending]& endings)

    void cpp_set_rows "recording::set_rows"(
        uint8_t* column, size_t rows, const int32_t* codes, const vector[int16_t]& values
    )

    cdef struct Groups:
        vector[int32_t] codes
        vector[size_t] first

    Groups cpp_group_rows "recording::group_rows"(
        const uint8_t* dispositions, size_t rows, const int32_t* one, const int32_t* other
    ) except +

    cdef struct Outcome:
        int64_t partition
        uint8_t disposition
        uint8_t reason
        size_t rows

    vector[Outcome] cpp_count_outcomes "recording::count_outcomes"(
        const int64_t* partitions, const uint8_t* dispositions, const uint8_t* reasons, size_t rows
    ) except +

    cdef struct OffsetRange:
        int64_t partition
        int64_t first
        int64_t last
        size_t rows

    vector[OffsetRange] cpp_offset_ranges "recording::offset_ranges"(
        const int64_t* partitions, const int64_t* offsets, size_t rows
    ) except +

    cdef struct SecondCount:
        int64_t partition
        int64_t second
        size_t rows

    vector[SecondCount] cpp_count_seconds "recording::count_seconds"(
        const int64_t* partitions, const int64_t* times_ms, size_t rows
    ) except +


cdef extern from "text/time.hpp" namespace "recording" nogil:
    int64_t parse_time(Span text)
