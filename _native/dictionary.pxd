from libc.stdint cimport uint8_t
from libcpp.vector cimport vector

from decode cimport Span


cdef extern from "dictionary.hpp" namespace "recording" nogil:
    vector[uint8_t] cpp_train_dictionary "recording::train_dictionary"(
        const vector[Span]& samples, size_t size, int level) except +
