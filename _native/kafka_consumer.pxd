# Declarations of the C++ that kafka_consumer.pxi binds.

from libc.stdint cimport int64_t
from libcpp.deque cimport deque
from libcpp.memory cimport shared_ptr
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector

from decode cimport Span


cdef extern from "kafka_consumer.hpp" namespace "recording" nogil:
    cdef struct Header:
        Span name
        Span value

    cdef struct KafkaEvent:
        int level
        int code
        string text

    cdef struct KafkaFault:
        int code
        int64_t partition
        string text

    cdef struct Watermarks:
        int error
        int64_t low
        int64_t high

    cdef cppclass KafkaPoll:
        vector[int64_t] partitions
        vector[int64_t] offsets
        vector[int64_t] timestamps_ms
        vector[Span] keys
        vector[Span] values
        vector[Header] headers
        vector[size_t] header_ends
        vector[KafkaFault] faults

    cdef cppclass CppKafkaConsumer "recording::KafkaConsumer":
        CppKafkaConsumer(
            const string& library, const vector[pair[string, string]]& properties, const string& topic, string& error
        ) except +
        string assign(const vector[pair[int64_t, int64_t]]& offsets) except +
        string unassign(const vector[int64_t]& partitions) except +
        vector[int64_t] positions(const vector[int64_t]& partitions) except +
        Watermarks watermarks(int64_t partition, int timeout_ms) except +
        shared_ptr[KafkaPoll] poll(size_t most, size_t enough_bytes, int timeout_ms) except +
        deque[KafkaEvent] take_events() except +
        string error_text(int code) except +
        void close()
