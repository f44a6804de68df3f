# Declarations of the C++ that file_blocks.pxi binds.

from libc.stdint cimport int64_t, uint8_t
from libcpp.map cimport map as cpp_map
from libcpp.memory cimport shared_ptr, unique_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector

from decode cimport Span
from session_batch cimport Session


cdef extern from "file_blocks.hpp" namespace "recording" nogil:
    cdef struct FileBlock:
        shared_ptr[Session] session

    cdef struct PackedRecord "recording::PackedRecords::Record":
        size_t key
        size_t key_size
        size_t value
        size_t value_size

    cdef cppclass CppPackedRecords "recording::PackedRecords":
        string text
        vector[PackedRecord] records

    cdef cppclass ConsolePosition:
        pass

    cdef struct SourceOffsets:
        int64_t first
        int64_t last

    cdef cppclass FileFacts:
        string batch_id
        string codec
        string url
        int64_t retention_days
        int64_t now_ms
        Span random

    cdef cppclass CppFileBlocks "recording::FileBlocks":
        uint8_t retention()
        const vector[FileBlock]& blocks()
        size_t stored()
        size_t messages()
        size_t events()
        size_t raw_bytes()
        cpp_map[int64_t, SourceOffsets] offsets() except +
        void store(const vector[size_t]& lengths) except +
        void store_encrypted(size_t before, size_t length) except +
        string index_entries(const cpp_map[int64_t, string]& sources) except +
        cpp_map[int64_t, CppPackedRecords] metadata(const FileFacts& facts) except +
        ConsolePosition first_console_log(int64_t partition)
        CppPackedRecords console_logs(ConsolePosition& at, const string& batch_id, size_t most) except +
    const size_t uuid_random_bytes "recording::FileBlocks::uuid_random_bytes"

    vector[unique_ptr[CppFileBlocks]] files_of(vector[shared_ptr[Session]] sessions) except +
