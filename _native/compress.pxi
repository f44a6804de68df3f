# Compression of blocks. Included by bindings.pyx.


@final
cdef class CompressedBlocks:
    """Compressed blocks, one directly after the other or with a gap before each. Has the buffer protocol."""

    cdef CppCompressedBlocks blocks
    cdef bint writable

    @property
    def lengths(self):
        return self.blocks.lengths

    def __len__(self):
        return self.blocks.bytes.size()

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*> self.blocks.bytes.begin, self.blocks.bytes.size(), not self.writable, flags)


@final
cdef class Compressor:
    """Compresses blocks. Keeps its memory between calls. One thread at a time may use it."""

    cdef unique_ptr[BlockCompressor] compressor
    cdef bint busy

    def __cinit__(self, str codec not None, int level=1, bytes dictionary=None, Decoder decoder=None):
        cdef unique_ptr[Codec] made
        cdef Span prepared
        if codec == "zstd":
            if dictionary is not None:
                prepared = bytes_span(dictionary)
            made = make_zstd_codec(level, prepared)
            if not made:
                raise ValueError("this is not a zstd dictionary")
        elif codec == "snappy":
            if dictionary is not None:
                raise ValueError("snappy takes no dictionary")
            made = make_snappy_codec()
        else:
            raise ValueError(f"there is no codec {codec!r}")
        if decoder is None:
            self.compressor.reset(new BlockCompressor(move(made)))
        else:
            self.compressor.reset(new BlockCompressor(move(made), decoder.decoder.get().pool()))

    def compress(self, blocks not None, size_t gap=0):
        cdef CompressedBlocks done = CompressedBlocks.__new__(CompressedBlocks)
        cdef list held = []  # keeps the lines alive while the GIL is released
        cdef vector[BlockLines] lines
        cdef BlockLines found
        cdef SessionBlock block
        cdef size_t size = 0
        if self.busy:
            raise RuntimeError("this compressor is at work in another thread")
        for block in blocks:
            if block is None:
                raise TypeError("a block is a SessionBlock, not None")
            if block.block.slices().empty():
                raise ValueError(f"block {len(held)} is empty")
            found.slices = &block.block.slices()
            found.size = block.block.size
            held.append(block)
            lines.push_back(found)
            size += found.size
            if size >= lines_per_call:
                break
        if not held:
            raise ValueError("there are no blocks to compress")
        done.writable = gap > 0
        self.compress_found(done, lines, gap)
        return done

    def compress_lines(self, bytes lines not None):
        cdef CompressedBlocks done = CompressedBlocks.__new__(CompressedBlocks)
        cdef vector[Span] slices
        cdef vector[BlockLines] found
        if self.busy:
            raise RuntimeError("this compressor is at work in another thread")
        if not lines:
            raise ValueError("there are no lines to compress")
        slices.push_back(bytes_span(lines))
        found.resize(1)
        found[0].slices = &slices
        found[0].size = len(lines)
        self.compress_found(done, found, 0)
        return done

    def finish(self):
        if self.busy:
            raise RuntimeError("this compressor is at work in another thread")
        self.compressor.get().finish()

    cdef int compress_found(self, CompressedBlocks done, const vector[BlockLines]& lines, size_t gap) except -1:
        self.busy = True
        try:
            with nogil:
                done.blocks = self.compressor.get().compress(lines.data(), lines.size(), gap)
        finally:
            self.busy = False
        return 0
