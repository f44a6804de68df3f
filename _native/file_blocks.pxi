# The blocks of a batch file, and what is said of them. Included by bindings.pyx.

UUID_RANDOM_BYTES = uuid_random_bytes

cdef size_t console_piece_bytes = 256 * 1024  # what is in memory of the records at a time


@final
cdef class PackedRecords:
    """Keys and values of Kafka records, in one piece of memory."""

    cdef CppPackedRecords packed

    def __len__(self):
        return self.packed.records.size()

    def __getitem__(self, Py_ssize_t number):
        cdef PackedRecord* found
        cdef const char* text = self.packed.text.data()
        if number < 0 or <size_t> number >= self.packed.records.size():
            raise IndexError(f"record {number} of {self.packed.records.size()}")
        found = &self.packed.records[number]
        return (
            PyBytes_FromStringAndSize(text + found.key, found.key_size),
            PyBytes_FromStringAndSize(text + found.value, found.value_size),
        )


cdef dict packed_by_partition(cpp_map[int64_t, CppPackedRecords]& found):
    cdef PackedRecords records
    cdef dict partitions = {}
    for at in found:
        records = PackedRecords.__new__(PackedRecords)
        records.packed = move(found[at.first])
        partitions[at.first] = records
    return partitions


@final
cdef class FileBlocks:
    """The blocks of one batch file, and what is said of them."""

    cdef unique_ptr[CppFileBlocks] file

    @property
    def retention(self):
        return self.file.get().retention()

    @property
    def messages(self):
        return self.file.get().messages()

    @property
    def events(self):
        return self.file.get().events()

    @property
    def raw_bytes(self):
        return self.file.get().raw_bytes()

    @property
    def stored(self):
        return self.file.get().stored()

    def __len__(self):
        return self.file.get().blocks().size()

    def session_blocks(self):
        """Return the blocks, to compress them."""
        cdef SessionBlock block
        cdef size_t i
        cdef list found = []
        for i in range(self.file.get().blocks().size()):
            block = SessionBlock.__new__(SessionBlock)
            block.hold(block_of(self.file.get().blocks()[i].session))
            found.append(block)
        return found

    def sessions(self, int64_t partition):
        cdef const Session* session
        cdef list found = []
        for i in range(self.file.get().blocks().size()):
            session = self.file.get().blocks()[i].session.get()
            if session.partition == partition:
                found.append((session.team_id, cpp_str(session.id)))
        return found

    def offsets(self):
        cdef cpp_map[int64_t, SourceOffsets] found = self.file.get().offsets()
        return {at.first: (at.second.first, at.second.last) for at in found}

    def store(self, lengths not None):
        cdef vector[size_t] given = lengths
        if given.size() > len(self) - self.stored:
            raise ValueError(f"{len(lengths)} blocks, but only {len(self) - self.stored} are not stored yet")
        self.file.get().store(given)

    def store_encrypted(self, uint64_t before, uint64_t length):
        if self.stored == len(self):
            raise ValueError("all blocks are stored")
        self.file.get().store_encrypted(before, length)

    def index_entries(self, dict sources not None):
        cdef cpp_map[int64_t, string] names
        cdef string entries
        cdef list keep = []
        cdef Span name
        if missing := self.offsets().keys() - sources.keys():
            raise ValueError(f"partitions without a source: {sorted(missing)}")
        for partition, source in sources.items():
            name = str_span(source, keep)
            names[partition] = string(<const char*> name.begin, name.size())
        with nogil:
            entries = self.file.get().index_entries(names)
        return <bytes> entries

    def metadata(
        self,
        *,
        str batch_id not None,
        str codec not None,
        str url not None,
        int64_t retention_days,
        int64_t now_ms,
        bytes random not None,
    ):
        cdef FileFacts facts
        cdef cpp_map[int64_t, CppPackedRecords] found
        cdef list keep = []
        cdef Span text
        if len(random) != len(self) * uuid_random_bytes:
            raise ValueError(f"{len(self)} blocks take {len(self) * uuid_random_bytes} random bytes, not {len(random)}")
        if self.stored < len(self):
            raise ValueError(f"{self.stored} of {len(self)} blocks are stored")
        text = str_span(url, keep)
        facts.url = string(<const char*> text.begin, text.size())
        facts.batch_id, facts.codec = batch_id.encode(), codec.encode()
        facts.retention_days, facts.now_ms = retention_days, now_ms
        facts.random = bytes_span(random)
        with nogil:
            found = self.file.get().metadata(facts)
        return packed_by_partition(found)

    def console_logs(self, int64_t partition, str batch_id not None):
        cdef PackedRecords records
        cdef string batch = batch_id.encode()
        cdef ConsolePosition at = self.file.get().first_console_log(partition)
        while True:
            records = PackedRecords.__new__(PackedRecords)
            records.packed = self.file.get().console_logs(at, batch, console_piece_bytes)
            if records.packed.records.empty():
                return
            yield records
