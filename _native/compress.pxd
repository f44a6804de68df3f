# Declarations of the C++ that compress.pxi binds.

from libc.stdint cimport uint8_t
from libcpp.memory cimport shared_ptr, unique_ptr
from libcpp.vector cimport vector

from decode cimport ChunkPool, Span


cdef extern from "compress.hpp" namespace "recording" nogil:
    cdef struct BlockLines:
        const vector[Span]* slices
        size_t size

    cdef cppclass Codec:
        pass

    unique_ptr[Codec] make_zstd_codec(int level, Span dictionary) except +
    unique_ptr[Codec] make_snappy_codec() except +

    cdef cppclass CppCompressedBlocks "recording::CompressedBlocks":
        Span bytes
        vector[size_t] lengths

    cdef cppclass BlockCompressor:
        BlockCompressor(unique_ptr[Codec] codec) except +
        BlockCompressor(unique_ptr[Codec] codec, shared_ptr[ChunkPool] pool) except +
        CppCompressedBlocks compress(const BlockLines* blocks, size_t count, size_t gap) except +
        void finish()
    const size_t lines_per_call "recording::BlockCompressor::lines_per_call"
