# Declarations of the C++ that session_batch.pxi binds.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libcpp.memory cimport shared_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector

from decode cimport Columns, CppSessionBlock, LogLevel


cdef extern from "session_batch.hpp" namespace "recording" nogil:
    cdef struct ConsoleEntry:
        LogLevel level
        double time
        string message

    cdef struct ConsoleRecorded:
        size_t stored
        size_t left_out

    cdef cppclass ConsoleLogs:
        uint64_t counts[3]
        vector[ConsoleEntry] entries

    cdef struct SessionLimits:
        size_t max_events
        size_t max_console_logs

    cdef cppclass Session:
        int64_t partition
        int64_t team_id
        uint8_t retention
        string id
        CppSessionBlock block
        ConsoleLogs console

    shared_ptr[CppSessionBlock] block_of(const shared_ptr[Session]& session)

    cdef struct CppPartitionFigures "recording::PartitionFigures":
        size_t sessions
        size_t bytes
        size_t index_bytes
        size_t messages
        size_t events
        size_t line_bytes
        ConsoleRecorded console
        size_t discarded_messages
        size_t discarded_events

    cdef cppclass SourceRows:
        size_t count
        const int64_t* partitions
        const int64_t* offsets
        uint8_t* dispositions
        uint8_t* reasons
        const int32_t* team_codes
        const uint8_t* retentions
        size_t teams
        const int64_t* team_ids
        const uint8_t* captures_console
        size_t first_invalid(const Columns& columns)

    cdef cppclass CppRecorded "recording::Recorded":
        size_t events
        vector[size_t] ended

    cdef cppclass CppSessionBatch "recording::SessionBatch":
        CppSessionBatch(const SessionLimits& limits) except +
        CppRecorded record(const Columns& columns, const SourceRows& rows) except +
        CppPartitionFigures partition(int64_t number)
        CppPartitionFigures total()
        size_t discard(int64_t number)
        vector[shared_ptr[Session]] take() except +
