# A consumer made of librdkafka's C functions. Included by bindings.pyx.

from libcpp.deque cimport deque
from libcpp.pair cimport pair

from kafka_consumer cimport CppKafkaConsumer, KafkaEvent, KafkaPoll, Watermarks


cdef class _PolledMessages:
    """What keeps the bytes of a poll's messages alive."""

    cdef shared_ptr[KafkaPoll] poll

    def __dealloc__(self):
        with nogil:
            self.poll.reset()  # librdkafka takes thousands of messages back


cdef ByteColumn byte_column(const vector[Span]& spans, object keep):
    cdef ByteColumn column = ByteColumn.__new__(ByteColumn)
    column.spans = spans
    column.keep = keep
    return column


@final
cdef class KafkaConsumer:
    """Reads given partitions of a topic. One thread at a time may use it."""

    cdef unique_ptr[CppKafkaConsumer] consumer

    def __cinit__(self, str library, dict properties, str topic):
        cdef vector[pair[string, string]] pairs
        cdef string error
        for name, value in properties.items():
            pairs.push_back(pair[string, string](<string> name.encode(), <string> value.encode()))
        self.consumer.reset(new CppKafkaConsumer(library.encode(), pairs, topic.encode(), error))
        if not error.empty():
            raise ValueError(cpp_str(error))

    def assign(self, dict offsets):
        cdef vector[pair[int64_t, int64_t]] pairs
        for partition, offset in offsets.items():
            pairs.push_back(pair[int64_t, int64_t](<int64_t> partition, <int64_t> offset))
        raise_if(self.consumer.get().assign(pairs))

    def unassign(self, partitions):
        raise_if(self.consumer.get().unassign(list(partitions)))

    def positions(self, partitions):
        return self.consumer.get().positions(list(partitions))

    def watermarks(self, int64_t partition, timeout=0.0):
        cdef int timeout_ms = round(timeout * 1000)
        cdef Watermarks found
        with nogil:
            found = self.consumer.get().watermarks(partition, timeout_ms)
        if found.error:
            raise OSError(cpp_str(self.consumer.get().error_text(found.error)))
        return found.low, found.high

    def poll(self, size_t most, size_t enough_bytes, timeout):
        cdef int timeout_ms = round(timeout * 1000)
        cdef _PolledMessages messages = _PolledMessages()
        cdef KafkaPoll* poll
        cdef HeaderColumn headers
        cdef size_t i
        with nogil:
            messages.poll = self.consumer.get().poll(most, enough_bytes, timeout_ms)
        poll = messages.poll.get()
        headers = HeaderColumn.__new__(HeaderColumn)
        headers.headers = poll.headers
        headers.ends = poll.header_ends
        headers.keep = messages
        columns = (
            int64_array(poll.partitions),
            int64_array(poll.offsets),
            int64_array(poll.timestamps_ms),
            byte_column(poll.keys, messages),
            byte_column(poll.values, messages),
            headers,
        )
        faults = [(poll.faults[i].code, poll.faults[i].partition, cpp_str(poll.faults[i].text))
                  for i in range(poll.faults.size())]
        return columns, faults

    def take_events(self):
        cdef deque[KafkaEvent] events = self.consumer.get().take_events()
        cdef size_t i
        return [(events[i].level, events[i].code, events[i].text.decode(errors="replace")) for i in range(events.size())]

    def close(self):
        with nogil:
            self.consumer.get().close()


cdef int raise_if(const string& error) except -1:
    if not error.empty():
        raise OSError(cpp_str(error))
    return 0
